"""Figures over the last values of a metric, brought forward value by value.

Sums are kept exactly, as integers, so that a figure depends on the values in the window and on nothing before them,
and is the double that is nearest to the true one: it is the same after a restart, and whoever computes it anew gets it.
"""

import bisect
import math
from collections import deque
from collections.abc import Callable

from rolloutwatch_contract.scales import Scale, scale_of
from rolloutwatch_server.alerts.baselines import Drift, Jump, Off
from rolloutwatch_server.alerts.window import UNKNOWN, Window

_BITS = 64  # enough for the usual figure; there are more as soon as a value asks for them


class Mean(Window):
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


class Extreme(Window):
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


class Difference(Window):
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


class Slope(Window):
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


class Trend(Window):
    """Kendall's tau of the values over time: of all pairs the share that rises less the share that falls."""

    __slots__ = ("_ordered", "_rising", "_samples", "_values")

    def __init__(self, samples: int) -> None:
        self._values: deque[float] = deque()
        self._ordered: list[float] = []  # the same, ascending
        self._rising = 0  # pairs, less those that fall
        self._samples = samples

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the trend."""
        values, ordered = self._values, self._ordered
        if self.is_full:
            gone = values.popleft()
            del ordered[bisect.bisect_left(ordered, gone)]
            self._rising += self._lower_less_higher(gone)  # of which it was the first
        self._rising += self._lower_less_higher(value)
        values.append(value)
        bisect.insort(ordered, value)
        return 2 * self._rising / (self._samples * (self._samples - 1)) if self.is_full else UNKNOWN

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._values) == self._samples

    def _lower_less_higher(self, value: float) -> int:
        ordered = self._ordered
        return bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value) - len(ordered)


class Saw(Window):
    """Of the changes from each value to the next the share that rises less the share that falls."""

    __slots__ = ("_rising", "_values")

    def __init__(self, samples: int) -> None:
        self._values: deque[float] = deque(maxlen=samples)
        self._rising = 0  # changes, less those that fall

    def push(self, step: int, value: float) -> float:
        """Take one more value; return the share."""
        values = self._values
        if self.is_full:
            self._rising -= _sign(values[0], values[1])
        if values:
            self._rising += _sign(values[-1], value)
        values.append(value)
        return self._rising / (len(values) - 1) if self.is_full else UNKNOWN

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for."""
        return len(self._values) == self._values.maxlen


def _sign(before: float, after: float) -> int:
    return (after > before) - (after < before)


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
    "trend": Trend,
    "saw": Saw,
}
ON_A_SCALE: dict[str, Callable[[int, Scale | None], Window]] = {"jump": Jump, "drift": Drift}


def empty_window(function: str, samples: int, metric: str) -> Window:
    """Return an empty window over a metric."""
    if function in ON_A_SCALE:
        return ON_A_SCALE[function](samples, scale_of(metric))
    return WINDOWS[function](samples)
