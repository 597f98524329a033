"""Rules and runs drawn at random, for what must be so whatever they are."""

import math

import numpy as np
from hypothesis import strategies as st

from rolloutwatch_contract.conditions import Condition, parse, text_of
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
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts.feed import Piece

METRICS = ["a", "b", "c"]
NUMBERS = st.sampled_from([-1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 1e-300, 1e300])
FIGURES = st.one_of(NUMBERS, st.sampled_from([math.nan, math.inf, -math.inf]), st.floats(-3, 3))
NAMES = st.sampled_from(METRICS)


@st.composite
def numbers(draw: st.DrawFn, depth: int, shares: bool) -> Node:
    kind = draw(st.integers(0, 9 if depth and shares else 8 if depth else 5))
    if kind <= 2:
        return Metric(draw(NAMES))
    if kind == 3:
        return Number(draw(NUMBERS))
    if kind <= 5:
        function = draw(st.sampled_from(["mean", "min", "max", "change", "rate", "off", "trend", "saw"]))
        return Over(function, draw(NAMES), draw(st.integers(2, 5)))
    # operands that are often the same, so that what is computed once is not taken for something else
    operand = st.just(Metric("a")) | numbers(depth - 1, shares)
    if kind == 6:
        return Negative(draw(operand))
    if kind == 7:
        return Absolute(draw(operand))
    if kind == 8:
        left, operator = draw(operand), draw(st.sampled_from("+--*/"))
        return Arithmetic(operator, left, draw(st.just(left) | operand))
    return Share(draw(conditions(depth - 1, is_inner=True)), draw(st.integers(2, 4)))


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3, *, is_inner: bool = False) -> Node:
    """A condition; an inner one, that is shared, has neither absent nor another share in it."""
    kind = draw(st.integers(0, 9 if depth else 6))
    if kind <= (6 if is_inner else 4):
        operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        sides = numbers(max(0, depth - 1), not is_inner)
        return Comparison(operator, draw(sides), draw(sides))
    if kind <= 6:
        return Absent(draw(NAMES), draw(st.integers(1, 4)))
    inner = conditions(max(0, depth - 1), is_inner=is_inner)
    if kind == 7:
        return Not(draw(inner))
    parts = draw(st.lists(inner, min_size=2, max_size=3).map(tuple))
    return And(parts) if kind == 8 else Or(parts)


def _rule(
    name: str, when: Node, clear: Node | None, for_steps: int, for_seconds: float, clear_steps: int
) -> Rule:
    return Rule(
        name=name,
        severity=Severity.WARNING,
        when=Condition(text_of(when), when),
        clear=clear and Condition(text_of(clear), clear),
        for_steps=for_steps,
        for_seconds=for_seconds,
        clear_steps=clear_steps,
    )


COUNTS = st.sampled_from([1, 1, 2, 3])
RULES = st.lists(
    st.tuples(conditions(), st.none() | conditions(), COUNTS, st.sampled_from([0.0, 0.0, 2.5]), COUNTS),
    min_size=1,
    max_size=4,
).map(lambda drawn: [_rule(f"rule_{number}", *parts) for number, parts in enumerate(drawn)])

_OPERANDS = st.sampled_from([Metric("a"), Metric("b")])
_UNARY = st.sampled_from([Negative, Absolute])


@st.composite
def _alike(draw: st.DrawFn) -> Node:
    """A number of one or two operators, whose operands are mostly the same."""
    one = draw(_OPERANDS)
    for _ in range(draw(st.integers(1, 2))):
        other = draw(st.just(one) | _OPERANDS)
        unary, binary = draw(_UNARY)(one), Arithmetic(draw(st.sampled_from("+-*/")), one, other)
        one = draw(st.sampled_from([unary, binary]))
    return one


ALIKE = st.lists(_alike(), min_size=2, max_size=8).map(
    lambda drawn: [
        _rule(f"rule_{number}", Comparison(">", node, Number(0.5)), None, 1, 0.0, 1)
        for number, node in enumerate(drawn)
    ]
)


def figures() -> st.SearchStrategy[dict[str, float]]:
    """Some figures of a step, at least one."""
    return st.dictionaries(NAMES, FIGURES, min_size=1)


STEPS = st.lists(
    st.tuples(
        st.integers(1, 3),  # steps since the last one
        st.sampled_from([0.5, 1.0, 3.0]),  # seconds since
        figures(),
    ),
    min_size=1,
    max_size=30,
)


BASELINES = [
    _rule(f"rule_{number}", parse(when).node, clear and parse(clear).node, 1, 0.0, 1)
    for number, (when, clear) in enumerate(
        [
            ("jump(a, 40) > 1", None),
            ("jump(b, 44) < -1 or jump(b, 40) > 1", "jump(a, 50) < 1"),
            ("drift(a, 40) > 1", "drift(a, 41) <= 0"),
            ("drift(b, 45) < -1", "trend(b, 4) > 0"),
            ("share(jump(a, 40) > 0 or drift(a, 40) > 2, 5) > 0.5", None),
            ("saw(a, 5) >= 0.5 and off(a, 12) > 0", None),
        ]
    )
]


@st.composite
def long_runs(draw: st.DrawFn) -> list[list[Piece]]:
    """Steps, each in pieces, of two metrics of which either is now of one session, now of another, for a while each."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    digits = draw(st.integers(0, 3))
    steps: list[list[Piece]] = []
    for _ in range(draw(st.integers(1, 6))):
        of_a, of_b = draw(st.integers(1, 2)), draw(st.integers(1, 3))
        center = draw(st.sampled_from([0.0, 0.0, 2.0, -40.0]))
        for new in random.normal(center, size=(draw(st.integers(1, 40)), 2)).round(digits).tolist():
            step, come = len(steps), [(of_a, "a", new[0]), (of_b, "b", new[1])]
            come = [one for one in come if random.random() < 0.95] or come
            if random.random() < 0.05:
                come = [(of, name, draw(FIGURES)) for of, name, _ in come]
            if random.random() < 0.5:
                come.reverse()
            steps.append([Piece(step, float(step), of, {name: value}) for of, name, value in come])
    return steps
