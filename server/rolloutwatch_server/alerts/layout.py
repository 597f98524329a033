"""Where every number and every condition of some rules has its place, and in what order they can be computed.

Numbers have places in one vector, metrics first, conditions in another. The same one is computed once,
but for windows: those belong to one rule, because they begin when that rule does.
`not` has no place: it goes down to what is compared, for not (a < b) is a >= b, whatever is unknown.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from rolloutwatch_contract.conditions import metrics_of, nodes, walk
from rolloutwatch_contract.rules import Rule

Calculate = Callable[[float, float], float]

_OPPOSITE = {">": "<=", "<=": ">", "<": ">=", ">=": "<", "==": "!=", "!=": "==", "and": "or", "or": "and"}


class Calculation(NamedTuple):
    """A number that is computed of two others; of one, where both are the same."""

    place: int
    stage: int
    calculate: Calculate
    left: int
    right: int


class WindowOf(NamedTuple):
    """A window over a metric that belongs to a rule."""

    place: int
    rule: int
    function: str
    metric: int
    samples: int


class ShareOf(NamedTuple):
    """A share of steps that belongs to a rule; `windows` are those that its condition looks at.

    Its condition has neither another share nor absent(...) in it.
    """

    place: int
    stage: int
    rule: int
    condition: int
    steps: int
    metrics: frozenset[str]
    windows: tuple[int, ...]


class Condition(NamedTuple):
    """A condition: a comparison of two places, `and` or `or` of other conditions, or one that is given from outside.

    It can be computed in a stage, after all that stand less deep there.
    """

    kind: str
    parts: tuple[int, ...] = ()
    stage: int = 0
    depth: int = 0


class AbsenceOf(NamedTuple):
    """A condition that is given: a metric does not come any more; or, `negated`, that it does."""

    condition: int
    metric: str
    steps: int
    negated: bool


class Layout:
    """The places that some rules need, in the order in which they were first asked for."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        names = (name for rule in self.rules for name in metrics_of_rule(rule))
        self.metrics = {name: place for place, name in enumerate(dict.fromkeys(names))}
        self.values = [math.nan] * len(self.metrics)
        self.calculations: list[Calculation] = []
        self.windows: list[WindowOf] = []
        self.shares: list[ShareOf] = []
        self.absences: list[AbsenceOf] = []
        self.conditions: list[Condition] = []
        self.whens: list[int] = []
        self.clears: list[int | None] = []  # None is the opposite of `when`
        self._stages = [0] * len(self.metrics)
        self._known: dict[object, int] = {}
        for number, rule in enumerate(self.rules):
            self._rule = number
            self.whens.append(self._condition(rule.when.node))
            self.clears.append(self._condition(rule.clear.node) if rule.clear else None)

    def _number(self, node: nodes.Node) -> int:
        match node:
            case nodes.Metric(name):
                return self.metrics[name]
            case nodes.Number(value):
                return self._once(("number", value), lambda: self._place(0, value))
            case nodes.Negative(operand):
                return self._calculation(_negative, "negative", operand, operand)
            case nodes.Absolute(operand):
                return self._calculation(_absolute, "abs", operand, operand)
            case nodes.Arithmetic(operator, left, right):
                return self._calculation(_ARITHMETIC[operator], operator, left, right)
            case nodes.Over():
                return self._once((self._rule, node), lambda: self._window(node))
            case nodes.Share():
                return self._once((self._rule, node), lambda: self._share(node))
            case _:
                raise TypeError(f"{type(node).__name__} is a condition; expected a number.")

    def _condition(self, node: nodes.Node, negated: bool = False) -> int:
        match node:
            case nodes.Not(operand):
                return self._condition(operand, not negated)
            case nodes.Comparison(operator, left, right):
                sides = (self._number(left), self._number(right))
                stage = max(self._stages[side] for side in sides)
                return self._add(Condition(_turned(operator, negated), sides, stage))
            case nodes.And(operands) | nodes.Or(operands):
                kind = "and" if isinstance(node, nodes.And) else "or"
                return self._of_parts(_turned(kind, negated), operands, negated)
            case nodes.Absent(metric, steps):
                given = len(self.conditions)
                self.conditions.append(Condition("given"))
                self.absences.append(AbsenceOf(given, metric, steps, negated))
                return given
            case nodes.Silent():
                return self._add(Condition("true" if negated else "false"))
            case _:
                raise TypeError(f"{type(node).__name__} is a number; expected a condition.")

    def _of_parts(self, kind: str, operands: Iterable[nodes.Node], negated: bool) -> int:
        parts = tuple(dict.fromkeys(self._condition(operand, negated) for operand in operands))
        stage = max(self.conditions[part].stage for part in parts)
        within = [self.conditions[part].depth for part in parts if self.conditions[part].stage == stage]
        return self._add(Condition(kind, parts, stage, 1 + max(within)))

    def _calculation(self, calculate: Calculate, name: str, left: nodes.Node, right: nodes.Node) -> int:
        """Give a calculation its place; the name is what tells it from others of the same sides."""
        sides = (self._number(left), self._number(right))

        def make() -> int:
            stage = max(self._stages[side] for side in sides)
            self.calculations.append(Calculation(self._place(stage), stage, calculate, *sides))
            return len(self.values) - 1

        return self._once((name, sides), make)

    def _window(self, node: nodes.Over) -> int:
        place = self._place(0)
        window = WindowOf(place, self._rule, node.function, self.metrics[node.metric], node.samples)
        self.windows.append(window)
        return place

    def _share(self, node: nodes.Share) -> int:
        condition = self._condition(node.condition)
        stage = self.conditions[condition].stage + 1
        inner = {self._known.get((self._rule, part)) for part in walk(node.condition)}
        share = ShareOf(
            place=self._place(stage),
            stage=stage,
            rule=self._rule,
            condition=condition,
            steps=node.steps,
            metrics=frozenset(metrics_of(node.condition)),
            windows=tuple(at for at, window in enumerate(self.windows) if window.place in inner),
        )
        self.shares.append(share)
        return share.place

    def _place(self, stage: int, value: float = math.nan) -> int:
        self.values.append(value)
        self._stages.append(stage)
        return len(self.values) - 1

    def _add(self, condition: Condition) -> int:
        def make() -> int:
            self.conditions.append(condition)
            return len(self.conditions) - 1

        return self._once(condition, make)

    def _once(self, key: object, make: Callable[[], int]) -> int:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


