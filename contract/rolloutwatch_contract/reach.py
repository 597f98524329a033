"""Whether a rule can ever fire under a configuration of the correction.

What it says is on the safe side: a rule that it calls dead cannot fire, and of others nothing is promised.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from rolloutwatch_contract.catalogue import CORE_METRICS, METRICS
from rolloutwatch_contract.conditions import metrics_of
from rolloutwatch_contract.conditions.nodes import (
    Absent,
    Absolute,
    And,
    Arithmetic,
    Comparison,
    Metric,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Over,
    Share,
)
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.figure_bounds import Possible, figures_under
from rolloutwatch_contract.intervals import EVERYTHING, Interval, absolute, arithmetic
from rolloutwatch_contract.metric import FRACTION
from rolloutwatch_contract.rules import Rule

_ROOM = 0.01  # what figures may be beyond their bounds, because they are added up partly in float32
_SHARES = {
    one.name for one in METRICS.values() if one.unit == FRACTION and not one.name.endswith("eff_sample_size")
}


class _Can(NamedTuple):
    """What a condition can come to."""

    be_true: bool
    be_false: bool


_UNKNOWN = _Can(False, False)
_OPEN = _Can(True, True)


def why_never(
    rule: Rule, config: Mapping[str, Any], metrics: "Collection[str] | None" = None
) -> "str | None":
    """Return why a rule cannot fire on a run, in words; None if it can, or if nobody can tell.

    Args:
        rule: The rule.
        config: The configuration of the run's correction, with all of its keys, as the trainer tells it when the run starts.
        metrics: Those that have come, where they are known: one that came although the configuration brings none
            was measured by somebody else, and may be anything.
    """
    try:
        known = CorrectionConfig(**config) if "rollout_is" in config else None
    except (ValueError, TypeError):  # of another version, or of another program
        known = None
    if known is None:
        return None
    possible = figures_under(known)
    elsewhere = {name for name in metrics or () if name.partition("@")[0] not in possible}
    reach = _Reach(possible, elsewhere)
    return None if reach.of(rule.when.node).be_true else _told(metrics_of(rule.when.node), reach)


class _Reach:
    """What conditions can come to, given what figures can be."""

    def __init__(self, possible: Possible, elsewhere: Collection[str]) -> None:
        self._possible = possible
        self._elsewhere = elsewhere

    def metric(self, name: str) -> "Interval | None":
        """Return what a metric can be, None if it never comes."""
        base, _, group = name.partition("@")
        if name in self._elsewhere or base not in METRICS or (group and base not in CORE_METRICS):
            return EVERYTHING
        return self._possible.get(base)

    def _rounded(self, name: str) -> "Interval | None":
        interval = self.metric(name)
        is_share = name.partition("@")[0] in _SHARES  # what is counted is exact
        return interval if interval is None or is_share else interval.wider(_ROOM)

    def of(self, node: Node) -> _Can:
        """Return what a condition can come to."""
        if isinstance(node, Comparison):
            return self._compared(node)
        if isinstance(node, Not):
            operand = self.of(node.operand)
            return _Can(operand.be_false, operand.be_true)
        if isinstance(node, And | Or):
            parts = [self.of(one) for one in node.operands]
            true, false = [one.be_true for one in parts], [one.be_false for one in parts]
            return _Can(all(true), any(false)) if isinstance(node, And) else _Can(any(true), all(false))
        if isinstance(node, Absent):
            return _UNKNOWN if self.metric(node.metric) is None else _OPEN
        return _OPEN

    def _compared(self, node: Comparison) -> _Can:
        left, right = self.number(node.left), self.number(node.right)
        if left is None or right is None:
            return _UNKNOWN
        if node.operator in (">", ">="):
            left, right = right, left
        apart = left.high < right.low or right.high < left.low
        same = left == right and left.low == left.high
        return {
            "<": _Can(left.low < right.high, left.high >= right.low),
            "<=": _Can(left.low <= right.high, left.high > right.low),
            "==": _Can(not apart, not same),
            "!=": _Can(not same, not apart),
        }[node.operator.replace(">", "<")]

    def number(self, node: Node) -> "Interval | None":
        """Return what a number can be, None if it is never known."""
        if isinstance(node, Number):
            return Interval(node.value, node.value)
        if isinstance(node, Metric):
            return self._rounded(node.name)
        if isinstance(node, Over):
            return self._over(node)
        if isinstance(node, Share):
            return self._share(node)
        if isinstance(node, Negative | Absolute):
            operand = self.number(node.operand)
            if operand is None:
                return None
            return absolute(operand) if isinstance(node, Absolute) else Interval(-operand.high, -operand.low)
        if isinstance(node, Arithmetic):
            left, right = self.number(node.left), self.number(node.right)
            return None if left is None or right is None else arithmetic(node.operator, left, right)
        raise TypeError(f"a {type(node).__name__} is no number")

    def _over(self, node: Over) -> "Interval | None":
        interval = self._rounded(node.metric)
        if interval is None or node.function in ("min", "max"):
            return interval
        if node.function == "mean":
            return interval.wider(_ROOM)
        if node.function in ("off", "jump", "drift"):
            return Interval(-math.inf, math.inf)
        if node.function in ("trend", "saw"):
            return Interval(-1.0, 1.0)
        # from one end to the other: at once for `change`, and within one step at the steepest for `rate`
        width = interval.high - interval.low
        return Interval(-width, width).wider(_ROOM)

    def _share(self, node: Share) -> "Interval | None":
        can = self.of(node.condition)
        if can == _UNKNOWN:
            return None
        return Interval(0.0 if can.be_false else 1.0, 1.0 if can.be_true else 0.0)


def _told(metrics: Collection[str], reach: _Reach) -> str:
    """Say of a rule's metrics what keeps it from firing."""
    told = []
    for name in metrics:
        interval = reach.metric(name)
        if interval is None:
            told.append(f"{name} does not come: it needs {METRICS[name.partition('@')[0]].needs}")
        elif interval != EVERYTHING:
            told.append(f"{name} is {_range(interval)}")
    why = "; ".join(told) or "no value of its metrics makes it true"
    return f"under the configuration of this run {why}"


def _range(interval: Interval) -> str:
    low, high = f"{interval.low:.4g}", f"{interval.high:.4g}"
    if math.isinf(interval.high):
        return f"at least {low}"
    return f"at most {high}" if interval.low <= 0 or math.isinf(interval.low) else f"between {low} and {high}"
