"""What a configuration would have given over a run of the archive."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.downsample import thin
from rolloutwatch_server.store import StepTables, Store
from rolloutwatch_server.whatif.answer import Figures, figures_of
from rolloutwatch_server.whatif.recorded import FIGURES, Recorded, Vector, recorded

MOST_STEPS = 20_000  # of one answer
STEPS_AT_ONCE = 500
ROWS_AT_ONCE = 40_000  # of tables, filled up to the longest of them


@dataclass(frozen=True)
class OverSteps:
    """A figure over steps: `step` int64 [n], between `low` and `high`, float64 [n], which are equal where it is exact."""

    step: npt.NDArray[np.int64]
    low: Vector
    high: Vector


@dataclass
class Omission:
    """Why a figure is not there at some steps: how many, and the first and the last of them."""

    steps: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class WhatIf:
    """The answer: figures by name, what is omitted by figure and reason, and how far it reaches.

    `steps` counts steps that were looked at; `next_step` is the first that was not, None if that was all.
    """

    figures: dict[str, OverSteps]
    omitted: dict[tuple[str, str], Omission]
    steps: int
    next_step: int | None
    thinned: bool = False


@dataclass
class _Collected:
    """Figures of portions of steps, put one behind the other."""

    parts: dict[str, list[OverSteps]] = field(default_factory=dict)
    omitted: dict[tuple[str, str], Omission] = field(default_factory=dict)

    def add(self, steps: npt.NDArray[np.int64], figures: Figures) -> None:
        for name, span in figures.bounds.items():
            there = ~np.isnan(span.low)
            self.parts.setdefault(name, []).append(OverSteps(steps[there], *(end[there] for end in span)))
            for step, reason in zip(steps.tolist(), figures.why[name], strict=True):
                if reason:
                    self._omit(name, reason, step)

    def _omit(self, name: str, reason: str, step: int) -> None:
        known = self.omitted.setdefault((name, reason), Omission(0, step, step))
        known.steps += 1
        known.last_step = step


def what_if(
    store: Store,
    run: str,
    config: CorrectionConfig,
    *,
    from_step: int | None = None,
    to_step: int | None = None,
    points: int | None = None,
    most: int = MOST_STEPS,
) -> WhatIf:
    """Return what a configuration would have given at the steps of a run that have a table or a histogram.

    Args:
        store: The archive.
        run: Id of the run.
        config: What is asked for.
        from_step: The first step that is looked at.
        to_step: The last one.
        points: About how many steps of each figure are wanted; its extremes stay. None for all.
        most: How many steps are looked at, at most.
    """
    collected, count = _Collected(), 0
    with_tables = iter(store.tables(run, from_step=from_step, to_step=to_step))
    for steps, tables in _portions(itertools.islice(with_tables, most)):
        side_by_side = _recorded(store, run, steps, tables)
        collected.add(side_by_side.step, figures_of(side_by_side, config))
        count += len(steps)
    beyond = next(with_tables, None)
    whole = {name: _joined(parts) for name, parts in collected.parts.items()}
    figures = {name: _thinned(figure, points) for name, figure in whole.items()}
    return WhatIf(
        figures,
        collected.omitted,
        count,
        None if beyond is None else beyond[0],
        any(len(figures[name].step) < len(figure.step) for name, figure in whole.items()),
    )


def _portions(
    with_tables: Iterator[tuple[int, StepTables]],
) -> Iterator[tuple[list[int], list[StepTables]]]:
    """Yield so many steps at once that their tables, side by side, do not fill the memory."""
    steps: list[int] = []
    tables: list[StepTables] = []
    most = 1
    for step, one in with_tables:
        rows = 0 if one.sequences is None or not one.sequences.shape else one.sequences.shape[0]
        most = max(most, rows)
        if steps and (len(steps) >= STEPS_AT_ONCE or (len(steps) + 1) * most > ROWS_AT_ONCE):
            yield steps, tables
            steps, tables, most = [], [], max(1, rows)
        steps.append(step)
        tables.append(one)
    if steps:
        yield steps, tables


def _recorded(store: Store, run: str, steps: Sequence[int], tables: Sequence[StepTables]) -> Recorded:
    series = store.series(run, FIGURES, from_step=steps[0], to_step=steps[-1])
    wanted = np.array(steps, dtype=np.int64)
    return recorded(steps, tables, {name: _at(series[name], wanted) for name in FIGURES})


def _at(series: Series, steps: npt.NDArray[np.int64]) -> Vector:
    """Return the values of a series at steps, NaN where it has none."""
    values = np.full(len(steps), np.nan)
    place = np.searchsorted(series.step, steps)
    there = place < len(series.step)
    there[there] = series.step[place[there]] == steps[there]
    values[there] = series.value[place[there]]
    return values


def _joined(parts: Sequence[OverSteps]) -> OverSteps:
    return OverSteps(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.low for part in parts]),
        np.concatenate([part.high for part in parts]),
    )


def _thinned(figure: OverSteps, points: int | None) -> OverSteps:
    """Return about `points` steps of a figure, its lowest lower and its highest upper bounds among them."""
    if points is None or len(figure.step) <= points:
        return figure
    half = max(4, points // 2)
    low, high = (thin(Series(figure.step, end), half).step for end in (figure.low, figure.high))
    kept = np.isin(figure.step, np.union1d(low, high))
    return OverSteps(figure.step[kept], figure.low[kept], figure.high[kept])
