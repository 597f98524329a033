"""What a batch brings that is not simply ahead of all that was judged: figures again, late, or of a run that goes back.

What is shown of a run and what was judged of it part ways here, and a note is made of each difference.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.catalogue import MADE_BY_SERVER
from rolloutwatch_server.alerts.feed import Memory, Piece
from rolloutwatch_server.alerts.notes import TIME, Was


class Figure(NamedTuple):
    """A figure, and the session that brought it; 0 of TIME, and where that is not known."""

    value: float
    session: int


Figures = dict[tuple[int, str], Figure]
Read = Callable[
    [Collection[str], int], Figures
]  # what is shown of metrics from a step on, by step and metric


class Overlap:
    """A batch of a run some of whose figures come at or before those that were judged.

    Args:
        read: Reads what is shown, before the batch is written.
        metrics: The metrics of which something comes again or late.
        first: The first step of that.
        noted: What was noted of figures that were judged otherwise than they are shown, by step.
        late: The figures that were judged late, by themselves.
    """

    def __init__(
        self,
        read: Read,
        metrics: Collection[str],
        first: int,
        noted: Mapping[int, Was],
        late: Collection[tuple[int, str]],
    ) -> None:
        self._from = dict.fromkeys((*metrics, TIME), first)  # which step on each metric is looked at
        self._late = set(late)
        self._judged = read(self._from, first)
        for at in self._late:
            self._judged.pop(at, None)
        for step, was in noted.items():
            for metric, figure in _figures_of(was).items():
                self._correct(step, metric, figure)

    def _correct(self, step: int, metric: str, figure: Figure | None) -> None:
        if step < self._from.get(metric, step + 1):
            return
        if figure is None:
            self._judged.pop((step, metric), None)
        else:
            self._judged[step, metric] = figure

    @property
    def first(self) -> int:
        """The first step of which anything may differ now."""
        return min(self._from.values())

    def to_be_fed(
        self, memory: Memory, rank: Mapping[int, int], session: int, step: int, metrics: dict[str, float]
    ) -> dict[str, float]:
        """Return the figures that were not judged already, of this session or one that speaks before it."""
        if step > memory.step:
            return metrics
        return {
            metric: value
            for metric, value in metrics.items()
            if not self._is_known(memory, rank, session, step, metric)
        }

    def _is_known(
        self, memory: Memory, rank: Mapping[int, int], session: int, step: int, metric: str
    ) -> bool:
        last = memory.last.get(metric)
        if last is None:
            return (step, metric) in self._judged or (step, metric) in self._late
        at, of, _ = last
        return step <= at and (session == of or rank.get(session, -1) < rank.get(of, -1))

    def fed(self, piece: Piece, is_new: bool) -> None:
        """Note that figures were judged, of a new step perhaps."""
        if is_new:
            self._judged[piece.step, TIME] = Figure(piece.time, 0)
        for metric, value in piece.metrics.items():
            self._judged[piece.step, metric] = Figure(value, piece.session)

    def judged_late(self, step: int, metrics: Iterable[str]) -> None:
        """Note that figures were judged by themselves."""
        self._late |= {(step, metric) for metric in metrics}
        self.not_judged(step, metrics)

    def not_judged(self, step: int, metrics: Iterable[str]) -> None:
        """Note that figures were not judged after all."""
        for metric in metrics:
            self._judged.pop((step, metric), None)

    def went_back(self, step: int, metrics: Collection[str]) -> None:
        """Note that what was judged from a step on counts no more; `metrics` are all that the run has."""
        for metric in (*metrics, TIME):
            self._from[metric] = min(step, self._from.get(metric, step))
        self._judged = {at: value for at, value in self._judged.items() if at[0] < step}
        self._late = {at for at in self._late if at[0] < step}

    def differences(self, read: Read, noted: Mapping[int, Was]) -> list[Was]:
        """Return what is to be noted of steps where what is shown now is not what was judged.

        `noted` are the notes from `first` on.
        A note takes the place of the former one of its step, and one without figures of an untrue one.
        """
        shown = read(self._from, min(self._from.values()))
        found = {step: self._elsewhere(one) for step, one in noted.items()}
        for at in shown.keys() | self._judged.keys():
            step, metric = at
            judged = self._judged.get(at)
            if step < self._from.get(metric, step + 1) or at in self._late or _alike(judged, shown.get(at)):
                continue
            # when a step was made of which nothing was judged yet: it may be that of a session that does not make it
            found.setdefault(step, {})[metric] = judged
        nothing = Was(-1, {})
        return [
            _note(step, figures)
            for step, figures in sorted(found.items())
            if not _all_alike(figures, _figures_of(noted.get(step, nothing)))
        ]

    def _elsewhere(self, was: Was) -> dict[str, Figure | None]:
        """Return what was noted of figures that are not looked at."""
        return {
            metric: figure
            for metric, figure in _figures_of(was).items()
            if was.step < self._from.get(metric, was.step + 1)
        }


def reach_back(memory: Memory, noted_to: int, records: Sequence[StepRecord]) -> tuple[set[str], int] | None:
    """Return of which metrics something comes again or late, and from which step on; None for a batch that only goes on."""
    metrics: set[str] = set()
    seen: Collection[str] = ()  # what came in this batch of the open step, or late
    first, top, is_ours = (
        math.inf,
        memory.step,
        False,
    )  # whether the open step is one that began in this batch
    for record in records:
        step = record.step
        if step > max(top, noted_to, memory.begun):
            top, seen, is_ours = step, record.metrics.keys(), True
            continue
        for metric in record.metrics:
            last = memory.last.get(metric)
            # behind what comes again the run may have gone back, and what is late then is not judged
            is_new = not metrics and step == top and (is_ours or (last is not None and step > last[0]))
            if not is_new or metric in seen or step <= max(noted_to, memory.begun):
                metrics.add(metric)
                first = min(first, step)
        seen = {*seen, *record.metrics}
        top = max(top, step)
    return (metrics | set(MADE_BY_SERVER), int(first)) if metrics else None


def _figures_of(was: Was) -> dict[str, Figure | None]:
    return {
        metric: None if value is None else Figure(value, was.speakers.get(metric, 0))
        for metric, value in was.figures.items()
    }


def _note(step: int, figures: Mapping[str, Figure | None]) -> Was:
    values = {metric: None if one is None else one.value for metric, one in figures.items()}
    return Was(step, values, {metric: one.session for metric, one in figures.items() if one and one.session})


def _all_alike(these: Mapping[str, Figure | None], those: Mapping[str, Figure | None]) -> bool:
    return these.keys() == those.keys() and all(_alike(one, those[name]) for name, one in these.items())


def _alike(one: Figure | None, other: Figure | None) -> bool:
    """Tell whether two figures are judged alike: of another session a baseline begins anew."""
    if one is None or other is None:
        return one is other
    is_same = one.value == other.value or (math.isnan(one.value) and math.isnan(other.value))
    return is_same and one.session == other.session
