"""Figures over the last values of a metric, brought forward value by value.

Sums are kept exactly, as integers, so that a figure depends on the values in the window and on nothing before them,
and is the double that is nearest to the true one: it is the same after a restart, and whoever computes it anew gets it.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

UNKNOWN = math.nan

_BITS = 1074  # 2^-1074 is the smallest double, and every other one is a multiple of it


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

    def __init__(self, samples: int) -> None:
        self._values: deque[float] = deque()
        self._samples = samples
        self._total = 0
        self._divisor = samples << _BITS
        self._infinite = _Infinities()

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the mean."""
        self._values.append(value)
        self._total += self._infinite.enter(value)
        if len(self._values) > self._samples:
            self._total -= self._infinite.leave(self._values.popleft())
        elif len(self._values) < self._samples:
            return UNKNOWN
        if self._infinite.count:
            return self._infinite.total
        return self._total / self._divisor

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._values) == self._samples


class Extreme:
    """The lowest (sign -1) or highest (sign 1) value."""

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

    def __init__(self, samples: int) -> None:
        self._points: deque[tuple[int, float]] = deque()
        self._samples = samples
        self._x = self._xx = self._y = self._xy = 0
        self._infinite = _Infinities()

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the slope."""
        self._points.append((step, value))
        self._add(step, self._infinite.enter(value), 1)
        if len(self._points) > self._samples:
            step, value = self._points.popleft()
            self._add(step, self._infinite.leave(value), -1)
        elif len(self._points) < self._samples:
            return UNKNOWN
        if self._infinite.count:
            return UNKNOWN
        rise = self._samples * self._xy - self._x * self._y
        run = self._samples * self._xx - self._x * self._x
        try:
            return rise / (run << _BITS)
        except OverflowError:
            return math.inf if rise > 0 else -math.inf

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._points) == self._samples

    def _add(self, step: int, value: int, times: int) -> None:
        self._x += times * step
        self._xx += times * step * step
        self._y += times * value
        self._xy += times * step * value


class Shares:
    """The share of the last steps at which a condition was true, of those at which it was known."""

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


class _Infinities:
    """How many infinite values are there, which are left out of sums."""

    def __init__(self) -> None:
        self.above = self.below = 0

    @property
    def count(self) -> int:
        return self.above + self.below

    @property
    def total(self) -> float:
        if self.above and self.below:
            return UNKNOWN
        return math.inf if self.above else -math.inf

    def enter(self, value: float) -> int:
        return self._exact(value, 1)

    def leave(self, value: float) -> int:
        return self._exact(value, -1)

    def _exact(self, value: float, times: int) -> int:
        """Return the value as a multiple of 2^-1074, 0 if it is infinite."""
        if value == math.inf:
            self.above += times
            return 0
        if value == -math.inf:
            self.below += times
            return 0
        numerator, denominator = value.as_integer_ratio()
        return numerator << (_BITS + 1 - denominator.bit_length())


WINDOWS: dict[str, Callable[[int], Window]] = {
    "mean": Mean,
    "min": lambda samples: Extreme(samples, -1),
    "max": lambda samples: Extreme(samples, 1),
    "change": Difference,
    "rate": Slope,
}
