"""Figures in JSON, which has no word for what is not finite: there it is spelt as text."""

import math
from collections.abc import Mapping
from typing import Literal

Spelt = float | Literal["NaN", "Infinity", "-Infinity"]


def spelt(value: float) -> Spelt:
    """Return a figure as JSON can have it.

    >>> [spelt(one) for one in (0.5, math.nan, math.inf, -math.inf)]
    [0.5, 'NaN', 'Infinity', '-Infinity']
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def spelt_all(values: Mapping[str, float]) -> dict[str, Spelt]:
    """Return figures by name as JSON can have them."""
    return {name: spelt(value) for name, value in values.items()}
