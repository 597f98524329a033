"""What was usual for a figure: the older half of the values before one, on the metric's scale.

A rule's `jump`, the band of a chart and the table of a step compare with the same.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_contract.scales import LEAST_SPREAD, Scale

SAMPLES = 400  # that default rules and charts look back over, the value that is compared among them
LEAST = 20  # values before, of which fewer say nothing of what is usual


class Baseline(NamedTuple):
    """Where values were, on a scale: their median, their spread, and all of them; the spread is 0 where most are equal."""

    center: float
    spread: float
    lowest: float
    highest: float

    def off(self, value: float) -> float:
        """Return how far a value on the scale is from the median, in spreads; NaN where the median is infinite.

        Where most values are equal it is 0 within all that came, and infinite beyond.
        """
        if not math.isfinite(self.center):
            return math.nan
        if math.isinf(value):
            return value
        if self.spread:
            return (value - self.center) / self.spread
        return 0.0 if self.lowest <= value <= self.highest else math.copysign(math.inf, value - self.center)


def older_half(count: int) -> int:
    """Return how many of so many values before one are the older half, which are at least LEAST if there are so many."""
    return max(LEAST, count // 2)


def least_spread(scale: Scale | None) -> float:
    """Return the least spread on a scale."""
    return 0.0 if scale is None else LEAST_SPREAD


def baseline_of(ordered: Sequence[float], least: float = 0.0) -> Baseline:
    """Return where values were that stand in ascending order on a scale, with a spread of at least `least`.

    The spread is their median distance from the median times 1.4826: a standard deviation of normal values that a few
    wild ones do not move.
    """
    center = median(ordered)
    if not math.isfinite(center):
        return Baseline(center, math.nan, ordered[0], ordered[-1])
    spread = max(OF_A_NORMAL * _median_distance(ordered, center), least)
    return Baseline(center, spread, ordered[0], ordered[-1])


def median(ordered: Sequence[float]) -> float:
    """Return the median of values in ascending order."""
    half, is_odd = divmod(len(ordered), 2)
    return ordered[half] if is_odd else (ordered[half - 1] + ordered[half]) / 2


def _median_distance(ordered: Sequence[float], center: float) -> float:
    """Return the median distance of values from their median: those that are nearest to it stand side by side."""
    half, is_odd = divmod(len(ordered), 2)
    low, high = 0, len(ordered) - half - 1
    while low < high:
        middle = (low + high) // 2
        if center - ordered[middle] > ordered[middle + half + 1] - center:
            low = middle + 1
        else:
            high = middle
    left, right = center - ordered[low], ordered[low + half] - center
    if is_odd:
        return max(left, right)
    # of so many and one more the farther end is the one more
    if left > right:
        return (left + max(center - ordered[low + 1], right)) / 2
    return (right + max(left, ordered[low + half - 1] - center)) / 2
