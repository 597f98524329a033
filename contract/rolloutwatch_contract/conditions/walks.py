"""What stands in a condition."""

from collections.abc import Iterator

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
    Or,
    Over,
    Share,
    Silent,
)

_CONDITIONS = (Comparison, Not, And, Or, Absent, Silent)


def is_condition(node: Node) -> bool:
    """Tell whether a node is true, false or unknown; else it is a number."""
    return isinstance(node, _CONDITIONS)


def parts(node: Node) -> tuple[Node, ...]:
    """Return what a node is made of, in the order in which it is written."""
    if isinstance(node, Comparison | Arithmetic):
        return (node.left, node.right)
    if isinstance(node, And | Or):
        return node.operands
    if isinstance(node, Not | Negative | Absolute):
        return (node.operand,)
    return (node.condition,) if isinstance(node, Share) else ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all that it is made of, each before its parts."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(parts(one))


def metrics_of(node: Node) -> tuple[str, ...]:
    """Return the metrics that a condition asks for, each once, in the order in which they are written."""
    named = [one for one in walk(node) if isinstance(one, Metric | Over | Absent)]
    return tuple(dict.fromkeys(one.name if isinstance(one, Metric) else one.metric for one in named))


def by_clock(node: Node) -> bool:
    """Tell whether a condition is judged by the clock and not by steps."""
    return isinstance(node, Silent)
