"""What a condition comes to, computed anew from all steps so far: slow, and plain enough to be believed.

A run is a list of steps, each with its number and its figures. Numbers are None where they are unknown.
"""

import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from rolloutwatch_contract.conditions import Truth, nodes
from rolloutwatch_contract.conditions.nodes import Node
from rolloutwatch_contract.scales import scale_of


class Step(NamedTuple):
    """A step; `sessions` are those that brought its figures, all the same if none is named."""

    number: int
    figures: Mapping[str, float]
    sessions: Mapping[str, int] = {}


class Conditions:
    """The steps of a run, and what conditions come to after each of them; what was found is kept."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self._found: dict[tuple[Node, int, bool], Truth] = {}

    def truth(self, node: Node, at: int, *, closed: bool) -> Truth:
        """At a place in the run; unless closed, more figures of that step may come."""
        key = (node, at, closed)
        if key not in self._found:
            self._found[key] = self._truth(node, at, closed)
        return self._found[key]

    def _truth(self, node: Node, at: int, closed: bool) -> Truth:
        if isinstance(node, nodes.Silent):
            return Truth.FALSE
        if isinstance(node, nodes.Not):
            return Truth(2 - self.truth(node.operand, at, closed=closed))
        if isinstance(node, nodes.And):
            return min(self.truth(part, at, closed=closed) for part in node.operands)
        if isinstance(node, nodes.Or):
            return max(self.truth(part, at, closed=closed) for part in node.operands)
        if isinstance(node, nodes.Absent):
            return self._absent(node, at, closed)
        assert isinstance(node, nodes.Comparison)
        left, right = self.number(node.left, at, closed=closed), self.number(node.right, at, closed=closed)
        if left is None or right is None:
            return Truth.UNKNOWN
        return Truth.TRUE if _holds(node.operator, left, right) else Truth.FALSE

    def number(self, node: Node, at: int, *, closed: bool) -> float | None:
        if isinstance(node, nodes.Number):
            return node.value
        if isinstance(node, nodes.Metric):
            return _known(self.steps[at].figures.get(node.name))
        if isinstance(node, nodes.Negative):
            value = self.number(node.operand, at, closed=closed)
            return None if value is None else -value
        if isinstance(node, nodes.Absolute):
            value = self.number(node.operand, at, closed=closed)
            return None if value is None else abs(value)
        if isinstance(node, nodes.Arithmetic):
            left, right = (
                self.number(node.left, at, closed=closed),
                self.number(node.right, at, closed=closed),
            )
            return None if left is None or right is None else _calculated(node.operator, left, right)
        if isinstance(node, nodes.Over):
            return self._over(node, at)
        assert isinstance(node, nodes.Share)
        return self._share(node, at, closed)

    def _absent(self, node: nodes.Absent, at: int, closed: bool) -> Truth:
        came = [place for place in range(at + 1) if node.metric in self.steps[place].figures]
        if not came:
            return Truth.UNKNOWN
        if came[-1] > at - node.steps:
            return Truth.FALSE
        return Truth.TRUE if closed else Truth.UNKNOWN

    def _over(self, node: nodes.Over, at: int) -> float | None:
        if _known(self.steps[at].figures.get(node.metric)) is None:
            return None
        points = [
            (step.number, value)
            for step in self.steps[: at + 1]
            if (value := _known(step.figures.get(node.metric))) is not None
        ]
        if node.function in FROM_A_BASELINE:
            values = self._since_another_session(node.metric, at)
            return _known(FROM_A_BASELINE[node.function](values, node.samples, node.metric))
        points = points[-node.samples :]
        if len(points) < node.samples:
            return None
        return _known(OVER[node.function](points))

    def _since_another_session(self, metric: str, at: int) -> list[float]:
        """The values of a metric up to a place in the run, since they came from another session than that of the last."""
        known = [
            (step.sessions.get(metric, 0), value)
            for step in self.steps[: at + 1]
            if (value := _known(step.figures.get(metric))) is not None
        ]
        last, _ = known[-1]
        tail = itertools.takewhile(lambda one: one[0] == last, reversed(known))
        return [value for _, value in tail][::-1]

    def _share(self, node: nodes.Share, at: int, closed: bool) -> float | None:
        now = self.truth(node.condition, at, closed=closed)
        truths = [self.truth(node.condition, place, closed=True) for place in range(at)] + [now]
        known = [truth for truth in truths if truth is not Truth.UNKNOWN][-node.steps :]
        if now is Truth.UNKNOWN or len(known) < node.steps:
            return None
        return known.count(Truth.TRUE) / node.steps


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _holds(operator: str, left: float, right: float) -> bool:
    return {
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
        "==": left == right,
        "!=": left != right,
    }[operator]


def _calculated(operator: str, left: float, right: float) -> float | None:
    if operator == "/" and right == 0:
        return None
    return _known(
        {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1.0)}[operator]
    )


def _mean(points: Sequence[tuple[int, float]]) -> float:
    values = [value for _, value in points]
    infinite = [value for value in values if math.isinf(value)]
    return sum(infinite) if infinite else statistics.mean(values)


def _rate(points: Sequence[tuple[int, float]]) -> float:
    if any(math.isinf(value) for _, value in points):
        return math.nan
    steps, values = zip(*((Fraction(step), Fraction(value)) for step, value in points), strict=True)
    mean_step, mean_value = statistics.mean(steps), statistics.mean(values)
    rise = sum((step - mean_step) * (value - mean_value) for step, value in zip(steps, values, strict=True))
    slope = rise / sum((step - mean_step) ** 2 for step in steps)
    try:
        return float(slope)
    except OverflowError:
        return math.copysign(math.inf, slope)


def _off(points: Sequence[tuple[int, float]]) -> float:
    *before, value = (value for _, value in points)
    center = statistics.median(before)
    if not math.isfinite(center):
        return math.nan
    return _far(value, before, center, 1.4826 * statistics.median(abs(one - center) for one in before))


def _far(value: float, before: Sequence[float], center: float, spread: float) -> float:
    if math.isinf(value):
        return value
    if spread == 0:
        return 0.0 if min(before) <= value <= max(before) else math.copysign(math.inf, value - center)
    return (value - center) / spread


def _trend(points: Sequence[tuple[int, float]]) -> float:
    pairs = [(one, other) for (_, one), (_, other) in itertools.combinations(points, 2)]
    return _rising_less_falling(pairs)


def _saw(points: Sequence[tuple[int, float]]) -> float:
    return _rising_less_falling([(one, other) for (_, one), (_, other) in itertools.pairwise(points)])


def _rising_less_falling(pairs: Sequence[tuple[float, float]]) -> float:
    rising = sum(one < other for one, other in pairs)
    falling = sum(one > other for one, other in pairs)
    return (rising - falling) / len(pairs)


def jump(values: Sequence[float], samples: int, metric: str = "") -> float:
    """How far the last of all values since the baseline began is from it."""
    usual = _usual(values, samples, metric, by_quartiles=False)
    if usual is None or not math.isfinite(usual.center):
        return math.nan
    return _far(usual.value, usual.reference, usual.center, usual.spread)


def drift(values: Sequence[float], samples: int, metric: str = "") -> float:
    """The largest sum of how far the last 32 at most, of all values since the baseline began, were from it."""
    if len(values) <= 20:
        return math.nan
    ends = range(max(21, len(values) - 31), len(values) + 1)
    new = [_new(tuple(values[max(0, end - samples) : end]), samples, metric) for end in ends]
    counted = [round(one * 2**32) for one in reversed(new)]  # in integers, which add up without rounding
    up = max(itertools.accumulate(one - 2**32 for one in counted))
    down = max(itertools.accumulate(-one - 2**32 for one in counted))
    return (max(up, 0) if up >= down else -max(down, 0)) / 2**32


class _Usual(NamedTuple):
    """A value on its scale, the one before it, and what was usual then; `distance` is the spread if it is not too small."""

    value: float
    before: float
    reference: Sequence[float]
    center: float
    distance: float
    spread: float


def _usual(values: Sequence[float], samples: int, metric: str, *, by_quartiles: bool) -> _Usual | None:
    scale = scale_of(metric)
    *before, value = values if scale is None else map(scale.of, values)
    before = before[-(samples - 1) :]
    if len(before) < 20:
        return None
    reference = before[: max(20, len(before) // 2)]
    if by_quartiles:  # a quarter of them, rounded down, is outside to either side
        *_, low = sorted(reference)[: len(reference) // 4 + 1]
        high, *_ = sorted(reference)[-(len(reference) // 4) - 1 :]
        center, distance = (low + high) / 2, 1.4826 * (high - low) / 2
    else:
        center = statistics.median(reference)
        distance = 1.4826 * statistics.median(_apart(one, center) for one in reference)
    spread = distance if scale is None else max(distance, 0.125)
    return _Usual(value, before[-1], reference, center, distance, spread)


@functools.lru_cache(maxsize=1000)
def _new(values: tuple[float, ...], samples: int, metric: str) -> float:
    usual = _usual(values, samples, metric, by_quartiles=True)
    assert usual is not None
    if not math.isfinite(usual.center):
        return 0.0
    z = _far(usual.value, usual.reference, usual.center, usual.spread)
    phi = 0.0
    if 0 < usual.distance < math.inf:
        links = [_apart(one, other) for one, other in itertools.pairwise(usual.reference)]
        phi = 1 - (1.4826 * statistics.median(links) / usual.distance) ** 2 / 2 - len(usual.reference) ** -0.5
    phi = min(max(phi, 0.0), 0.95)
    if phi and math.isfinite(usual.value):
        z = (z - phi * ((usual.before - usual.center) / usual.spread)) / math.sqrt(1 - phi * phi)
    return 0.0 if math.isnan(z) else min(max(z, -6.0), 6.0)


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else abs(one - other)


OVER = {
    "mean": _mean,
    "min": lambda points: min(value for _, value in points),
    "max": lambda points: max(value for _, value in points),
    "change": lambda points: points[-1][1] - points[0][1],
    "rate": _rate,
    "off": _off,
    "trend": _trend,
    "saw": _saw,
}
FROM_A_BASELINE = {"jump": jump, "drift": drift}
