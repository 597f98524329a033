"""The part of the source in memory that tells series by time, and sums them up."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from rolloutwatch_contract.figure_summary import FigureSummary, summarise
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.protocol_steps import StepView


class _HasSeries(Protocol):
    def series(self, run: str, metrics: Sequence[str]) -> Mapping[str, Series]: ...


class MemoryTimes:
    """Knows the times of steps by what goes along with them."""

    _along: dict[tuple[str, int], StepView]

    def by_time(self, run: str, series: Series) -> Series:
        """Return a series in the order of time, without the values of which nobody knows when they were made."""
        along = [self._along.get((run, step)) for step in series.step.tolist()]
        time = np.array(
            [np.nan if one is None or one.time is None else one.time for one in along], dtype=np.float64
        )
        order = np.argsort(time, kind="stable")
        order = order[np.isfinite(time[order])]
        return Series(series.step[order], series.value[order], time[order])

    def summaries(self: _HasSeries, run: str, metrics: Sequence[str]) -> Mapping[str, FigureSummary]:
        """Return figures of a whole run in a few numbers."""
        series = self.series(run, metrics)
        return {metric: summarise(one.step, one.value) for metric, one in series.items()}
