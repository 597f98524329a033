"""Figures over the last values of a metric, brought forward value by value.

Sums are kept exactly, as integers, so that a figure depends on the values in the window and on nothing before them,
and is the double that is nearest to the true one: it is the same after a restart, and whoever computes it anew gets it.
"""

import bisect
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL

UNKNOWN = math.nan

_BITS = 64  # enough for the usual figure; there are more as soon as a value asks for them


class Window(Protocol):
    """The last values of a metric, and a figure of them."""

    def push(self, step: int, value: float) -> float:
        """Take one more value, that is not NaN; return the figure, NaN as long as the window is not full."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether no value of before could change anything."""
        ...


class Mean:
    """The mean; infinite if a value is, unknown if infinities of both signs are there."""

    __slots__ = ("_bits", "_infinite", "_samples", "_sum_of_infinite", "_total", "_values")

    def __init__(self, samples: int) -> None:
        self._values: deque[float] = deque()
        self._samples = samples
        self._bits = _BITS
        self._total = 0  # in units of which 2^(bits - 1) are 1
        self._infinite = 0
        self._sum_of_infinite = 0

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the mean."""
        values = self._values
        values.append(value)
        exact = self._exact(value, 1)  # which may change the unit of the total
        self._total += exact
        if len(values) > self._samples:
            self._total -= self._exact(values.popleft(), -1)
        elif len(values) < self._samples:
            return UNKNOWN
        if self._infinite:
            is_one_sided = abs(self._sum_of_infinite) == self._infinite
            return math.copysign(math.inf, self._sum_of_infinite) if is_one_sided else UNKNOWN
        return self._total / (self._samples << self._bits - 1)

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._values) == self._samples

    def _exact(self, value: float, comes: int) -> int:
        """Return a value in units; an infinite one is counted, and is none."""
        try:
            numerator, denominator = value.as_integer_ratio()
        except OverflowError:
            self._infinite += comes
            self._sum_of_infinite += comes if value > 0 else -comes
            return 0
        spare = self._bits - denominator.bit_length()
        if spare < 0:
            self._bits -= spare
            self._total <<= -spare
            return numerator
        return numerator << spare


class Extreme:
    """The lowest (sign -1) or highest (sign 1) value."""

    __slots__ = ("_candidates", "_count", "_samples", "_sign")

    def __init__(self, samples: int, sign: int) -> None:
        self._candidates: deque[tuple[int, float]] = deque()  # falling, the first of them is the one
        self._samples = samples
        self._sign = sign
        self._count = 0

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the lowest or highest."""
        signed, candidates = value * self._sign, self._candidates
        while candidates and candidates[-1][1] <= signed:
            candidates.pop()
        candidates.append((self._count, signed))
        self._count += 1
        if candidates[0][0] < self._count - self._samples:
            candidates.popleft()
        return candidates[0][1] * self._sign if self.is_full else UNKNOWN

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return self._count >= self._samples


class Difference:
    """The last value less the first."""

    __slots__ = ("_values",)

    def __init__(self, samples: int) -> None:
        self._values: deque[float] = deque(maxlen=samples)

    def push(self, step: int, value: float) -> float:
        """Take one more value; return how far it is from the first one."""
        self._values.append(value)
        return value - self._values[0] if self.is_full else UNKNOWN

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._values) == self._values.maxlen


