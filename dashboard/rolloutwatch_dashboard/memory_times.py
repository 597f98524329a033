"""The part of the source in memory that knows when figures were made, and sums them up."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from rolloutwatch_contract.figure_summary import FigureSummary, summarise
from rolloutwatch_contract.protocol import Series


class _HasSeries(Protocol):
    def series(self, run: str, metrics: Sequence[str]) -> Mapping[str, Series]: ...


class MemoryTimes:
    """Keeps the time of steps in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._times: dict[str, dict[int, float]] = {}

    def add_time(self, run: str, step: int, time: float) -> None:
        """Tell when the figures of a step were made, in seconds since 1970; of others nobody knows."""
        self._times.setdefault(run, {})[step] = time

    def by_time(self, run: str, series: Series) -> Series:
        """Return a series in the order of time, without the values of which nobody knows when they were made."""
        known = self._times.get(run, {})
        time = np.array([known.get(step, np.nan) for step in series.step.tolist()], dtype=np.float64)
        order = np.argsort(time, kind="stable")
        order = order[np.isfinite(time[order])]
        return Series(series.step[order], series.value[order], time[order])

    def summaries(self: _HasSeries, run: str, metrics: Sequence[str]) -> Mapping[str, FigureSummary]:
        """Return figures of a whole run in a few numbers."""
        series = self.series(run, metrics)
        return {metric: summarise(one.step, one.value) for metric, one in series.items()}
