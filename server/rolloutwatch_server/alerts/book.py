"""What the engine asks of the archive, within the transaction of the records that it judges."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.feed import Memory, Piece
from rolloutwatch_server.alerts.notes import FeedNote, ReferenceRun, Was
from rolloutwatch_server.alerts.overlaps import Figures
from rolloutwatch_server.alerts.state import AlertState, Transition


class RunRow(msgspec.Struct):
    """How far a run is judged, beside the states of rules.

    `rule_set` is the version of the rules it is judged by; `heard_at` is when its last step came, by the server's clock,
    and `skew` how far that is ahead of the trainer's clock, at least; `birth` tells it from a deleted run of its id;
    `broken` says why it is not judged any more.
    """

    memory: Memory  # as it was kept
    rule_set: int = 0
    heard_at: float | None = None
    skew: float | None = None
    ended: bool = False
    birth: int = 0
    broken: str = ""


class Book(Protocol):
    """The archive, in one transaction. `now` is when that is."""

    now: float

    def reference(self, run: str, behind: int, metrics: Collection[str]) -> ReferenceRun:
        """Return the reference run of a run's project, and the figures of it that a run is compared with behind a step."""

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with since it began to be judged."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Hold what an exception undoes, without undoing what was before."""

    def is_trouble_of_its_own(self, error: BaseException) -> bool:
        """Tell whether an error is one of the archive, and no mistake in judging."""

    def version_in_force(self) -> int:
        """Return the version of the rules in force; the default ones are kept as one too."""

    def rules_of(self, version: int) -> tuple[Rule, ...]:
        """Return the rules of a version."""

    def run(self, run: str) -> RunRow | None:
        """Return how far a run is judged, None if nothing of it ever was."""

    def new_run(self, run: str) -> RunRow:
        """Return how a run begins to be judged: behind what is there of it already."""

    def states(self, run: str) -> dict[str, AlertState]:
        """Return how the rules of a run stand, by name."""

    def save_run(self, run: str, row: RunRow, memory: Memory) -> None:
        """Keep how far a run is judged."""

    def save_states(self, run: str, states: Mapping[str, AlertState]) -> None:
        """Keep how rules of a run stand that changed."""

    def happened(
        self,
        run: str,
        birth: int,
        rule: Rule,
        transition: Transition,
        late: bool,
        *,
        during: int | None = None,
    ) -> None:
        """Keep what happened to an alert, and what is to be told of it."""

    def go_back(self, run: str, birth: int, step: int, time: float) -> None:
        """Give up what happened from a step on."""

    def note(self, run: str, note: FeedNote) -> None:
        """Keep a note."""

    def noted(self, run: str, first: int = 0) -> dict[int, Was]:
        """Return the notes of figures that were judged otherwise than they are shown, by step, from one on."""

    def late(self, run: str, first: int) -> set[tuple[int, str]]:
        """Return the figures of a run that were judged late, by themselves: step and metric, from a step on."""

    def mark_broken(self, run: str, reason: str) -> None:
        """Keep that a run is not judged any more, and why."""

    def shown(self, run: str, metrics: Collection[str], first: int) -> Figures:
        """Return what is shown of metrics from a step on."""

    def metrics(self, run: str) -> Collection[str]:
        """Return the metrics of a run."""

    def ranks(self, run: str) -> Mapping[int, int]:
        """Return of each session how late it started among those of its run."""

    def pieces(self, run: str, metrics: Collection[str], first: int, last: int) -> Iterable[Piece]:
        """Return what was judged of a run from one step to another, in that order."""

    def is_alive(self, run: str) -> bool:
        """Tell whether a session of a run is at work."""

    def firing(self) -> Mapping[str, Collection[str]]:
        """Return the runs that have alerts which fire, with the rules that these are of."""

    def rule_set_of(self, run: str) -> int:
        """Return the version of the rules that a run is judged by."""