class Slope:
    """The slope of the least-squares line, per step; unknown if a value is infinite."""

    __slots__ = ("_bits", "_infinite", "_points", "_samples", "_x", "_xx", "_xy", "_y")

    def __init__(self, samples: int) -> None:
        self._points: deque[tuple[int, float]] = deque()
        self._samples = samples
        self._bits = _BITS
        self._x = self._xx = 0
        self._y = self._xy = 0  # in units of which 2^(bits - 1) are 1
        self._infinite = 0

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the slope."""
        points = self._points
        points.append((step, value))
        exact = self._exact(value, 1)
        self._x += step
        self._xx += step * step
        self._y += exact
        self._xy += step * exact
        if len(points) > self._samples:
            self._drop(*points.popleft())
        elif len(points) < self._samples:
            return UNKNOWN
        return UNKNOWN if self._infinite else self._slope()

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._points) == self._samples

    def _drop(self, step: int, value: float) -> None:
        exact = self._exact(value, -1)
        self._x -= step
        self._xx -= step * step
        self._y -= exact
        self._xy -= step * exact

    def _slope(self) -> float:
        rise = self._samples * self._xy - self._x * self._y
        run = self._samples * self._xx - self._x * self._x
        try:
            return rise / (run << self._bits - 1)
        except OverflowError:
            return math.inf if rise > 0 else -math.inf

    def _exact(self, value: float, comes: int) -> int:
        """Return a value in units; an infinite one is counted, and is none."""
        try:
            numerator, denominator = value.as_integer_ratio()
        except OverflowError:
            self._infinite += comes
            return 0
        spare = self._bits - denominator.bit_length()
        if spare < 0:
            self._bits -= spare
            self._y <<= -spare
            self._xy <<= -spare
            return numerator
        return numerator << spare


class Off:
    """How far the last value is from what was usual before it, in spreads."""

    __slots__ = ("_before", "_count", "_ordered", "_samples")

    def __init__(self, samples: int) -> None:
        self._before: deque[float] = deque()
        self._ordered: list[float] = []  # the same, ascending
        self._samples = samples
        self._count = 0

    def push(self, step: int, value: float) -> float:
        """Take one more value; return how far off it is."""
        before, ordered = self._before, self._ordered
        self._count = min(self._count + 1, self._samples)
        found = self._off(value) if self.is_full else UNKNOWN
        if len(before) == self._samples - 1:
            del ordered[bisect.bisect_left(ordered, before.popleft())]
        before.append(value)
        bisect.insort(ordered, value)
        return found

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for, the last one among them."""
        return self._count == self._samples

    def _off(self, value: float) -> float:
        ordered = self._ordered
        half, is_odd = divmod(len(ordered), 2)
        center = ordered[half] if is_odd else (ordered[half - 1] + ordered[half]) / 2
        if not math.isfinite(center):
            return UNKNOWN
        distance = self._nearest(half + 1, center)
        if not is_odd:
            distance = (self._nearest(half, center) + distance) / 2
        spread = OF_A_NORMAL * distance
        if spread:
            return (value - center) / spread
        return 0.0 if ordered[0] <= value <= ordered[-1] else math.copysign(math.inf, value - center)

    def _nearest(self, count: int, center: float) -> float:
        """Return the distance within which so many values are: they stand side by side."""
        ordered = self._ordered
        low, high = 0, len(ordered) - count
        while low < high:
            middle = (low + high) // 2
            if center - ordered[middle] > ordered[middle + count] - center:
                low = middle + 1
            else:
                high = middle
        return max(center - ordered[low], ordered[low + count - 1] - center)


class Shares:
    """Of the last steps at which a condition was known the share at which it was true."""

    __slots__ = ("_steps", "_true", "_truths", "step", "sure")

    def __init__(self, steps: int) -> None:
        self._truths: deque[bool] = deque()
        self._steps = steps
        self._true = 0
        self.step = -1
        self.sure = (
            0  # of how many steps it is sure that what was before could not make known what is unknown
        )

    def push(self, step: int, is_true: bool) -> float:
        """Take the condition of one more step; return the share."""
        self.step = step
        self._truths.append(is_true)
        self._true += is_true
        if len(self._truths) > self._steps:
            self._true -= self._truths.popleft()
        elif len(self._truths) < self._steps:
            return UNKNOWN
        return self._true / self._steps

    @property
    def is_full(self) -> bool:
        """Whether nothing of before could change anything."""
        return self.sure >= self._steps


WINDOWS: dict[str, Callable[[int], Window]] = {
    "mean": Mean,
    "min": lambda samples: Extreme(samples, -1),
    "max": lambda samples: Extreme(samples, 1),
    "change": Difference,
    "rate": Slope,
    "off": Off,
}
