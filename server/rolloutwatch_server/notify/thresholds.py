"""The limits that a condition sets: a figure is shown beside what it was not to pass."""

from typing import NamedTuple

from rolloutwatch_contract.conditions import Condition, ConditionError, Node, metrics_of, parse, walk
from rolloutwatch_contract.conditions.nodes import Comparison, Metric, Negative, Number, Over

_WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most", "==": "exactly", "!=": "not"}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}


class Threshold(NamedTuple):
    """`metric` fires `word` (above, below, ...) the `limit`; `is_direct` if its value itself is compared, and no window."""

    metric: str
    word: str
    limit: float
    is_direct: bool


def read(text: str) -> Condition | None:
    """Return a condition that was in force when it fired; None if this version cannot read it any more."""
    try:
        return parse(text)
    except ConditionError:
        return None


def thresholds(text: str) -> tuple[Threshold, ...]:
    """Return the limits of a condition, each once, in the order in which they are written."""
    condition = read(text)
    if condition is None:
        return ()
    found = (_threshold(node) for node in walk(condition.node))
    return tuple(dict.fromkeys(one for one in found if one is not None))


def metrics(text: str) -> tuple[str, ...]:
    """Return the metrics that a condition asks for."""
    condition = read(text)
    return () if condition is None else metrics_of(condition.node)


def _threshold(node: Node) -> Threshold | None:
    if not isinstance(node, Comparison):
        return None
    for figure, bound, operator in (
        (node.left, node.right, node.operator),
        (node.right, node.left, _TURNED[node.operator]),
    ):
        limit, metrics = _constant(bound), metrics_of(figure)
        if limit is not None and len(metrics) == 1 and isinstance(figure, Metric | Over):
            return Threshold(metrics[0], _WORDS[operator], limit, isinstance(figure, Metric))
    return None


def _constant(node: Node) -> float | None:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Negative) and (inner := _constant(node.operand)) is not None:
        return -inner
    return None
