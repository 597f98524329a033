"""The axis of log ratios: linear around 0 and logarithmic to both sides, evenly by the bins of the histogram."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rolloutwatch_contract.tables import HISTOGRAM_EDGES
from rolloutwatch_dashboard import theme

END = len(HISTOGRAM_EDGES) // 2  # the place of the last bin, which is open
AIR = 1.5
TICKS = (-10.0, -1.0, -0.1, -0.001, 0.0, 0.001, 0.1, 1.0, 10.0)
LABELS = ("-10", "-1", "-0.1", "-0.001", "0", "0.001", "0.1", "1", "10")  # few enough for a phone

_EDGES = np.array(HISTOGRAM_EDGES)
_PLACES = np.arange(len(HISTOGRAM_EDGES)) - (len(HISTOGRAM_EDGES) - 1) / 2


def places(values: Sequence[float]) -> list[float | None]:
    """Return where log ratios stand: a bin is 1 wide, 0 is in the middle, and what is beyond all bins is at the ends.

    None for NaN, which has no place.

    >>> places([0.0, 32.0, -1e9, math.inf, math.nan])
    [0.0, 88.5, -89.0, 89.0, None]
    """
    found = np.interp(np.array(values, dtype=np.float64), _EDGES, _PLACES, -float(END), float(END))
    return [None if math.isnan(place) else place for place in found.tolist()]


def axis(title: str) -> dict[str, Any]:
    """Return the axis, always the same, so that steps can be leafed through."""
    return {
        "title": {"text": title}, "gridcolor": theme.GRID, "zeroline": False, "tickmode": "array",
        "tickvals": places(TICKS), "ticktext": list(LABELS), "tickangle": 0, "range": [-END - AIR, END + AIR], "autorange": False,
    }  # fmt: skip
