"""Intervals of numbers, closed at both ends, and what arithmetic makes of them."""

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """All numbers from `low` to `high`, both included; infinity is a number here."""

    low: float
    high: float

    def wider(self, share: float) -> "Interval":
        """Return one with room for rounding: by so much of its ends, and by a little beside 0."""
        return Interval(
            self.low - abs(self.low) * share - 1e-9 if math.isfinite(self.low) else self.low,
            self.high + abs(self.high) * share + 1e-9 if math.isfinite(self.high) else self.high,
        )


EVERYTHING = Interval(-math.inf, math.inf)
FRACTION = Interval(0.0, 1.0)
POSITIVE = Interval(0.0, math.inf)


def hull(*values: float) -> Interval:
    """Return the smallest interval that has all values; everything if one is no number."""
    if any(math.isnan(value) for value in values):
        return EVERYTHING
    return Interval(min(values), max(values))


def arithmetic(operator: str, left: Interval, right: Interval) -> Interval:
    """Return what an operation can come to, rounding included."""
    if operator == "+":
        return hull(left.low + right.low, left.high + right.high).wider(1e-12)
    if operator == "-":
        return hull(left.low - right.high, left.high - right.low).wider(1e-12)
    if operator == "*":
        return hull(*(a * b for a in left for b in right)).wider(1e-12)
    if right.low <= 0 <= right.high:
        return EVERYTHING
    return hull(*(a / b for a in left for b in right)).wider(1e-12)


def absolute(interval: Interval) -> Interval:
    """Return what the absolute values can be."""
    ends = hull(abs(interval.low), abs(interval.high))
    return Interval(0.0, ends.high) if interval.low <= 0 <= interval.high else ends
