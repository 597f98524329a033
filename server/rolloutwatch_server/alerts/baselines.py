"""How far values are from what was usual before them, brought forward value by value.

A figure depends on the values in the window and on nothing before them: it is the same after a restart.
"""

import bisect
import math
from collections import deque
from collections.abc import Iterable, Sequence

from rolloutwatch_contract.baselines import LEAST, Baseline, baseline_of, least_spread, median, older_half
from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_contract.scales import Scale
from rolloutwatch_server.alerts.window import UNKNOWN, Window

RECENT = 32  # values that a drift adds up
MOST = 6.0  # spreads, which is as much as one value may add
MOST_ALIKE = 0.95
UNITS = (
    1 << 32
)  # to a spread, in which is counted what is added up: sums of integers are exact and may be carried on
SLACK = UNITS  # by which a value may be off without adding anything


class Off(Window):
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
        found = baseline_of(ordered).off(value) if self.is_full else UNKNOWN
        if len(before) == self._samples - 1:
            del ordered[bisect.bisect_left(ordered, before.popleft())]
        before.append(value)
        bisect.insort(ordered, value)
        return found

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for, the last one among them."""
        return self._count == self._samples


class Reference:
    """The older half of the values before one, at least LEAST of them: what happens now is not part of it for a while."""

    __slots__ = ("_most", "_newer", "_older", "ordered")

    def __init__(self, samples: int) -> None:
        self._older: deque[float] = deque()
        self._newer: deque[float] = deque()
        self._most = samples - 1
        self.ordered: list[float] = []  # the older half, ascending

    @property
    def is_known(self) -> bool:
        """Whether there are enough values to tell what is usual; as long as there are not, all are older ones."""
        return len(self.ordered) >= LEAST

    def take(self, value: float) -> None:
        """Take one more value, which is then before the next one."""
        older, newer = self._older, self._newer
        newer.append(value)
        count = len(older) + len(newer)
        if count > self._most:
            self._drop()
            count -= 1
        if len(older) < older_half(count):
            self._add(newer.popleft())

    def clear(self) -> None:
        """Forget all values."""
        self._older.clear()
        self._newer.clear()
        self.ordered.clear()

    def _drop(self) -> float:
        gone = self._older.popleft()
        del self.ordered[bisect.bisect_left(self.ordered, gone)]
        return gone

    def _add(self, value: float) -> None:
        self._older.append(value)
        bisect.insort(self.ordered, value)


class Chain(Reference):
    """One that knows how far each of its values is from the one before it."""

    __slots__ = ("links",)

    def __init__(self, samples: int) -> None:
        super().__init__(samples)
        self.links: list[float] = []  # ascending

    def clear(self) -> None:
        """Forget all values."""
        super().clear()
        self.links.clear()

    def _drop(self) -> float:
        gone = super()._drop()
        if self._older:
            del self.links[bisect.bisect_left(self.links, _apart(gone, self._older[0]))]
        return gone

    def _add(self, value: float) -> None:
        if self._older:
            bisect.insort(self.links, _apart(self._older[-1], value))
        super()._add(value)


class Jump(Window):
    """How far the last value is from the baseline, in spreads, on the metric's scale."""

    __slots__ = ("_lacking", "_least", "_reference", "_scale")

    def __init__(self, samples: int, scale: Scale | None = None) -> None:
        self._reference = Reference(samples)
        self._scale = scale
        self._least = least_spread(scale)
        self._lacking = samples  # so many more values until none of before could change anything

    def push(self, step: int, value: float) -> float:
        """Take one more value; return how far it is from the baseline."""
        placed = value if self._scale is None else self._scale.of(value)
        reference = self._reference
        found = UNKNOWN
        if reference.is_known:
            found = baseline_of(reference.ordered, self._least).off(placed)
        reference.take(placed)
        self._lacking -= self._lacking > 0
        return found

    def learn(self, values: Iterable[float]) -> None:
        """Take values as if they had been before the first one."""
        for value in values:
            self._reference.take(value if self._scale is None else self._scale.of(value))

    def begin_anew(self) -> None:
        """Forget all values: of another session others may be usual."""
        self._reference.clear()
        self._lacking = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many values as are asked for, or all since the baseline began."""
        return not self._lacking


class Climb:
    """How far a sum is above its lowest among the last RECENT before; exact, because it is of integers."""

    __slots__ = ("_count", "_lows", "_sum")

    def __init__(self) -> None:
        self._lows = deque([(0, 0)])  # rising, the first of them is the one
        self._sum = 0
        self._count = 0

    def add(self, number: int) -> int:
        """Add one more number; return how far that is above."""
        lows = self._lows
        self._sum += number
        self._count += 1
        if lows[0][0] < self._count - RECENT:
            lows.popleft()
        found = self._sum - lows[0][1]
        while lows and lows[-1][1] >= self._sum:
            lows.pop()
        lows.append((self._count, self._sum))
        return found


class Drift(Window):
    """How far values have been from the baseline for long: a two-sided CUSUM over the last ones.

    Page, "Continuous inspection schemes" (1954); limited to a window as by Lai, "Sequential changepoint detection in quality
    control and dynamical systems" (1995). It counts what is new in each value, without what it has from the one before it,
    since a figure that wanders as it always did is not adrift.
    """

    __slots__ = ("_down", "_lacking", "_last", "_least", "_reference", "_scale", "_up")

    def __init__(self, samples: int, scale: Scale | None = None) -> None:
        self._reference = Chain(samples)
        self._up, self._down = Climb(), Climb()
        self._last = UNKNOWN
        self._scale = scale
        self._least = least_spread(scale)
        self._lacking = samples + RECENT - 1  # so many more values until none of before could change anything

    def push(self, step: int, value: float) -> float:
        """Take one more value; return how far values have drifted, which is negative if they fell."""
        placed = value if self._scale is None else self._scale.of(value)
        found = self._drift(self._new(placed)) if self._reference.is_known else UNKNOWN
        self._reference.take(placed)
        self._last = placed
        self._lacking -= self._lacking > 0
        return found

    def learn(self, values: Iterable[float]) -> None:
        """Take values as if they had been before the first one, none of which has drifted."""
        for value in values:
            self._last = value if self._scale is None else self._scale.of(value)
            self._reference.take(self._last)

    def begin_anew(self) -> None:
        """Forget all values: of another session others may be usual."""
        self._reference.clear()
        self._up, self._down = Climb(), Climb()
        self._lacking = 0

    @property
    def is_full(self) -> bool:
        """Whether there is all that what is added up was compared with, or all since the baseline began."""
        return not self._lacking

    def _drift(self, new: float) -> float:
        counted = round(new * UNITS)
        up, down = self._up.add(counted - SLACK), self._down.add(-counted - SLACK)
        return max(up, 0) / UNITS if up >= down else min(-down, 0) / UNITS

    def _new(self, value: float) -> float:
        """Return what is new in a value, in spreads: not what follows from how far the one before it was."""
        ordered = self._reference.ordered
        low, high = _quartiles(ordered)
        center = (low + high) / 2
        if not math.isfinite(center):
            return 0.0
        distance = OF_A_NORMAL * (high - low) / 2
        spread = max(distance, self._least)
        new = Baseline(center, spread, ordered[0], ordered[-1]).off(value)
        alike = self._alike(distance)
        if alike and math.isfinite(value):
            new = (new - alike * ((self._last - center) / spread)) / math.sqrt(1 - alike * alike)
        # it is not known of values that are farther apart than any double is large
        return max(-MOST, min(new, MOST)) if new == new else 0.0

    def _alike(self, distance: float) -> float:
        """Return how much of how far one value is off comes again with the next, by how far apart these are."""
        if not distance or math.isinf(distance):
            return 0.0
        apart = OF_A_NORMAL * median(self._reference.links) / distance
        chance = 1 / math.sqrt(len(self._reference.ordered))  # by which values that are not alike seem to be
        return max(0.0, min(1 - apart * apart / 2 - chance, MOST_ALIKE))


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else abs(one - other)  # equal infinities too


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Return between which values the middle half of others is.

    Halfway between them is the middle of values of two kinds, too, which a median takes for those of the more frequent.
    """
    outside = len(ordered) // 4
    return ordered[outside], ordered[-1 - outside]
