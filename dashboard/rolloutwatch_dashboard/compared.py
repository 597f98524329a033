"""The runs that are compared: where each of them begins on the common axis, and what is read of it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.protocol import MarkView, RunDetail, Series, Source
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_dashboard.charts import UNREADABLE
from rolloutwatch_dashboard.comparison import Align, Asked
from rolloutwatch_dashboard.figures.compare import Axis

POINTS = 1500  # of a series
POINTS_OF_A_CHART = 6000  # of all its series together
FIRST_STEPS_LOOKED_AT = 1024  # for marks; then so many times as many, and so on
MORE_STEPS = 4
UNITS = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))
LEAST_UNITS = 3  # that an axis of time shows


@dataclass(frozen=True)
class Compared:
    """A run among those that are compared: `origin` is the step or the time that is 0, None where the run has no such mark.

    `whole` are its series as far as a screen can show them, `close` those of the part that is looked at closely.
    """

    number: int
    detail: RunDetail
    origin: float | None
    whole: Mapping[str, Series] = field(default_factory=dict)
    close: Mapping[str, Series] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return the run's id."""
        return self.detail.summary.id

    @property
    def is_untimed(self) -> bool:
        """Whether figures came and nothing is drawn, because nobody knows when they were made."""
        return self.detail.summary.last_step is not None and not any(
            len(one.step) for one in self.whole.values()
        )


