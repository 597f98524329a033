"""Conditions as people read them: figures by their titles, operators as words."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.conditions.errors import ConditionError
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
from rolloutwatch_contract.conditions.parser import parse
from rolloutwatch_contract.conditions.walks import by_clock
from rolloutwatch_contract.conditions.walks import metrics_of as metrics_in
from rolloutwatch_contract.rules import Rule
from rolloutwatch_dashboard.charts import LOSSES
from rolloutwatch_dashboard.text import number

COMPARED = {
    "<": "below",
    "<=": "at most",
    ">": "above",
    ">=": "at least",
    "==": "exactly",
    "!=": "other than",
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
OVER = {
    "mean": "mean", "min": "lowest", "max": "highest", "change": "change", "rate": "slope per step",
    "off": "spreads off what is usual", "trend": "trend", "saw": "rises less falls",
    "jump": "spreads off the baseline", "drift": "lasting drift off the baseline",
}  # fmt: skip
UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


class Figure(NamedTuple):
    """A figure of an alert beside its limit, both in words."""

    title: str
    value: str
    limit: str


def title(metric: str) -> str:
    """Return what a figure is called; one of the trainer's own, or of a group, by its name."""
    name, at, group = metric.partition("@")
    known = METRICS[name].title if name in METRICS else name
    return f"{known} of {group}" if at and name in METRICS else metric if at else known


def in_words(node: Node) -> str:
    """Return what a condition says.

    >>> in_words(And((Comparison(">", Metric("ratio_std"), Number(1.0)), Not(Silent(60.0, 10.0)))))
    '“Ratio of a token, std” is above 1 and not (no step for 1 min and for 10 times the usual time of one)'
    """
    match node:
        case And(operands):
            return " and ".join(_part(one, Or) for one in operands)
        case Or(operands):
            return " or ".join(_part(one, And) for one in operands)
        case Not(operand):
            return f"not ({in_words(operand)})"
        case Comparison(operator, Number(value), right) if not isinstance(right, Number):
            return f"{_number(right)} is {COMPARED[MIRRORED[operator]]} {number(value)}"
        case Comparison(operator, left, right):
            return f"{_number(left)} is {COMPARED[operator]} {_number(right)}"
        case Absent(metric, steps):
            return f"{_titled(metric)} has not come for {steps} steps"
        case Silent(seconds, steps):
            return f"no step for {duration(seconds)} and for {number(steps)} times the usual time of one"
        case _:
            return _number(node)


def duration(seconds: float) -> str:
    """Return a length of time.

    >>> [duration(one) for one in (1, 90, 120, 5400, 172800)]
    ['1 s', '90 s', '2 min', '90 min', '2 d']
    """
    for size, unit in UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{number(round(seconds))} s"


def lasting(seconds: float) -> str:
    """Return about how long something took.

    >>> [lasting(one) for one in (0.2, 90, 5400, 200000)]
    ['0 s', '1 min', '1 h', '2 d']
    """
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, round(seconds))} s"


def beginning(rule: Rule) -> str:
    """Return when an alert of a rule begins."""
    patience = [f"at {rule.for_steps} steps in a row"] if rule.for_steps > 1 else []
    patience += [f"for {duration(rule.for_seconds)}"] if rule.for_seconds else []
    return " ".join([in_words(rule.when.node), *([f"({' and '.join(patience)})"] if patience else [])])


def ending(rule: Rule) -> str:
    """Return when an alert of a rule ends."""
    often = f"{rule.clear_steps} steps" if rule.clear_steps > 1 else "a step"
    if rule.clear is None:
        return "with the next step" if by_clock(rule.when.node) else f"after {often} without it"
    in_a_row = f" (at {rule.clear_steps} steps in a row)" if rule.clear_steps > 1 else ""
    return f"when {in_words(rule.clear.node)}{in_a_row}"


def condition_of(text: str) -> str | None:
    """Return in words what a condition says that was written once; None if nobody can read it any more."""
    node = read(text)
    return None if node is None else in_words(node)


