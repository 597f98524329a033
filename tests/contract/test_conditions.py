"""The language of conditions: what is read, what is refused and where, and that what is written is read again."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract.conditions import ConditionError, Node, by_clock, metrics_of, parse, text_of, walk
from rolloutwatch_contract.conditions.nodes import (
    Absent,
    Absolute,
    And,
    Arithmetic,
    Comparison,
    Metric,
    Negative,
    Not,
    Number,
    Or,
    Over,
    Share,
    Silent,
)

A, B, C = Metric("a"), Metric("b"), Metric("c")
ONE, TWO = Number(1.0), Number(2.0)
A_HIGH, B_HIGH, C_HIGH = (Comparison(">", metric, ONE) for metric in (A, B, C))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a > 1", A_HIGH),
        ("a>1", A_HIGH),
        ("\n a\t>\r\n1 ", A_HIGH),
        ("a < 1", Comparison("<", A, ONE)),
        ("a <= 1", Comparison("<=", A, ONE)),
        ("a >= 1", Comparison(">=", A, ONE)),
        ("a == 1", Comparison("==", A, ONE)),
        ("a != 1", Comparison("!=", A, ONE)),
        ("1 < a", Comparison("<", ONE, A)),
        # numbers
        ("a > 1.", A_HIGH),
        ("a > .5", Comparison(">", A, Number(0.5))),
        ("a > 1e-4", Comparison(">", A, Number(1e-4))),
        ("a > 2.5E+3", Comparison(">", A, Number(2500.0))),
        ("a > -1", Comparison(">", A, Number(-1.0))),
        ("a > - 1", Comparison(">", A, Number(-1.0))),
        # names
        ("a@math > 1", Comparison(">", Metric("a@math"), ONE)),
        ("a@math-2.x_y > 1", Comparison(">", Metric("a@math-2.x_y"), ONE)),
        ("a@math - 2 > 1", Comparison(">", Arithmetic("-", Metric("a@math"), TWO), ONE)),
        ("`actor/entropy` > 1", Comparison(">", Metric("actor/entropy"), ONE)),
        ("`a@math` > 1", Comparison(">", Metric("a@math"), ONE)),
        ("`and` > 1", Comparison(">", Metric("and"), ONE)),
        ("`nan` > `mean`", Comparison(">", Metric("nan"), Metric("mean"))),
        ("_a1 > 1", Comparison(">", Metric("_a1"), ONE)),
        ("android > 1", Comparison(">", Metric("android"), ONE)),
        # and binds tighter than or, not tighter than and, comparison tighter than not
        ("a > 1 or b > 1 and c > 1", Or((A_HIGH, And((B_HIGH, C_HIGH))))),
        ("a > 1 and b > 1 or c > 1", Or((And((A_HIGH, B_HIGH)), C_HIGH))),
        ("(a > 1 or b > 1) and c > 1", And((Or((A_HIGH, B_HIGH)), C_HIGH))),
        ("a > 1 and b > 1 and c > 1", And((A_HIGH, B_HIGH, C_HIGH))),
        ("a > 1 and (b > 1 and c > 1)", And((A_HIGH, And((B_HIGH, C_HIGH))))),
        ("not a > 1 and b > 1", And((Not(A_HIGH), B_HIGH))),
        ("not (a > 1 and b > 1)", Not(And((A_HIGH, B_HIGH)))),
        ("not not a > 1", Not(Not(A_HIGH))),
        # a chain compares neighbours
        ("1 < a < 2", And((Comparison("<", ONE, A), Comparison("<", A, TWO)))),
        (
            "1 < a <= b != 2",
            And((Comparison("<", ONE, A), Comparison("<=", A, B), Comparison("!=", B, TWO))),
        ),
        ("not 1 < a < 2", Not(And((Comparison("<", ONE, A), Comparison("<", A, TWO))))),
        # arithmetic from the left, products first, a sign first of all
        ("a - b - c > 1", Comparison(">", Arithmetic("-", Arithmetic("-", A, B), C), ONE)),
        ("a - (b - c) > 1", Comparison(">", Arithmetic("-", A, Arithmetic("-", B, C)), ONE)),
        ("a + b * c > 1", Comparison(">", Arithmetic("+", A, Arithmetic("*", B, C)), ONE)),
        ("(a + b) * c > 1", Comparison(">", Arithmetic("*", Arithmetic("+", A, B), C), ONE)),
        ("a / b / c > 1", Comparison(">", Arithmetic("/", Arithmetic("/", A, B), C), ONE)),
        ("-a * b > 1", Comparison(">", Arithmetic("*", Negative(A), B), ONE)),
        ("a - -b > 1", Comparison(">", Arithmetic("-", A, Negative(B)), ONE)),
        ("a > 1 + 1", Comparison(">", A, Arithmetic("+", ONE, ONE))),
        # functions
        ("mean(a, 50) > 1", Comparison(">", Over("mean", "a", 50), ONE)),
        ("min(a, 2) > 1", Comparison(">", Over("min", "a", 2), ONE)),
        ("max(`x/y`, 10000) > 1", Comparison(">", Over("max", "x/y", 10000), ONE)),
        ("change(a@math, 5) > 1", Comparison(">", Over("change", "a@math", 5), ONE)),
        ("rate(a, 20) < 0", Comparison("<", Over("rate", "a", 20), Number(0.0))),
        ("off(a, 61) > 8", Comparison(">", Over("off", "a", 61), Number(8.0))),
        ("trend(a, 2) > 1", Comparison(">", Over("trend", "a", 2), ONE)),
        ("saw(a@math, 9) > 1", Comparison(">", Over("saw", "a@math", 9), ONE)),
        ("jump(a, 40) > 1", Comparison(">", Over("jump", "a", 40), ONE)),
        ("drift(`a/b`, 10000) > 1", Comparison(">", Over("drift", "a/b", 10000), ONE)),
        ("abs(a - b) > 1", Comparison(">", Absolute(Arithmetic("-", A, B)), ONE)),
        ("share(a > 1, 20) >= 0.5", Comparison(">=", Share(A_HIGH, 20), Number(0.5))),
        (
            "share(a > 1 and not b > 1, 20) > 1",
            Comparison(">", Share(And((A_HIGH, Not(B_HIGH))), 20), ONE),
        ),
        ("absent(a, 1)", Absent("a", 1)),
        ("absent(a, 20) or a > 1", Or((Absent("a", 20), A_HIGH))),
        ("silent(60)", Silent(60.0, 10)),
        ("silent(90.5, 3)", Silent(90.5, 3.0)),
        ("(silent(60))", Silent(60.0, 10)),
    ],
)
def test_what_is_written_is_what_is_meant(text: str, node: Node) -> None:
    read = parse(text)
    assert read.node == node
    assert read.text == text
    assert parse(text_of(node)).node == node


OPERAND = "a number, a metric, a function or a parenthesis"


@pytest.mark.parametrize(
    ("text", "position", "length", "expected"),
    [
        ("", 1, 1, OPERAND),
        ("   ", 4, 1, OPERAND),
        ("a", 1, 1, "a condition"),
        ("1", 1, 1, "a condition"),
        ("a >", 4, 1, OPERAND),
        ("> 1", 1, 1, OPERAND),
        ("a > > 1", 5, 1, OPERAND),
        ("a > 1 2", 7, 1, "an operator"),
        ("a b > 1", 3, 1, "an operator"),
        ("a > 1 adn b > 1", 7, 3, '"and", "or" or the end'),
        ("a > 1 AND b > 1", 7, 3, '"and", "or" or the end'),
        ("a > 1 and", 10, 1, OPERAND),
        ("a > 1 or or b > 1", 10, 2, OPERAND),
        ("and", 1, 3, OPERAND),
        ("not", 4, 1, OPERAND),
        ("not a", 5, 1, "a condition"),
        ("not(a)", 4, 3, "a condition"),
        ("a and b > 1", 1, 1, "a condition"),
        ("a > 1 and b", 11, 1, "a condition"),
        ("a > 1 and b + c", 11, 5, "a condition"),
        ("a = 1", 3, 1, '"=="'),
        ("a => 1", 3, 2, '">="'),
        ("a =< 1", 3, 2, '"<="'),
        ("a <> 1", 3, 2, '"!="'),
        ("a > 1 && b > 1", 7, 2, '"and"'),
        ("a > 1 || b > 1", 7, 2, '"or"'),
        ("!a > 1", 1, 1, '"not"'),
        ("a ≥ 1", 3, 1, '">="'),
        ("a ** 2 > 1", 3, 2, "a product"),
        ("a // 2 > 1", 3, 2, '"/"'),
        ("a % 2 == 1", 3, 1, "a fraction"),
        ("(a > 1", 7, 1, '")"'),
        ("a > 1)", 6, 1, "an operator"),
        ("()", 2, 1, OPERAND),
        ("(a > 1) > 2", 1, 7, "a number"),
        ("a > 1 + (b > 1)", 9, 7, "a number"),
        ("-(a > 1)", 2, 7, "a number"),
        ("a > 1 == 1 == (b > 1)", 15, 7, "a number"),
        ("1 < 2", 1, 5, "at least one metric"),
        ("1e999 < a", 1, 5, "finite"),
        ("a > 1e", 5, 2, "a number such as"),
        ("a > 1x", 5, 2, "a number such as"),
        ("a > 1_000", 5, 2, "a number such as"),
        ("a > 0x10", 5, 2, "a number such as"),
        ("1.2.3 < a", 1, 4, "a number such as"),
        ("a > inf", 5, 3, OPERAND),
        ("a != NaN", 6, 3, OPERAND),
        ("a == True", 6, 4, OPERAND),
        ("a == None", 6, 4, OPERAND),
        ("mean > 1", 1, 4, OPERAND),
        ("mean(a)", 7, 1, '"," in mean(metric, samples)'),
        ("mean(a, 1) > 1", 9, 1, "an integer from 2 to 10000"),
        ("mean(a, 10001) > 1", 9, 5, "an integer from 2 to 10000"),
        ("mean(a, 2.0) > 1", 9, 3, "an integer from 2 to 10000"),
        ("mean(a, -2) > 1", 9, 1, "an integer from 2 to 10000"),
        ("mean(a, b) > 1", 9, 1, "an integer from 2 to 10000"),
        ("jump(a, 39) > 1", 9, 2, "an integer from 40 to 10000"),
        ("drift(a, 39) > 1", 10, 2, "an integer from 40 to 10000"),
        ("saw(a, 1) > 1", 8, 1, "an integer from 2 to 10000"),
        ("mean(a, 2, 3) > 1", 10, 1, '")" at the end of mean'),
        ("mean(a + b, 2) > 1", 8, 1, '"," in mean(metric, samples)'),
        ("mean(1, 2) > 1", 6, 1, "the name of a metric"),
        ("meen(a, 2) > 1", 1, 4, "the name of a function"),
        ("exec(a)", 1, 4, "the name of a function"),
        ("`mean`(a, 2) > 1", 7, 1, "an operator"),
        ("abs() > 1", 5, 1, OPERAND),
        ("abs(a > 1) > 1", 7, 1, '")" at the end of abs'),
        ("abs(a > 1, 2) > 1", 7, 1, '")"'),
        ("share(a, 3) > 1", 7, 1, "a condition"),
        ("share(a > 1) > 1", 12, 1, '"," in share(condition, steps)'),
        ("share(a > 1, 3)", 1, 15, "a condition"),
        ("share(share(a > 1, 3) > 1, 3) > 1", 7, 19, "without share(...) and absent(...)"),
        ("share(absent(a, 3), 3) > 1", 7, 12, "without share(...) and absent(...)"),
        ("share(silent(60), 3) > 1", 7, 6, "silent(...) alone"),
        ("absent(a, 0)", 11, 1, "an integer from 1 to 10000"),
        ("absent(a, 3) > 1", 1, 12, "a number"),
        ("silent()", 8, 1, "how many seconds"),
        ("silent(0)", 8, 1, "how many seconds"),
        ("silent(60, 10001)", 12, 5, "how many times"),
        ("silent(60) or a > 1", 1, 6, "silent(...) alone"),
        ("not silent(60)", 5, 6, "silent(...) alone"),
        ("silent(60) == 1", 1, 10, "a number"),
        ("`a", 1, 2, "a second backquote"),
        ("`` > 1", 1, 2, "between the backquotes"),
        ("`a b` > 1", 1, 5, "between the backquotes"),
        ("`ä` > 1", 1, 3, "between the backquotes"),
        ("a@ > 1", 1, 2, "metric@group"),
        ("a@b@c > 1", 1, 4, "metric@group"),
        ("a.b > 1", 2, 1, "a number, a name"),
        ("ä > 1", 1, 1, "a number, a name"),
        ("a > ５", 5, 1, "a number, a name"),
        ("a\N{NO-BREAK SPACE}> 1", 2, 1, "a number, a name"),
        ("a > 1\x00", 6, 1, "a number, a name"),
        ("a > 1\N{RIGHT-TO-LEFT OVERRIDE}", 6, 1, "a number, a name"),
        ("a > 1 # fine", 7, 1, "a number, a name"),
        ("a[0] > 1", 2, 1, '"("'),
        ("a > 'x'", 5, 1, "a name without quotes"),
        ("__import__('os').system('x')", 12, 1, "a name without quotes"),
        ("a.__class__ > 1", 2, 1, "a number, a name"),
        ("lambda: a > 1", 7, 1, "a number, a name"),
        ("a if b else c", 3, 2, "an operator"),
        ("a > 1; b > 1", 6, 1, '"and" or "or"'),
        ("{a} > 1", 1, 1, '"("'),
        ("a := 1", 3, 1, "a number, a name"),
        (f"{'a' * 129} > 1", 1, 129, "at most 128 letters"),
        ("a > 1" + " " * 996, 1001, 1, "at most 1000 letters"),
        ("(" * 33 + "a > 1" + ")" * 33, 33, 1, "at most 32 levels"),
        ("not " * 33 + "a > 1", 129, 3, "at most 32 levels"),
        ("a > " + "-" * 40 + "b", 37, 1, "at most 32 levels"),
        ("abs(" * 33 + "a" + ")" * 33 + " > 1", 129, 3, "at most 32 levels"),
        (" or ".join(["a > 1"] * 70), 1, 626, "at most 200 numbers, metrics and operators, not 211"),
        ("a" + " + a" * 150 + " > 1", 1, 605, "at most 200 numbers, metrics and operators, not 303"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_its_place(text: str, position: int, length: int, expected: str) -> None:
    """With what was expected there, and what came."""
    with pytest.raises(ConditionError) as refused:
        parse(text)
    error = refused.value
    assert (error.position, error.length) == (position, length)
    assert expected in error.expected
    assert error.came
    assert str(error).startswith(f"column {position}: expected ")
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a > 1 adn b > 1", 'Did you mean "and"?'),
        ("a > 1 OR b > 1", 'Did you mean "or"?'),
        ("meen(a, 2) > 1", 'Did you mean "mean"?'),
        (
            "sqrt(a) > 1",
            "There are mean, min, max, change, rate, off, trend, saw, jump, drift, share, abs, absent, silent.",
        ),
        ("a > inf", "A metric of that name stands in backquotes: `inf`."),
        ("a.b > 1", "A name with other letters stands in backquotes."),
    ],
)
def test_a_word_that_is_nearly_right_is_told_the_right_one(text: str, hint: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(text)
    assert str(refused.value).endswith(hint)


def test_a_name_that_may_not_be_used_is_refused_where_it_stands() -> None:
    def refuse(name: str) -> tuple[str, str] | None:
        return None if name == "a" else ("a metric that is known", ' Did you mean "a"?')

    with pytest.raises(ConditionError) as refused:
        parse("a > 1 and mean(`b/c`, 5) > 1", refuse)
    assert (refused.value.position, refused.value.length) == (16, 5)
    assert str(refused.value) == 'column 16: expected a metric that is known, got "`b/c`". Did you mean "a"?'


def test_what_stands_in_a_condition_is_told_once_and_in_order() -> None:
    node = parse("b > 1 and mean(a, 3) > b or share(not c > 1, 5) > 0.5 or absent(d@x, 3)").node
    assert metrics_of(node) == ("b", "a", "c", "d@x")
    assert next(walk(node)) is node
    assert sum(isinstance(one, Comparison) for one in walk(node)) == 4
    assert not by_clock(node)
    assert by_clock(parse("silent(60)").node)


def test_what_is_printed_has_no_parentheses_that_say_nothing() -> None:
    assert text_of(parse("((a) > ((1)))").node) == "a > 1"
    assert text_of(parse("0.5<a<2").node) == "0.5 < a and a < 2"
    assert text_of(parse("not (not (a>1)) and (b>1 or c>1)").node) == "not not a > 1 and (b > 1 or c > 1)"
    assert text_of(parse("a-(b-c)*-(a+1) > 1e-04").node) == "a - (b - c) * -(a + 1) > 0.0001"


NAMES = st.sampled_from(
    ["a", "ratio_std", "kl@math-2", "actor/entropy", "mean", "or", "9lives", "inf", "x.y"]
)
SAMPLES = st.integers(2, 10_000)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def numbers_with(
    inner: st.SearchStrategy[Node], conditions: st.SearchStrategy[Node]
) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(["+", "-", "*", "/"])
    return st.one_of(
        inner.filter(lambda node: not isinstance(node, Number)).map(Negative),
        inner.map(Absolute),
        st.builds(Arithmetic, operators, inner, inner),
        st.builds(Share, conditions, SAMPLES),
    )


def conditions_with(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(Not) | several.map(And) | several.map(Or)


FIGURES = st.one_of(
    st.builds(Metric, NAMES),
    st.builds(
        Over, st.sampled_from(["mean", "min", "max", "change", "rate", "off", "trend", "saw"]), NAMES, SAMPLES
    ),
    st.builds(Over, st.sampled_from(["jump", "drift"]), NAMES, st.integers(40, 10_000)),
)
COMPARES = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
PLAIN = st.builds(Comparison, COMPARES, FIGURES, st.builds(Number, FINITE))
SHARED = st.recursive(PLAIN, conditions_with, max_leaves=3)
SUMS = st.recursive(
    FIGURES | st.builds(Number, FINITE), lambda inner: numbers_with(inner, SHARED), max_leaves=6
)
CONDITIONS = st.recursive(
    st.builds(Comparison, COMPARES, SUMS, SUMS) | st.builds(Absent, NAMES, st.integers(1, 10_000)),
    conditions_with,
    max_leaves=6,
)


@given(CONDITIONS)
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_again_as_it_was(node: Node) -> None:
    text = text_of(node)
    if len(text) <= 1000 and metrics_of(node) and sum(1 for _ in walk(node)) <= 200:
        assert parse(text).node == node


WORDS = st.sampled_from(
    ["a", "b@c", "`x/y`", "1", "-", "2.5e3", "(", ")", ",", "<", ">=", "==", "and", "or", "not", "+", "*", "/", "mean(",
     "share(", "abs(", "absent(", "silent(", "60", " ", "=", "!", "é", "`", "\n"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=60).map("".join) | st.lists(WORDS, max_size=60).map(" ".join) | st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_condition_or_is_refused_within_it(text: str) -> None:
    try:
        node = parse(text).node
    except ConditionError as error:
        at, length = error.position, error.length
    else:
        assert parse(text_of(node)).node == node
        return
    assert 1 <= at <= len(text) + 1
    assert 1 <= length <= max(1, len(text) - at + 1)


@pytest.mark.parametrize(
    "text",
    ["(" * 1000, "a" * 1000, "-" * 1000, "not " * 250, "`" * 1000, "9" * 1000, "1." * 500, "a<" * 500, "a " * 500,
     "abs(" * 250, "a > 1 or " * 111 + "a", ("a < " * 249) + "a", "=" * 1000, "\t" * 1000, "🙂" * 1000],
)  # fmt: skip
def test_no_text_takes_long_to_be_refused(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ConditionError):
        parse(text)
    assert time.perf_counter() - began < 1
