"""A figure over the last steps in the room of a word: its path, its limits, and its end, as SVG has them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.figures.lost import LARGEST
from rolloutwatch_dashboard.figures.strokes import (
    EDGE,
    Axis,
    Box,
    axis_of,
    gaps_of,
    path_of,
    places_of,
    strokes_of,
)
from rolloutwatch_dashboard.figures.timeseries import (
    Chart,
    drawn,
    sides_of,
    value_range,
)

WIDTH, HEIGHT = 90, 24
COLUMNS = 31
BOX = Box(WIDTH, HEIGHT, COLUMNS)


def sparkline(
    series: Series, chart: Chart, limits: Sequence[Limit], first: int, last: int, box: Box = BOX
) -> dict[str, Any] | None:
    """Describe the line of a figure from step `first` to `last`, None if there is nothing to draw.

    The value axis is that of the chart: what is at home there is in view, and the next limit in either direction.
    `line` is a path in a box, broken where values are missing or no number;
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
    height = axis_of(value_range(drawn(ends, chart), sides_of(shown), chart), chart, box)
    places = places_of(series.step, first, last, box)
    heights = np.rint(height(np.where(is_good, series.value, chart.floor))).astype(np.int64)
    strokes = list(strokes_of(places, heights, is_good, gaps_of(series.step)))
    edges = zip(places[is_far].tolist(), (series.value[is_far] > 0).tolist(), strict=True)
    return {
        "line": "".join(path_of(stroke) for stroke in strokes),
        "far": "".join(
            f"M{x} {EDGE if is_high else box.height - EDGE}h0" for x, is_high in sorted(set(edges))
        ),
        "limits": _limits(shown, height, chart, box),
        "end": list(strokes[-1][-1]) if strokes else None,
    }


def _limits(limits: Sequence[Limit], height: Axis, chart: Chart, box: Box) -> list[list[Any]]:
    """Return the heights of the limits that are in view, each with the word of its severity."""
    sides = [(side, limit.severity.word) for limit in limits for side in sides_of([limit])]
    seen = [(side, word) for side, word in sides if side > 0 or not chart.log]
    heights = height(np.array([side for side, _ in seen], dtype=np.float64)).tolist()
    return sorted(
        [round(at), word] for at, (_, word) in zip(heights, seen, strict=True) if 0 <= at <= box.height
    )
