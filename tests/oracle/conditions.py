"""What a condition comes to, computed anew from all steps so far: slow, and plain enough to be believed.

A run is a list of steps, each with its number and its figures. Numbers are None where they are unknown.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from rolloutwatch_contract.conditions import Truth, nodes
from rolloutwatch_contract.conditions.nodes import Node


class Step(NamedTuple):
    number: int
    figures: Mapping[str, float]


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
        ][-node.samples :]
        if len(points) < node.samples:
            return None
        return _known(_OVER[node.function](points))

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
    spread = 1.4826 * statistics.median(abs(one - center) for one in before)
    if spread == 0:
        return 0.0 if min(before) <= value <= max(before) else math.copysign(math.inf, value - center)
    return (value - center) / spread


_OVER = {
    "mean": _mean,
    "min": lambda points: min(value for _, value in points),
    "max": lambda points: max(value for _, value in points),
    "change": lambda points: points[-1][1] - points[0][1],
    "rate": _rate,
    "off": _off,
}