def figures_of(alert: AlertView) -> list[Figure]:
    """Return the figures that made an alert fire, each beside the limits that its condition sets it."""
    node = read(alert.condition)
    limits: dict[str, list[str]] = {}
    for metric, limit in () if node is None else _limits(node):
        limits.setdefault(metric, []).append(limit)
    return [
        Figure(title(metric), number(value), " or ".join(dict.fromkeys(limits.get(metric, []))))
        for metric, value in alert.values.items()
    ]


def metrics_of(alert: AlertView) -> Collection[str]:
    """Return the figures that an alert is about."""
    node = read(alert.condition)
    return alert.values.keys() if node is None else metrics_in(node)


def is_of_losses(alert: AlertView) -> bool:
    """Tell whether an alert says that something was lost or not measured, and nothing of how the policies are."""
    return set(alert.values) <= set(LOSSES)


def read(text: str) -> Node | None:
    """Return what a condition is that was written once; None if nobody can read it any more."""
    try:
        return parse(text).node
    except ConditionError:  # of another version of this program: the text itself is shown
        return None


def _part(node: Node, other: type) -> str:
    words = in_words(node)
    return f"({words})" if isinstance(node, other) else words


def _titled(metric: str) -> str:
    """Return a title as a part of a sentence."""
    words = title(metric)
    return f"“{words}”" if "," in words else words


def _number(node: Node) -> str:
    """Return what a number is of."""
    match node:
        case Number(value):
            return number(value)
        case Metric(name):
            return _titled(name)
        case Negative(operand):
            return f"-{_number(operand)}"
        case Absolute(operand):
            return f"|{_number(operand)}|"
        case Arithmetic(operator, left, right):
            return f"({_number(left)} {operator} {_number(right)})"
        case Over(function, metric, samples):
            return f"{OVER[function]} of {_titled(metric)} over {samples} values"
        case Share(condition, steps):
            return f"share of the last {steps} steps with ({in_words(condition)})"
        case _:
            return in_words(node)


def _limits(node: Node) -> Iterator[tuple[str, str]]:
    """Yield each metric that is compared with a number, and how."""
    match node:
        case And(operands) | Or(operands):
            for one in operands:
                yield from _limits(one)
        case Comparison(operator, Number(value), right) if not isinstance(right, Number):
            yield from _limit(right, MIRRORED[operator], value)
        case Comparison(operator, left, Number(value)):
            yield from _limit(left, operator, value)
        case _:
            return


def _limit(node: Node, operator: str, value: float) -> Iterator[tuple[str, str]]:
    match node:
        case Metric(name):
            yield name, f"{COMPARED[operator]} {number(value)}"
        case Absolute(Metric(name)):
            yield name, f"{COMPARED[operator]} {number(value)} either way"
        case Over(function, metric, samples):
            yield metric, f"{OVER[function]} over {samples} values {COMPARED[operator]} {number(value)}"
        case _:
            return


def limits_in_words(node: Node) -> list[str]:
    """Return of each number that something is compared with what it is of, in the order in which they are written.

    >>> limits_in_words(parse("0.5 < ratio_std and mean(mismatch_kl, 50) <= 0.1").node)
    ['“Ratio of a token, std” is above', 'mean of KL (K1) over 50 values is at most']
    """
    match node:
        case Number():
            return []
        case And(operands) | Or(operands):
            return [words for one in operands for words in limits_in_words(one)]
        case Not(operand):
            return limits_in_words(operand)
        case Share(condition, _):
            return limits_in_words(condition)
        case Comparison(operator, Number(), right) if not isinstance(right, Number):
            return [f"{_number(right)} is {COMPARED[MIRRORED[operator]]}"]
        case Comparison(operator, left, Number()) if not isinstance(left, Number):
            inside = limits_in_words(left) if isinstance(left, Share) else []
            return [*inside, f"{_number(left)} is {COMPARED[operator]}"]
        case _:
            return []


def names(words: Sequence[str], most: int) -> str:
    """Return a list in words; of a long one, how many more there are.

    >>> names(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown, more = words[:most], len(words) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
