"""Values that came and have no place on an axis: each has a small mark at the edge of the chart it belongs to."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.text import number

LARGEST = 1e200  # beyond this a value axis cannot count any more
# where on the edge, and by which symbol: above all values, below all, or none
ABOVE, BELOW, NOWHERE = (1.0, "triangle-up"), (0.0, "triangle-down"), (0.0, "x")


def lost_values(series: Sequence[Series | None], colors: Sequence[str]) -> dict[str, Any]:
    """Return the marks of what is NaN, infinite, or beyond counting, in the colours of the lines.

    With each goes the number of its line and its value in words, by which the browser tells it from what never came.
    """
    found = [
        (int(one.step[at]), index, float(one.value[at]))
        for index, one in enumerate(series)
        if one is not None
        for at in np.flatnonzero(~(np.abs(one.value) <= LARGEST)).tolist()
    ]
    places = [edge(value) for _, _, value in found]
    return {
        "type": "scatter", "mode": "markers", "yaxis": "y2", "showlegend": False, "hoverinfo": "skip", "cliponaxis": False,
        "x": [step for step, _, _ in found], "y": [height for height, _ in places],
        "customdata": [[index, number(value)] for _, index, value in found],
        "marker": {
            "size": 7, "color": [colors[index] for _, index, _ in found], "symbol": [symbol for _, symbol in places],
        },
    }  # fmt: skip


def edge(value: float) -> tuple[float, str]:
    """Return height and symbol of a value's mark."""
    return ABOVE if value > LARGEST else BELOW if value < -LARGEST else NOWHERE
