"""Make a long series fit a screen without losing an extreme."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series

Places = npt.NDArray[np.intp]

WIDE = (
    8  # steps; a column at least this wide is rounded up to whole steps, which makes a million of them quick
)


def thin(series: Series, points: int | None) -> Series:
    """Return about `points` of the values of a series, None for all of them.

    The range of steps is cut into columns of equal width, as a screen does;
    of each column its lowest and its highest finite value stay, and one value that is not finite if it has any,
    so that neither a spike nor a gap of one step in a million gets lost.
    The first and the last value stay too.
    A column keeps at most three values, so that up to 1.5 times `points` may come back.
    """
    if points is None or len(series.step) <= max(points, 4):
        return series
    edges = np.linspace(int(series.step[0]), int(series.step[-1]) + 1, _columns(points), endpoint=False)
    return _only(series, _extremes(series.value, _starts(series.step, edges)))


def thin_by_time(series: Series, points: int | None) -> Series:
    """Return about `points` of the values as `thin` does, of columns of time, in the order of time.

    Values of which nobody knows when they were made are left out.
    """
    assert series.time is not None
    if not (series.time[1:] >= series.time[:-1]).all() or not np.isfinite(series.time[:1]).all():
        order = np.argsort(series.time, kind="stable")
        series = _only(series, order[np.isfinite(series.time[order])])
    if points is None or len(series.step) <= max(points, 4):
        return series
    assert series.time is not None
    first, last = series.time[0], series.time[-1]
    edges = np.linspace(first, last, _columns(points), endpoint=False)
    return _only(series, _extremes(series.value, _starts(series.time, edges)))


def _columns(points: int) -> int:
    return max(1, (points - 2) // 2)


def _starts(axis: npt.NDArray[Any], edges: npt.NDArray[Any]) -> Places:
    """Return where each column that has a value begins."""
    return np.unique(np.searchsorted(axis, edges))


def _extremes(values: npt.NDArray[np.float64], starts: Places) -> Places:
    """Return what stays of columns that begin at `starts`, and the first and the last value."""
    finite, ends = np.isfinite(values), np.array([0, len(values) - 1])
    if finite.all():
        return np.unique(np.concatenate([ends, _lowest(values, starts), _lowest(-values, starts)]))
    broken = _lowest(finite.astype(np.float64), starts)  # where all are finite there is none to keep
    lowest = _lowest(np.where(finite, values, np.inf), starts)
    highest = _lowest(np.where(finite, -values, np.inf), starts)
    return np.unique(np.concatenate([ends, lowest, highest, broken[~finite[broken]]]))


def _lowest(values: npt.NDArray[np.float64], starts: Places) -> Places:
    """Return the index of the first lowest value of each column."""
    bounds = [*starts.tolist(), len(values)]
    if len(values) >= WIDE * len(
        starts
    ):  # few long columns are looked at one by one, many short ones together
        return np.array(
            [begin + int(values[begin:end].argmin()) for begin, end in itertools.pairwise(bounds)]
        )
    lowest = np.repeat(np.minimum.reduceat(values, starts), np.diff(bounds))
    candidates: Places = np.flatnonzero(values == lowest)
    column = np.searchsorted(starts, candidates, side="right")
    first: Places = candidates[np.append(True, np.diff(column) > 0)]
    return first


def _only(series: Series, places: Places) -> Series:
    time = None if series.time is None else series.time[places]
    return Series(series.step[places], series.value[places], time)
