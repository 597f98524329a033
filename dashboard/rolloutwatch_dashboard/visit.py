"""Somebody asks for a page."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard.board import Board
from rolloutwatch_dashboard.judgement import limits_by_run

# what a page shows, and what the browser is to follow then: see assets/page.js
Shown = tuple[Any, Any]


class Visit:
    """What a page may know: whom to ask, the time `now`, in seconds since 1970, the query of its address, and the board.

    The board is that of all visits of an application, unless there is none yet.
    """

    def __init__(
        self,
        source: Source,
        limits: Sequence[Limit] | None,
        now: float,
        query: str = "",
        board: Board | None = None,
    ) -> None:
        self.source = source
        self.now = now
        self.query = query
        self.board = board or Board()
        self._limits = limits

    @cached_property
    def limits(self) -> Callable[[str], Sequence[Limit]]:
        """The limits by which the figures of a run are judged: those of the rules in force, unless others were given."""
        return limits_by_run(self.source, self._limits)
