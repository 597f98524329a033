"""When a figure is a reason to worry: the limits that tiles and charts show.

They are those of the alert rules that are about one value of one metric.
What happens to the loss is the correction's configuration, and shares no name with them.
"""

import math
from collections.abc import Iterable, Iterator

import msgspec

from rolloutwatch_contract.conditions.nodes import Comparison, Metric, Node, Number, Or
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity

_TURNED = {"<": ">", ">": "<"}


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A metric must not stand above `above` or below `below`; exactly at the limit is still good.

    An alert begins once that is so at `for_steps` steps one after the other, and ends after `clear_steps` good ones.
    """

    name: str
    metric: str
    severity: Severity
    above: float = math.inf
    below: float = -math.inf
    for_steps: int = 1
    clear_steps: int = 1
    summary: str
    cure: str

    def broken_by(self, value: float) -> bool:
        """Tell whether `value` is beyond the limit; NaN never is."""
        return value > self.above or value < self.below


def worst(limits: Iterable[Limit], metric: str, value: float) -> Limit | None:
    """Return the most severe limit that `value` of `metric` is beyond, None if it is beyond none."""
    broken = [limit for limit in limits if limit.metric == metric and limit.broken_by(value)]
    return max(broken, key=lambda limit: limit.severity, default=None)


def limits_of(rules: Iterable[Rule], run: "str | None" = None) -> tuple[Limit, ...]:
    """Return the limits that rules set, those of a run, or without one those of every run.

    A rule sets some if it is about values as they are: one metric above or below a number, or several such joined by `or`.
    """
    return tuple(
        limit
        for rule in rules
        if (rule.enabled and "*" in rule.runs if run is None else rule.applies_to(run))
        for limit in _limits_of(rule)
    )


def _limits_of(rule: Rule) -> Iterator[Limit]:
    node = rule.when.node
    sides = [_side(one) for one in (node.operands if isinstance(node, Or) else (node,))]
    known = [side for side in sides if side is not None]
    if len(known) < len(sides):
        return
    for metric in dict.fromkeys(metric for metric, _, _ in known):
        yield Limit(
            name=rule.name,
            metric=metric,
            severity=rule.severity,
            above=min(
                (number for name, side, number in known if (name, side) == (metric, ">")), default=math.inf
            ),
            below=max(
                (number for name, side, number in known if (name, side) == (metric, "<")), default=-math.inf
            ),
            for_steps=rule.for_steps,
            clear_steps=rule.clear_steps,
            summary=rule.summary,
            cure=rule.cure,
        )


def _side(node: Node) -> "tuple[str, str, float] | None":
    """Return metric, side and number of a plain comparison, with the metric on its left."""
    if not isinstance(node, Comparison) or node.operator not in _TURNED:
        return None
    if isinstance(node.left, Metric) and isinstance(node.right, Number):
        return node.left.name, node.operator, node.right.value
    if isinstance(node.left, Number) and isinstance(node.right, Metric):
        return node.right.name, _TURNED[node.operator], node.left.value
    return None


DEFAULT_LIMITS = limits_of(DEFAULT_RULES)
