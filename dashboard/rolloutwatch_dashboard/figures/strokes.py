"""Lines as paths of SVG in a small box: two points for each column of it, so that no spike of one step is lost."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rolloutwatch_dashboard.figures.timeseries import GAP, USUAL_SHARE, Chart

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EDGE = 2  # free above and below, for the width of the line

Stroke = list[tuple[int, int]]
Axis = Callable[[FloatArray], FloatArray]  # from values to heights


class Box(NamedTuple):
    """The box that a line is drawn in; of each of its columns the lowest and the highest value is drawn."""

    width: int
    height: int
    columns: int


def places_of(steps: IntArray, first: int, last: int, box: Box) -> IntArray:
    """Return where steps stand, by columns; one that is alone stands at the end, where the newest one is looked for."""
    share = (steps - first) / (last - first) if last > first else np.ones(len(steps))
    columns = np.rint(share.clip(0.0, 1.0) * (box.columns - 1)).astype(np.int64)
    return columns * box.width // (box.columns - 1)


def axis_of(ends: tuple[float, float], chart: Chart, box: Box) -> Axis:
    """Return what tells the heights of values on an axis that goes from one to the other, in powers of ten if it is a log one."""
    low, high = ends
    room = box.height - 2 * EDGE

    def height(values: FloatArray) -> FloatArray:
        seen = np.log10(np.maximum(values, chart.floor)) if chart.log else values
        heights: FloatArray = box.height - EDGE - (seen - low) / (high - low) * room
        return heights

    return height


def gaps_of(steps: IntArray) -> IntArray:
    """Return the places of values before which none came for a while, as `with_gaps` has it."""
    distances = np.diff(steps)
    if not len(distances):
        return distances
    usual = np.sort(distances)[int(USUAL_SHARE * (len(distances) - 1))]
    gaps: IntArray = np.flatnonzero(distances > GAP * usual) + 1
    return gaps


def strokes_of(places: IntArray, heights: IntArray, is_good: BoolArray, gaps: IntArray) -> Iterator[Stroke]:
    """Yield what is drawn without lifting the pen: of each column the two extremes, in the order in which they came."""
    ends = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(is_good)) + 1, gaps, [len(places)]]))
    xs, ys = places.tolist(), heights.tolist()
    for begin, end in itertools.pairwise(ends.tolist()):
        if not is_good[begin]:
            continue
        stroke: Stroke = []
        columns = np.flatnonzero(np.diff(places[begin:end])) + begin + 1
        for one, other in itertools.pairwise([begin, *columns.tolist(), end]):
            of_column = ys[one:other]
            ends_of_column = sorted({of_column.index(min(of_column)), of_column.index(max(of_column))})
            stroke += [(xs[one], of_column[at]) for at in ends_of_column]
        yield _without_middles(stroke)


def _without_middles(stroke: Stroke) -> Stroke:
    """Return a stroke without the points between two others of the same height, which add nothing but bytes."""
    around = [None, *(y for _, y in stroke), None]
    return [point for at, point in enumerate(stroke) if not around[at] == point[1] == around[at + 2]]


def path_of(stroke: Sequence[tuple[int, int]]) -> str:
    """Return a path, from the second point on relative, which is short; a point alone is a dot.

    >>> path_of([(0, 12), (3, 10), (3, 14)]), path_of([(6, 2)])
    ('M0 12l3-2 0 4', 'M6 2h0')
    """
    x, y = stroke[0]
    if len(stroke) == 1:
        return f"M{x} {y}h0"
    numbers = [
        number
        for (x0, y0), (x1, y1) in itertools.pairwise(stroke)
        for number in (x1 - x0, y1 - y0)
    ]  # fmt: skip
    text = "".join(f"{number}" if number < 0 else f" {number}" for number in numbers)
    return f"M{x} {y}l{text.lstrip()}"
