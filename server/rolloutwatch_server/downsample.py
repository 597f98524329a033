"""Make a long series fit a screen without losing an extreme."""

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
    first, after = int(series.step[0]), int(series.step[-1]) + 1
    columns = _columns(points)
    width = -(-(after - first) // columns)
    if width < WIDE:
        places = _extremes(series.value, _starts(series.step, np.linspace(first, after, columns + 1)[:-1]))
    elif after - first == len(series.step):
        places = _extremes_of_many(series.value, width)
    else:
        places = _extremes(series.value, _starts(series.step, np.arange(first, after, width)))
    return _only(series, places)


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


def _extremes_of_many(values: npt.NDArray[np.float64], width: int) -> Places:
    """Return what stays of columns of `width` values each, which is quick, and the first and the last value."""
    finite = np.isfinite(values)
    ends = np.array([0, len(values) - 1])
    if finite.all():
        return np.unique(np.concatenate([ends, _lowest(values, width), _highest(values, width)]))
    broken = _lowest(finite, width)  # where all are finite there is none to keep
    lowest = _lowest(np.where(finite, values, np.inf), width)
    highest = _highest(np.where(finite, values, -np.inf), width)
    return np.unique(np.concatenate([ends, lowest, highest, broken[~finite[broken]]]))


def _lowest(values: npt.NDArray[Any], width: int) -> Places:
    """Return the index of the first lowest value of each column of `width` values, of which the last may have fewer."""
    whole = len(values) // width
    columns, rest = values[: whole * width].reshape(whole, width), values[whole * width :]
    places: Places = np.arange(0, whole * width, width) + columns.argmin(axis=1)
    return np.append(places, whole * width + rest.argmin()) if len(rest) else places


def _highest(values: npt.NDArray[np.float64], width: int) -> Places:
    return _lowest(-values, width)


def _extremes(values: npt.NDArray[np.float64], starts: Places) -> Places:
    """Return what stays of columns that begin at `starts`, and the first and the last value."""
    finite = np.isfinite(values)
    kept = np.zeros(len(values), dtype=bool)
    kept[[0, -1]] = True
    kept[_first_lowest(np.where(finite, values, np.inf), starts)] = True
    kept[_first_lowest(np.where(finite, -values, np.inf), starts)] = True
    if not finite.all():
        first_broken = _first_lowest(finite.astype(np.float64), starts)
        kept[first_broken[~finite[first_broken]]] = True  # where all are finite there is none to keep
    return np.flatnonzero(kept)


def _first_lowest(values: npt.NDArray[np.float64], starts: Places) -> Places:
    """Return the index of the first lowest value of each column."""
    lengths = np.diff(starts, append=len(values))
    lowest = np.repeat(np.minimum.reduceat(values, starts), lengths)
    candidates: Places = np.flatnonzero(values == lowest)
    column = np.searchsorted(starts, candidates, side="right")
    first: Places = candidates[np.append(True, np.diff(column) > 0)]
    return first


def _only(series: Series, places: Places) -> Series:
    time = None if series.time is None else series.time[places]
    return Series(series.step[places], series.value[places], time)
