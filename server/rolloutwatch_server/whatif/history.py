"""What a configuration would have given over a run of the archive."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.downsample import thin
from rolloutwatch_server.store import StepTables, Store
from rolloutwatch_server.whatif.answer import Figures, figures_of
from rolloutwatch_server.whatif.recorded import FIGURES, Recorded, Vector, recorded
from rolloutwatch_server.whatif.summary import OF_THE_RUN, OverSteps, Summary, as_it_was, summary_of

MOST_STEPS = 20_000  # of one answer
STEPS_AT_ONCE = 500
READ = tuple(dict.fromkeys((*FIGURES, *OF_THE_RUN)))
ROWS_AT_ONCE = 40_000  # of tables, filled up to the longest of them


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
    `summary` has each figure of all of these steps in a few numbers, `recorded` the same of what was, where it was recorded.
    """

    figures: dict[str, OverSteps]
    omitted: dict[tuple[str, str], Omission]
    steps: int
    next_step: int | None
    thinned: bool
    summary: dict[str, Summary]
    recorded: dict[str, Summary]


@dataclass
class _Collected:
    """Figures of portions of steps, put one behind the other."""

    parts: dict[str, list[OverSteps]] = field(default_factory=dict)
    was: dict[str, list[OverSteps]] = field(default_factory=dict)
    omitted: dict[tuple[str, str], Omission] = field(default_factory=dict)

    def add(self, steps: npt.NDArray[np.int64], figures: Figures, was: Mapping[str, OverSteps]) -> None:
        for name, figure in was.items():
            self.was.setdefault(name, []).append(figure)
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
        series = store.series(run, READ, from_step=steps[0], to_step=steps[-1])
        side_by_side = _recorded(series, steps, tables)
        was = as_it_was(series, side_by_side.step)
        collected.add(side_by_side.step, figures_of(side_by_side, config), was)
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
        {name: summary_of(figure) for name, figure in whole.items()},
        {name: summary_of(_joined(parts)) for name, parts in collected.was.items()},
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


def _recorded(series: Mapping[str, Series], steps: Sequence[int], tables: Sequence[StepTables]) -> Recorded:
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
