"""Make a long series fit a screen without losing an extreme."""

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series


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
    columns = max(1, (points - 2) // 2)
    starts = _column_starts(series.step, columns)
    finite = np.isfinite(series.value)
    kept = np.zeros(len(series.step), dtype=bool)
    kept[[0, -1]] = True
    kept[_first_lowest(np.where(finite, series.value, np.inf), starts)] = True
    kept[_first_lowest(np.where(finite, -series.value, np.inf), starts)] = True
    if not finite.all():
        first_broken = _first_lowest(finite.astype(np.float64), starts)
        kept[first_broken[~finite[first_broken]]] = True  # where all are finite there is none to keep
    return Series(series.step[kept], series.value[kept])


def _column_starts(steps: npt.NDArray[np.int64], columns: int) -> npt.NDArray[np.intp]:
    """Return where each column that has a value begins."""
    edges = np.linspace(steps[0], steps[-1] + 1, columns + 1)[:-1]
    return np.unique(np.searchsorted(steps, edges))


def _first_lowest(values: npt.NDArray[np.float64], starts: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the index of the first lowest value of each column."""
    lengths = np.diff(starts, append=len(values))
    lowest = np.repeat(np.minimum.reduceat(values, starts), lengths)
    candidates: npt.NDArray[np.intp] = np.flatnonzero(values == lowest)
    column = np.searchsorted(starts, candidates, side="right")
    first: npt.NDArray[np.intp] = candidates[np.append(True, np.diff(column) > 0)]
    return first
