"""What a chart of an alert needs to know of its condition: limits, the figures worth drawing, and from where on it held."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.conditions.nodes import Absolute, And, Comparison, Metric, Node, Not, Number, Or
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.words import metrics_of, read

MOST_LINES = 2
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
COMPARE = {
    "<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__, "==": float.__eq__, "!=": float.__ne__,
}  # fmt: skip


def limits_in(alert: AlertView) -> list[Limit]:
    """Return the limits that the condition of an alert sets to values as they are, in the order in which they stand there."""
    node = read(alert.condition)
    return [] if node is None else [_limit(alert, *side) for side in _sides(node)]


def drawn_metrics(alert: AlertView, limits: Sequence[Limit]) -> list[str]:
    """Return the figures that are worth a line: those that were beyond a limit, then those that have one, then others."""
    beyond = [one.metric for one in limits if one.broken_by(alert.values.get(one.metric, math.nan))]
    ranked = [*beyond, *(one.metric for one in limits), *alert.values, *metrics_of(alert)]
    return list(dict.fromkeys(ranked))[:MOST_LINES]


def held_from(alert: AlertView, series: Mapping[str, Series]) -> int | None:
    """Return the first of the steps in a row up to the alert's beginning at which its condition held.

    None if that cannot be told by the values of single steps, or if it held at none before. `series` has every step.
    """
    node = read(alert.condition)
    if node is None:
        return None
    values: dict[int, dict[str, float]] = {}
    for metric, one in series.items():
        for step, value in zip(one.step.tolist(), one.value.tolist(), strict=True):
            values.setdefault(step, {})[metric] = value
    found = None
    for step in sorted(values, reverse=True):
        is_held = holds(node, values[step])
        if is_held is False:
            break
        if is_held and step < alert.firing_step:
            found = step
    return found


def holds(node: Node, values: Mapping[str, float]) -> bool | None:
    """Tell whether a condition holds by the values of one step, None if these do not say.

    >>> from rolloutwatch_contract.conditions import parse
    >>> over = parse("a > 1 and b < 0.3").node
    >>> holds(over, {"a": 2.0, "b": 0.1}), holds(over, {"a": 0.5}), holds(over, {"a": 2.0})
    (True, False, None)
    """
    match node:
        case And(operands):
            return _joined([holds(one, values) for one in operands], False)
        case Or(operands):
            return _joined([holds(one, values) for one in operands], True)
        case Not(operand):
            known = holds(operand, values)
            return None if known is None else not known
        case Comparison(operator, left, right):
            one, other = _value(left, values), _value(right, values)
            return None if math.isnan(one) or math.isnan(other) else bool(COMPARE[operator](one, other))
        case _:
            return None


def worst_of(series: Series, limit: Limit, first: int, last: int) -> tuple[int, float] | None:
    """Return the step from one to another at which a figure was farthest beyond a limit, and its value there; None if never."""
    inside = [
        (step, value)
        for step, value in zip(series.step.tolist(), series.value.tolist(), strict=True)
        if first <= step <= last and limit.broken_by(value)
    ]
    return max(inside, key=lambda one: max(one[1] - limit.above, limit.below - one[1]), default=None)


def _joined(known: Iterable[bool | None], deciding: bool) -> bool | None:
    told = list(known)
    return deciding if deciding in told else None if None in told else not deciding


def _value(node: Node, values: Mapping[str, float]) -> float:
    match node:
        case Number(value):
            return float(value)
        case Metric(name):
            return values.get(name, math.nan)
        case Absolute(Metric(name)):
            return abs(values.get(name, math.nan))
        case _:
            return math.nan


def _sides(node: Node) -> Iterator[tuple[str, float, float]]:
    """Yield metric, above and below of each comparison of a value with a number."""
    match node:
        case And(operands) | Or(operands):
            for one in operands:
                yield from _sides(one)
        case Comparison(operator, Number(value), right) if operator in MIRRORED:
            yield from _side(right, MIRRORED[operator], value)
        case Comparison(operator, left, Number(value)) if operator in MIRRORED:
            yield from _side(left, operator, value)
        case _:
            return


def _side(node: Node, operator: str, value: float) -> Iterator[tuple[str, float, float]]:
    match node:
        case Metric(name):
            yield (name, value, -math.inf) if operator.startswith(">") else (name, math.inf, value)
        case Absolute(Metric(name)) if operator.startswith(">"):
            yield name, value, -value
        case _:
            return


def _limit(alert: AlertView, metric: str, above: float, below: float) -> Limit:
    return Limit(
        name=alert.rule, metric=metric, severity=alert.severity, above=above, below=below, summary=alert.summary, cure=alert.cure
    )  # fmt: skip
