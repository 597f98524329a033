"""The rows of all runs, kept between looks: what has not changed is not made anew, whoever looks and however often."""

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunSummary, Source
from rolloutwatch_dashboard.rows import Lately, Row, row

MOST_ALERTS = 1000

Limits = Callable[[str], Sequence[Limit]]  # of a run


class _Kept(NamedTuple):
    """A row, the look at which it became what it is, and what it was made of."""

    row: Row
    since: int
    lately: Lately
    version: tuple[str, int]  # of what the run has come to, and of the rules in force
    summary: RunSummary
    firing: Sequence[AlertView]


class Board:
    """All rows as they are at the last look. Safe to use from any thread; one looks at a time, and the next one has it easy."""

    def __init__(self) -> None:
        self._name = secrets.token_hex(4)  # another server, or this one started anew, counts looks of its own
        self._lock = threading.Lock()
        self._look = 0
        self._kept: dict[str, _Kept] = {}
        self._gone: dict[str, int] = {}

    def look(self, source: Source, limits: Limits, seen: object = None) -> dict[str, Any]:
        """Return the rows that have changed since the look that was `seen`, all of them if that is none of this board's.

        `gone` are the ids of runs that are there no more, `seen` is what to ask with next time;
        with `whole` the rows are all there are.
        """
        with self._lock:
            self._update(source, limits)
            since = self._since(seen)
            return {
                "seen": f"{self._name}.{self._look}",
                "whole": since < 0,
                "rows": [one.row for one in self._kept.values() if one.since > since],
                "gone": [run for run, look in self._gone.items() if look > since >= 0],
            }

    def _since(self, seen: object) -> int:
        name, _, look = seen.partition(".") if isinstance(seen, str) else ("", "", "")
        is_ours = name == self._name and look.isascii() and look.isdecimal() and len(look) < 16
        return int(look) if is_ours else -1

    def _update(self, source: Source, limits: Limits) -> None:
        runs, versions, rules = source.runs(), source.versions(), source.rules().version
        firing: dict[str, list[AlertView]] = {}
        for one in source.alerts(limit=MOST_ALERTS):
            firing.setdefault(one.run, []).append(one)
        self._look += 1
        former, self._kept = self._kept, {}
        for run in runs:
            version = versions.get(run.id, ""), rules
            fires = firing.get(run.id, [])
            self._kept[run.id] = self._as_it_is(former.get(run.id), source, limits, run, version, fires)
        for gone in former.keys() - self._kept.keys():
            self._gone[gone] = self._look
        for back in self._gone.keys() & self._kept.keys():
            del self._gone[back]

    def _as_it_is(
        self,
        kept: _Kept | None,
        source: Source,
        limits: Limits,
        run: RunSummary,
        version: tuple[str, int],
        firing: Sequence[AlertView],
    ) -> _Kept:
        is_known = kept is not None and kept.version == version
        if kept is not None and is_known and kept.summary == run and kept.firing == firing:
            return kept
        judged = limits(run.id)
        lately = kept.lately if kept is not None and is_known else Lately(source, run, judged)
        made = row(run, lately, judged, firing)
        is_same = kept is not None and made == kept.row
        return _Kept(
            made, kept.since if kept is not None and is_same else self._look, lately, version, run, firing
        )
