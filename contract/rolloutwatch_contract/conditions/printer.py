"""Writes a condition, so that what is read of it again is the same."""

from rolloutwatch_contract.conditions.lexer import is_bare
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
    Silent,
)

_ATOM = 7


def text_of(node: Node) -> str:
    """Return a condition as text, with parentheses only where they are needed."""
    return _written(node)[0]


def _written(node: Node) -> tuple[str, int]:
    """Return a text, and how tightly it holds together: 1 for `or`, 7 for what needs no parentheses anywhere."""
    match node:
        case Or(operands):
            return " or ".join(_within(one, 2) for one in operands), 1
        case And(operands):
            return " and ".join(_within(one, 3) for one in operands), 2
        case Not(operand):
            return f"not {_within(operand, 3)}", 3
        case Comparison(operator, left, right):
            return f"{_within(left, 5)} {operator} {_within(right, 5)}", 4
        case Arithmetic(operator, left, right):
            binds = 5 if operator in "+-" else 6
            return f"{_within(left, binds)} {operator} {_within(right, binds + 1)}", binds
        case Negative(operand):
            return f"-{_within(operand, _ATOM)}", _ATOM
        case _:
            return _atom(node), _ATOM


def _within(node: Node, least: int) -> str:
    text, binds = _written(node)
    return text if binds >= least else f"({text})"


def _atom(node: Node) -> str:
    match node:
        case Number(value):
            return _number(value)
        case Metric(name):
            return _metric(name)
        case Over(function, metric, samples):
            return f"{function}({_metric(metric)}, {samples})"
        case Share(condition, steps):
            return f"share({text_of(condition)}, {steps})"
        case Absolute(operand):
            return f"abs({text_of(operand)})"
        case Absent(metric, steps):
            return f"absent({_metric(metric)}, {steps})"
        case Silent(seconds, steps):
            return f"silent({_number(seconds)}, {_number(steps)})"
    raise TypeError(f"a {type(node).__name__} is no part of a condition")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _metric(name: str) -> str:
    return name if is_bare(name) else f"`{name}`"