def metrics_of_rule(rule: Rule) -> tuple[str, ...]:
    """Return the metrics that a rule looks at, those of `when` first."""
    both = (rule.when.node, rule.clear.node) if rule.clear else (rule.when.node,)
    return tuple(dict.fromkeys(name for node in both for name in metrics_of(node)))


def needs_only_figures(rule: Rule) -> bool:
    """Tell whether a rule is judged by figures of the step in all its parts: not by their absence, nor by the clock."""
    parts = [*walk(rule.when.node), *(walk(rule.clear.node) if rule.clear else ())]
    return not any(
        isinstance(part, nodes.Absent | nodes.Silent)
        or (isinstance(part, nodes.Comparison) and not metrics_of(part))
        for part in parts
    )


def _turned(kind: str, negated: bool) -> str:
    return _OPPOSITE[kind] if negated else kind


def _negative(value: float, _: float) -> float:
    return -value


def _absolute(value: float, _: float) -> float:
    return abs(value)


def _sum(left: float, right: float) -> float:
    return left + right


def _difference(left: float, right: float) -> float:
    return left - right


def _product(left: float, right: float) -> float:
    return left * right


def _quotient(left: float, right: float) -> float:
    return left / right if right else math.nan


_ARITHMETIC: dict[str, Calculate] = {"+": _sum, "-": _difference, "*": _product, "/": _quotient}
