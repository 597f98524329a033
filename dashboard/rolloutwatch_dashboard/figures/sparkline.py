"""A figure over the last steps in the room of a word: its path, its limits, and its end, as SVG has them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.figures.lost import LARGEST
from rolloutwatch_dashboard.figures.timeseries import (
    GAP,
    USUAL_SHARE,
    Chart,
    drawn,
    sides_of,
    value_range,
)

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 90, 24
COLUMNS = 31  # of each the lowest and the highest value is drawn, so that no spike of one step is lost
EDGE = 2  # free above and below, for the width of the line

Stroke = list[tuple[int, int]]
Axis = Callable[[FloatArray], FloatArray]  # from values to heights


def sparkline(
    series: Series, chart: Chart, limits: Sequence[Limit], first: int, last: int
) -> dict[str, Any] | None:
    """Describe the line of a figure from step `first` to `last`, None if there is nothing to draw.

    The value axis is that of the chart: what is at home there is in view, and the next limit in either direction.
    `line` is a path in a box of WIDTH and HEIGHT, broken where values are missing or no number;
    `far` has a dot at the edge for each column with an infinite one, `limits` the heights of limits with their severity,
    `end` is where the last value stands.
    """
    if not len(series.step):
        return None
    shown = [limit for limit in limits if limit.metric in chart.metrics]
    is_far = np.abs(series.value) > LARGEST
    is_good = np.isfinite(series.value) & ~is_far
    known = series.value[is_good]
    ends = [float(known.min()), float(known.max())] if len(known) else []
    height = _axis(value_range(drawn(ends, chart), sides_of(shown), chart), chart)
    places = _places(series.step, first, last)
    heights = np.rint(height(np.where(is_good, series.value, chart.floor))).astype(np.int64)
    strokes = list(_strokes(places, heights, is_good, _gaps(series.step)))
    edges = zip(places[is_far].tolist(), (series.value[is_far] > 0).tolist(), strict=True)
    return {
        "line": "".join(_path(stroke) for stroke in strokes),
        "far": "".join(f"M{x} {EDGE if is_high else HEIGHT - EDGE}h0" for x, is_high in sorted(set(edges))),
        "limits": _limits(shown, height, chart),
        "end": list(strokes[-1][-1]) if strokes else None,
    }


def _places(steps: IntArray, first: int, last: int) -> IntArray:
    """Return where steps stand, by columns; one that is alone stands at the end, where the newest one is looked for."""
    share = (steps - first) / (last - first) if last > first else np.ones(len(steps))
    columns = np.rint(share.clip(0.0, 1.0) * (COLUMNS - 1)).astype(np.int64)
    return columns * WIDTH // (COLUMNS - 1)


def _axis(ends: tuple[float, float], chart: Chart) -> Axis:
    low, high = ends
    room = HEIGHT - 2 * EDGE

    def height(values: FloatArray) -> FloatArray:
        seen = np.log10(np.maximum(values, chart.floor)) if chart.log else values
        heights: FloatArray = HEIGHT - EDGE - (seen - low) / (high - low) * room
        return heights

    return height


def _gaps(steps: IntArray) -> IntArray:
    """Return the places of values before which none came for a while, as `with_gaps` has it."""
    distances = np.diff(steps)
    if not len(distances):
        return distances
    usual = np.sort(distances)[int(USUAL_SHARE * (len(distances) - 1))]
    gaps: IntArray = np.flatnonzero(distances > GAP * usual) + 1
    return gaps


def _strokes(places: IntArray, heights: IntArray, is_good: BoolArray, gaps: IntArray) -> Iterator[Stroke]:
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


def _path(stroke: Sequence[tuple[int, int]]) -> str:
    """Return a path, from the second point on relative, which is short; a point alone is a dot.

    >>> _path([(0, 12), (3, 10), (3, 14)]), _path([(6, 2)])
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


def _limits(limits: Sequence[Limit], height: Axis, chart: Chart) -> list[list[Any]]:
    """Return the heights of the limits that are in view, each with the word of its severity."""
    sides = [(side, limit.severity.word) for limit in limits for side in sides_of([limit])]
    seen = [(side, word) for side, word in sides if side > 0 or not chart.log]
    heights = height(np.array([side for side, _ in seen], dtype=np.float64)).tolist()
    return sorted([round(at), word] for at, (_, word) in zip(heights, seen, strict=True) if 0 <= at <= HEIGHT)