def points_of(runs: int) -> int:
    """Return how many points a series of so many runs has."""
    return max(4, min(POINTS, POINTS_OF_A_CHART // max(1, runs)))


def read(
    source: Source, asked: Asked, details: Sequence[RunDetail], metrics: Sequence[str]
) -> list[Compared]:
    """Return the runs with their series."""
    points = points_of(len(details))
    return [_read(source, asked, number, detail, metrics, points) for number, detail in enumerate(details)]


def _read(
    source: Source, asked: Asked, number: int, detail: RunDetail, metrics: Sequence[str], points: int
) -> Compared:
    origin = origin_of(source, asked, detail)
    if origin is None:
        return Compared(number, detail, None)
    run, timed = detail.summary.id, asked.align.is_timed
    # a figure that did not come because no log-prob was finite is not finite either
    read = [*metrics, *({UNREADABLE} & set(detail.metrics) - set(metrics))]
    whole = _by_step(source.series(run, read, points=points, by_time=timed))
    window = window_of(asked, origin, whole.values()) if asked.ends else None
    close: Mapping[str, Series] = {}
    if window:
        close = _by_step(
            source.series(run, read, from_step=window[0], to_step=window[1], points=points, by_time=timed)
        )
    return Compared(number, detail, origin, _voided(whole, metrics), _voided(close, metrics))


def origin_of(source: Source, asked: Asked, detail: RunDetail) -> float | None:
    """Return the step, or the time in seconds, that is 0 on the common axis; None if there is no such mark."""
    if asked.align is Align.MARK:
        found = nth_mark(source, detail, asked.mark, asked.number)
        return None if found is None else float(found.step)
    return detail.summary.started_at if asked.align is Align.RELATIVE else 0.0


def nth_mark(source: Source, detail: RunDetail, kind: str, number: int) -> MarkView | None:
    """Return the mark of a kind that comes as the `number`th, however many there are; None if there are fewer."""
    seen = 0
    for first, last in _ever_more_steps(detail.summary.last_step or 0):
        marks = source.marks(detail.summary.id, from_step=first, to_step=last)
        of_it = [mark for mark in marks if mark.kind == kind]
        if len(of_it) >= number - seen:
            return of_it[number - seen - 1]
        seen += len(of_it)
    return None


def _ever_more_steps(last: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of steps, of which each is longer than the one before; the end of a run may be marked behind its last step."""
    first, steps = 0, FIRST_STEPS_LOOKED_AT
    while first <= last:
        yield first, first + steps - 1
        first, steps = first + steps, steps * MORE_STEPS
    yield first, MAX_STEP


def kinds_of(source: Source, details: Sequence[RunDetail]) -> list[str]:
    """Return the kinds of marks that runs have, those that most of them have first."""
    kinds = [{mark.kind for mark in source.marks(one.summary.id, most=1)} for one in details]
    return sorted(set().union(*kinds), key=lambda kind: (-sum(kind in of_it for of_it in kinds), kind))


def window_of(asked: Asked, origin: float, series: Iterable[Series]) -> tuple[int, int] | None:
    """Return the steps from before the part that is looked at to behind it; None if the run has nothing there."""
    assert asked.ends is not None
    first, last = (end + origin for end in asked.ends)
    known = [one for one in series if len(one.step)]
    if not known:
        return None
    begins, ends = [], []
    for one in known:
        places = one.step if one.time is None else one.time
        inside = np.flatnonzero((places >= first) & (places <= last))
        before, behind = np.flatnonzero(places < first), np.flatnonzero(places > last)
        if not (len(inside) or (len(before) and len(behind))):
            continue
        begins.append(int(one.step[before].max()) if len(before) else int(one.step[0]))
        ends.append(int(one.step[behind].min()) if len(behind) else int(one.step[-1]))
    return (min(begins), max(ends)) if begins else None


def _by_step(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return series in order of steps, which those of time need not be."""
    return {name: one if one.time is None else _ordered(one) for name, one in series.items()}


def _ordered(series: Series) -> Series:
    order = np.argsort(series.step, kind="stable")
    return Series(
        series.step[order], series.value[order], None if series.time is None else series.time[order]
    )


def _voided(series: Mapping[str, Series], metrics: Sequence[str]) -> dict[str, Series]:
    unreadable = series.get(UNREADABLE)
    return {
        name: with_voids(series[name], unreadable)
        if unreadable is not None and name in METRICS
        else series[name]
        for name in metrics
        if name in series
    }


def with_voids(series: Series, unreadable: Series) -> Series:
    """Return a measured figure with NaN at the steps of which not one log-prob was finite; with times as `judgement` without."""
    void = (unreadable.value >= 1.0) & ~np.isin(unreadable.step, series.step)
    if not void.any() or not len(series.step):
        return series
    time = None
    if series.time is not None and unreadable.time is not None:
        time = np.concatenate([series.time, unreadable.time[void]])
    step = np.concatenate([series.step, unreadable.step[void]])
    value = np.concatenate([series.value, np.full(int(void.sum()), math.nan)])
    return _ordered(Series(step, value, time))


def axis_of(asked: Asked, compared: Sequence[Compared]) -> Axis:
    """Return what stands below the charts."""
    match asked.align:
        case Align.STEP:
            return Axis("step")
        case Align.MARK:
            return Axis(f"steps from {mark_words(asked)}", zero=True)
        case Align.TIME:
            return Axis("time", unit=1e-3, timed=True, dated=True)
        case Align.RELATIVE:
            name, size = unit_of(_span(asked, compared))
            return Axis("time since each run began", f" {name}", unit=size, timed=True)


def _span(asked: Asked, compared: Sequence[Compared]) -> float:
    """Return how many seconds there are to be seen."""
    if asked.ends:
        return asked.ends[1] - asked.ends[0]
    known = [
        (one, series.time) for one in compared for series in one.whole.values() if series.time is not None
    ]
    return max((float(time.max()) - (one.origin or 0.0) for one, time in known if len(time)), default=0.0)


def unit_of(span: float) -> tuple[str, float]:
    """Return the unit in which so many seconds are told, and its seconds.

    >>> [unit_of(one)[0] for one in (0, 179, 180, 10_800, 300_000)]
    ['s', 's', 'min', 'h', 'd']
    """
    return next((one for one in reversed(UNITS) if span >= LEAST_UNITS * one[1]), UNITS[0])


def mark_words(asked: Asked) -> str:
    """Return which mark is at 0.

    >>> mark_words(Asked(mark="weight_sync", number=2))
    'weight sync no. 2'
    """
    return f"{asked.mark.replace('_', ' ')} no. {asked.number}"
