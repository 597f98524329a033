"""A figure over the last steps in the room of a word: its path, its limits, and its end, as SVG has them."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.figures.timeseries import (
    LARGEST,
    Chart,
    drawn,
    sides_of,
    value_range,
    visible,
    with_gaps,
)

WIDTH, HEIGHT = 90, 24
COLUMNS = 31  # of each the lowest and the highest value is drawn, so that no spike of one step is lost
EDGE = 2  # free above and below, for the width of the line

Point = tuple[int, float | None]  # the column, and where it stands on the value axis


def sparkline(
    series: Series, chart: Chart, limits: Sequence[Limit], first: int, last: int
) -> dict[str, Any] | None:
    """Describe the line of a figure from step `first` to `last`, None if there is nothing to draw.

    The value axis is that of the chart: what is at home there is in view, and the next limit in either direction.
    `line` is a path in a box of WIDTH and HEIGHT, broken where values are missing or no number;
    `far` has a dot at the edge for each column with an infinite one, `limits` the heights of limits with their severity,
    `end` is where the last value stands.
    """
    steps, values = visible(series)
    if not steps:
        return None
    shown = [limit for limit in limits if limit.metric in chart.metrics]
    places = drawn(values, chart)
    axis = value_range(places, sides_of(shown), chart)
    at, value = with_gaps(steps, places)
    points = [
        (_column(step, first, last), _height(one, axis, chart)) for step, one in zip(at, value, strict=True)
    ]
    known = [point for point in points if point[1] is not None]
    return {
        "line": "".join(_path(stroke) for stroke in _strokes(points)),
        "far": "".join(_far(series, first, last)),
        "limits": _limits(shown, axis, chart),
        "end": [_x(known[-1][0]), round(known[-1][1] or 0.0)] if known else None,
    }


def _column(step: int, first: int, last: int) -> int:
    """Return the column of a step; one that is alone stands at the end, where the newest one is looked for."""
    share = (step - first) / (last - first) if last > first else 1.0
    return round(min(max(share, 0.0), 1.0) * (COLUMNS - 1))


def _x(column: int) -> int:
    return column * WIDTH // (COLUMNS - 1)


def _height(value: float | None, axis: tuple[float, float], chart: Chart) -> float | None:
    if value is None:
        return None
    low, high = axis
    share = ((math.log10(value) if chart.log else value) - low) / (high - low)
    return HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)


def _strokes(points: Sequence[Point]) -> Iterator[list[tuple[int, int]]]:
    """Yield what is drawn without lifting the pen: of each column the two extremes, in the order in which they came."""
    for is_gap, run in itertools.groupby(points, key=lambda point: point[1] is None):
        if is_gap:
            continue
        stroke: list[tuple[int, int]] = []
        for column, of_column in itertools.groupby(run, key=lambda point: point[0]):
            heights = [height for _, height in of_column if height is not None]
            ends = sorted({heights.index(min(heights)), heights.index(max(heights))})
            stroke += dict.fromkeys((_x(column), round(heights[at])) for at in ends)
        yield _without_middles(stroke)


def _without_middles(stroke: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
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


def _far(series: Series, first: int, last: int) -> Iterator[str]:
    """Yield a dot at the edge, once for each column and edge, where values are beyond what an axis can count to."""
    seen = {
        (_x(_column(step, first, last)), EDGE if value > 0 else HEIGHT - EDGE)
        for step, value in zip(series.step.tolist(), series.value.tolist(), strict=True)
        if abs(value) > LARGEST
    }
    for x, y in sorted(seen):
        yield f"M{x} {y}h0"


def _limits(limits: Sequence[Limit], axis: tuple[float, float], chart: Chart) -> list[list[Any]]:
    """Return the heights of the limits that are in view, each with the word of its severity."""
    found = []
    for limit in limits:
        for side in sides_of([limit]):
            height = _height(side, axis, chart) if side > 0 or not chart.log else None
            if height is not None and 0 <= height <= HEIGHT:
                found.append([round(height), limit.severity.word])
    return sorted(found)
