"""The rules of a run, so laid out that all of them are judged at once.

Comparisons are made all together, and so are those conditions that stand equally deep in others:
Kleene's `and` is the lowest of its parts, `or` the highest, and `not x` is `2 - x`.
What needs the outcome of a condition (a share of steps) comes in a later stage than that condition.
A plan is made once, is never changed, and serves any number of runs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.conditions import Truth, by_clock
from rolloutwatch_contract.diagnosis import METRICS as LOOKED_AT
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.layout import (
    Calculation,
    Condition,
    Layout,
    metrics_of_rule,
    needs_only_figures,
)

Places = npt.NDArray[np.intp]
Truths = npt.NDArray[np.int8]

_COMPARE: dict[str, Any] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_JOIN: dict[str, Any] = {"and": np.minimum, "or": np.maximum}
_FIXED = {"given": Truth.UNKNOWN, "true": Truth.TRUE, "false": Truth.FALSE}

# of memory, in bytes, with some room to spare
_OF_A_RUN, _OF_A_RULE = 20_000, 200
_OF_A_VALUE = {
    "mean": 40, "change": 40, "min": 100, "max": 100, "rate": 130, "off": 80, "trend": 80, "saw": 40, "jump": 60,
    "drift": 80,
}  # fmt: skip
_OF_A_WINDOW = {"drift": 10_000}
BASELINES = ("jump", "drift")
_OF_A_SHARE = 12  # of each of its steps


class Joined(NamedTuple):
    """Conditions made of others: where these stand, where those of each begin among them, and where it goes."""

    join: Any
    parts: Places
    begins: Places
    into: slice


class Stage(NamedTuple):
    """What can be computed once all stages before are."""

    shares: tuple[int, ...]
    conditions: Places  # of these
    calculations: tuple[Calculation, ...]
    left: Places
    right: Places
    comparisons: tuple[tuple[Any, slice], ...]
    into: slice
    joins: tuple[Joined, ...]


class Plan:
    """How to judge some rules, in their order; names must be different."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        layout = Layout(rules)
        self.rules = layout.rules
        self.index = {rule.name: number for number, rule in enumerate(self.rules)}
        if len(self.index) < len(self.rules):
            raise ValueError("Two rules have the same name: expected names that are all different.")
        self.fingerprints = tuple(rule.fingerprint for rule in self.rules)
        self.names = tuple(layout.metrics)
        self.blank = layout.values
        self.windows, self.shares = tuple(layout.windows), tuple(layout.shares)
        self.metrics_of = tuple(frozenset(metrics_of_rule(rule)) for rule in self.rules)
        self.places_of = tuple(
            tuple((name, layout.metrics[name]) for name in metrics_of_rule(rule)) for rule in self.rules
        )
        self.by_clock = tuple(by_clock(rule.when.node) for rule in self.rules)
        order, places = _ordered(layout.conditions)
        self.truths = np.array(
            [_FIXED.get(layout.conditions[number].kind, Truth.UNKNOWN) for number in order], dtype=np.int8
        )
        self.absences = tuple(one._replace(condition=places[one.condition]) for one in layout.absences)
        self.whens = _places(places[when] for when in layout.whens)
        self.clears = _places(  # the opposites of all stand behind all
            len(order) + places[when] if clear is None else places[clear]
            for when, clear in zip(layout.whens, layout.clears, strict=True)
        )
        self.stages = tuple(_stages(layout, order, places))
        self.weight = _weight(self)
        self._by_figures = tuple(number for number, rule in enumerate(self.rules) if needs_only_figures(rule))

    def decides_like(self, other: "Plan") -> bool:
        """Tell whether another plan decides the same: words and severity of rules may differ."""
        return self.fingerprints == other.fingerprints and self.index == other.index

    def rules_of(self, metrics: Iterable[str]) -> list[int]:
        """Return the rules that can be judged with these metrics of a step alone."""
        there = frozenset(metrics)
        return [number for number in self._by_figures if self.metrics_of[number] <= there]


def to_be_compared(plan: Plan) -> set[str]:
    """Return the metrics of which it matters what was usual: those of rules that ask it, and those of a diagnosis."""
    return {
        *LOOKED_AT,
        *(plan.names[window.metric] for window in plan.windows if window.function in BASELINES),
    }


def _weight(plan: Plan) -> int:
    """Return about how many bytes a run takes in memory whose windows are full."""
    windows = sum(
        _OF_A_WINDOW.get(window.function, 0) + _OF_A_VALUE[window.function] * window.samples
        for window in plan.windows
    )
    shares = sum(_OF_A_SHARE * share.steps for share in plan.shares)
    return _OF_A_RUN + _OF_A_RULE * len(plan.rules) + windows + shares


def _places(numbers: Iterable[int]) -> Places:
    return np.fromiter(numbers, dtype=np.intp)


def _ordered(conditions: Sequence[Condition]) -> tuple[list[int], list[int]]:
    """Return the conditions in the order in which they are computed, and the place that each has in it."""

    def key(number: int) -> tuple[bool, int, int, str]:
        condition = conditions[number]
        return (condition.kind not in _FIXED, condition.stage, condition.depth, condition.kind)

    order = sorted(range(len(conditions)), key=key)
    places = [0] * len(conditions)
    for place, number in enumerate(order):
        places[number] = place
    return order, places


def _stages(layout: Layout, order: Sequence[int], places: Sequence[int]) -> Iterable[Stage]:
    last = max((condition.stage for condition in layout.conditions), default=0)
    for stage in range(last + 1):
        here = [
            number
            for number in order
            if layout.conditions[number].stage == stage and layout.conditions[number].kind not in _FIXED
        ]
        compared = [number for number in here if layout.conditions[number].depth == 0]
        first = places[compared[0]] if compared else 0
        yield Stage(
            shares=tuple(number for number, share in enumerate(layout.shares) if share.stage == stage),
            conditions=_places(places[share.condition] for share in layout.shares if share.stage == stage),
            calculations=tuple(one for one in layout.calculations if one.stage == stage),
            left=_places(layout.conditions[number].parts[0] for number in compared),
            right=_places(layout.conditions[number].parts[1] for number in compared),
            comparisons=tuple(
                (_COMPARE[kind], slice(begin, end)) for kind, begin, end in _runs(layout, compared)
            ),
            into=slice(first, first + len(compared)),
            joins=tuple(_joins(layout, here[len(compared) :], places)),
        )


def _joins(layout: Layout, numbers: Sequence[int], places: Sequence[int]) -> Iterable[Joined]:
    for kind, begin, end in _runs(layout, numbers):
        parts = [[places[part] for part in layout.conditions[number].parts] for number in numbers[begin:end]]
        begins = np.cumsum([0, *map(len, parts)])[:-1]
        first = places[numbers[begin]]
        yield Joined(
            _JOIN[kind],
            _places(place for some in parts for place in some),
            begins,
            slice(first, first + end - begin),
        )


def _runs(layout: Layout, numbers: Sequence[int]) -> Iterable[tuple[str, int, int]]:
    """Give the stretches of conditions of one kind and depth: the kind, where it begins, where it ends."""
    begin = 0
    for end in range(1, len(numbers) + 1):
        here = layout.conditions[numbers[begin]]
        there = layout.conditions[numbers[end]] if end < len(numbers) else None
        if there is None or (there.kind, there.depth) != (here.kind, here.depth):
            yield here.kind, begin, end
            begin = end
