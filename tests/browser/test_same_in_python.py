"""What the browser computes about figures is what Python computes."""

import itertools
import math

import msgspec
import numpy as np
import pytest
from playwright.sync_api import Page

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import DEFAULT_LIMITS, worst
from rolloutwatch_contract.protocol import MarkView, Series
from rolloutwatch_dashboard.compared import window_of
from rolloutwatch_dashboard.comparison import Asked
from rolloutwatch_dashboard.components.clock import FOR_EVER, KINDS
from rolloutwatch_dashboard.figures.compare import EMPTY, Axis, line_of
from rolloutwatch_dashboard.figures.marks import place_marks
from rolloutwatch_dashboard.figures.ticks import ticks_of
from rolloutwatch_dashboard.figures.timeseries import Chart, drawn, isolated, value_range, with_gaps
from rolloutwatch_dashboard.judgement import is_past, verdict
from rolloutwatch_dashboard.pages.run_followed import followed_limit
from rolloutwatch_dashboard.shell import HERE
from rolloutwatch_dashboard.text import age, mark_label, mark_text, number
from rolloutwatch_dashboard.usual import begins_of

VALUES = [
    0.0, 1.0, -1.0, 0.99991, 0.5, 0.2999, 0.3, 0.3001, 1.05, 1.0500001, 1.5, 2.0, 2.1, 9.9996, 12.3456, 99.99, 100.0,
    999.96, 1000.0, 12345.6, 999999.4, 1e6, 1.5e7, 0.001, 0.00099, 5.4e-5, 1e-12, -3.2e-4, -0.02, -250.125,
]  # fmt: skip


@pytest.fixture
def blank(page: Page) -> Page:
    """A page with the pure functions and nothing else."""
    page.add_script_tag(content=(HERE / "assets" / "figures.js").read_text())
    return page


def test_numbers_are_written_alike(blank: Page) -> None:
    assert blank.evaluate("(values) => values.map(rolloutwatch.number)", VALUES) == [
        number(v) for v in VALUES
    ]
    special = "[NaN, Infinity, -Infinity, null].map(rolloutwatch.number)"
    assert blank.evaluate(special) == [number(v) for v in (math.nan, math.inf, -math.inf, math.nan)]


def test_ages_are_written_alike(blank: Page) -> None:
    seconds = [-5, 0, 1.9, 2, 59.9, 60, 119, 3599, 3600, 86399, 86400, 864000]
    assert blank.evaluate("(all) => all.map(rolloutwatch.age)", seconds) == [age(s) for s in seconds]


def test_texts_of_clocks_are_written_alike(blank: Page) -> None:
    """How long ago, since how long, and for how long yet, as minutes, hours and days go by."""
    blank.add_script_tag(content=(HERE / "assets" / "clock.js").read_text())
    now = 1_796_054_400.0
    apart = [
        -5,
        0,
        0.4,
        1.9,
        2,
        59.4,
        59.6,
        60,
        119,
        3599,
        3600,
        86399,
        86400,
        864000,
        FOR_EVER,
        FOR_EVER + 1,
    ]
    for name, words in KINDS.items():
        times = [now + sign * seconds for seconds in apart for sign in (-1, 1)]
        told = blank.evaluate(
            "([name, times, now]) => times.map((one) => rolloutwatch.clock.KINDS[name](one, now))",
            [name, times, now],
        )
        assert told == [words(one, now) for one in times]


def test_rules_are_judged_alike(blank: Page) -> None:
    """Every rule at its limit, a little beside it, and far from it."""
    rules = [followed_limit(rule) for rule in DEFAULT_LIMITS]
    judge = (
        "([rules, metric, values]) => values.map((v) => rolloutwatch.worst(rules, metric, v)?.severity ?? 0)"
    )
    for metric in METRICS:
        expected = [
            rule.severity if (rule := worst(DEFAULT_LIMITS, metric, value)) else 0 for value in VALUES
        ]
        assert blank.evaluate(judge, [rules, metric, VALUES]) == expected
    assert blank.evaluate("([rules]) => rolloutwatch.worst(rules, 'mismatch_kl', null)", [rules]) is None


COLUMNS: list[list[float | None]] = [
    [], [1.0], [0.5, None, 1.5], [1.0, 1.0001], [1e-6, 1e-3], [None], [3.0, 8.0, 1e4], [0.02, 0.2], [0.0, 0.0], [-4.0, 1.0],
]  # fmt: skip
LIMITS: list[list[float]] = [[], [1.05, 0.95], [0.01, 0.1], [-0.01, 0.01, -0.1]]


def test_the_value_axis_has_the_same_range(blank: Page) -> None:
    """Data of every kind, with and without limits, ideal and home, on both kinds of axis."""
    choices = itertools.product(COLUMNS, LIMITS, [None, 0.0, 1.0], [0.0, 1e-7], [(), (0.0, 0.1)])
    asked, expected = [], []
    for values, limits, ideal, floor, home in choices:
        chart = Chart("c", "C", "factor", {"m": "m"}, ideal, floor, home)
        places = drawn(values, chart)
        asked.append([places, {"limits": limits, "ideal": ideal, "floor": floor, "home": home}])
        expected.append(value_range(places, limits, chart))
    judge = "(asked) => asked.map(([values, chart]) => rolloutwatch.valueRange([values], chart))"
    for question, found, wanted in zip(asked, blank.evaluate(judge, asked), expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-15), question


def test_a_log_axis_has_the_same_labels(blank: Page) -> None:
    """Of every width, from a hair to hundreds of decades, wherever it begins."""
    widths = [1e-6, 0.01, 0.02, 0.1, 0.3, 0.7, 1.0, 1.3, 2.0, 2.3, 3.0, 4.7, 7.0, 7.5, 12.0, 40.0, 207.0]
    ranges = [(low, low + width) for low in (-7.3, -7.0, -3.01, -0.03, 0.0, 0.5, 5.9) for width in widths]
    expected = [ticks_of(*one) for one in ranges]
    assert blank.evaluate("(all) => all.map((range) => rolloutwatch.ticksOf(...range))", ranges) == expected


@pytest.mark.parametrize("floor", [0.0, 1e-7])
def test_values_stand_at_the_same_places(floor: float, blank: Page) -> None:
    """With its gaps and its dots; what no axis can count to, Python leaves out when it reads a series."""
    chart = Chart("c", "C", "factor", {"m": "m"}, None, floor)
    assert blank.evaluate(
        "([values, floor]) => rolloutwatch.drawn(values, { floor })", [[*VALUES, None], floor]
    ) == (drawn([*VALUES, None], chart))
    assert blank.evaluate("() => rolloutwatch.drawn([1e200, -1e300, 1e308], { floor: 0 })") == [
        1e200,
        None,
        None,
    ]


STEPS = [
    [], [7], [0, 50], [0, 1, 2, 3, 20, 21], [0, 100, 200, 300, 400], [0, 100, 200, 300, 700, 800], [0, 1, 2, 40, 41],
    [5, 6, 9, 10, 30, 31, 90],
]  # fmt: skip


@pytest.mark.parametrize("steps", STEPS)
def test_gaps_and_overdue_figures_are_found_alike(steps: list[int], blank: Page) -> None:
    values: list[float | None] = [None if step % 5 == 1 else step / 7 for step in steps]
    found = blank.evaluate("([steps, values]) => rolloutwatch.withGaps(steps, values)", [steps, values])
    expected = with_gaps(steps, values)
    assert (found["step"], found["value"]) == expected
    assert blank.evaluate("(values) => rolloutwatch.isolated(values)", expected[1]) == isolated(expected[1])
    nows = [step for last in steps[-1:] for step in range(last, last + 400)]
    overdue = blank.evaluate(
        "([steps, nows]) => nows.map((now) => rolloutwatch.isPast(steps, now))", [steps, nows]
    )
    assert overdue == [is_past(steps, now) for now in nows]
    assert blank.evaluate("rolloutwatch.isPast([], 0)") is is_past([], 0) is True


def test_verdicts_are_alike(blank: Page) -> None:
    rules = [followed_limit(rule) for rule in DEFAULT_LIMITS]
    for metric in ("mismatch_k3_kl", "mismatch_kl", "ratio_eff_sample_size"):
        for first in range(len(VALUES)):
            values = VALUES[first:]
            expected = verdict(DEFAULT_LIMITS, metric, values)
            found = blank.evaluate(
                "([rules, metric, values]) => rolloutwatch.verdict(rules, metric, values)",
                [rules, metric, values],
            )
            if expected is None:
                assert found is None
                continue
            assert (found["value"], found["at"], found["times"], found["of"]) == expected[1:]
            assert found["rule"]["severity"] == expected.rule.severity


def test_a_trend_needs_a_change_beyond_chance(blank: Page) -> None:
    """A step up is rising, noise around a constant is steady, and few values say nothing."""
    noise = [math.sin(7 * k) for k in range(60)]
    trend = "(values) => rolloutwatch.trend(values)"
    assert blank.evaluate(trend, noise) == "steady"
    assert blank.evaluate(trend, [*noise[:50], *(value + 5 for value in noise[50:])]) == "rising"
    assert blank.evaluate(trend, [*noise[:50], *(value - 5 for value in noise[50:])]) == "falling"
    assert blank.evaluate(trend, [2.0] * 60) == "steady"
    assert blank.evaluate(trend, noise[:19]) == ""


MARKS = [
    MarkView(0, 1.0, "weight_sync", {"version": 7}),
    MarkView(
        5, 2.0, "checkpoint", {"path": "/c/" + "x" * 100, "kept": True, "loss": 0.25, "size": 2**53 - 1}
    ),
    MarkView(5, 2.5, "checkpoint", {"path": "/c"}),
    MarkView(7, 3.0, "restart", {"host": "a", "pid": "12"}, found=True),
    MarkView(7, 3.0, "config", {"rollout_is_threshold": "2 → 3", "others_changed": 4}, found=True),
    MarkView(7, 3.0, "config", {"lr": 2e-6}),
    MarkView(7, 3.2, "rollback", {"host": "a", "pid": "12"}, found=True),
    MarkView(8, 3.2, "takeover", {"host": "a", "pid": "12"}, found=True),
    MarkView(8, 3.2, "takeover", {"host": "a", "pid": "12"}),
    MarkView(7, 3.5, "contested", {"host": "<b>a</b>&", "other_host": "\0\u202e"}, found=True),
    MarkView(8, 4.0, "a.name/of-its@own-that_is_long", {"version": "\U0001f642" * 9, "a_b": None, "c": -0.0}),
    MarkView(5, 3.7, "alert_critical", {"rule": "a_rule_of_twenty_eight_letters"}, found=True),
    MarkView(6, 3.8, "alert_warning", {"rule": "<b>_rule", "until_step": 9}, found=True),
    MarkView(6, 3.9, "alert_warning", {"rule": "sent"}),
    MarkView(9, 5.0, "many", {f"f{n}": n / 8 for n in range(20)} | {"version": 1e300}),
    MarkView(99, 6.0, "weight_sync", {"version": "0123456789"}),
    MarkView(8, 0.0, "linked", found=True),
    MarkView(8, 0.0, "linked"),
    *(MarkView(n, 7.0 + n, "every_step", {"version": False}) for n in range(300)),
    *(MarkView(100 + 3 * n, 400.0 + n, "eval", {}) for n in range(30)),
]


@pytest.mark.parametrize("some", [slice(None), slice(0, 16), slice(11, 12), slice(0, 0)])
def test_marks_are_placed_alike(some: slice, blank: Page) -> None:
    """Lines, ticks, labels and words, on plots of any width, of all steps or of some, whatever is marked."""
    marks = MARKS[some]
    sent = [msgspec.structs.asdict(one) for one in marks]
    assert blank.evaluate("(marks) => marks.map(rolloutwatch.markLabel)", sent) == [
        mark_label(m) for m in marks
    ]
    assert blank.evaluate("(marks) => marks.map(rolloutwatch.markText)", sent) == [
        mark_text(m) for m in marks
    ]
    for steps, (first, last), width in itertools.product(
        ([*range(300)], [*range(0, 300, 7)], [3], []),
        ((0, 299), (4.5, 9.5), (7, 7), (500, 600)),
        (20, 268.5, 1200),
    ):
        asked = [sent, steps, first, last, width]
        found = blank.evaluate("(asked) => rolloutwatch.placeMarks(...asked)", asked)
        expected = place_marks(marks, steps, first, last, width)
        assert found["paths"] == expected.paths
        assert [tuple(label) for label in found["labels"]] == expected.labels
        assert [tuple(words) for words in found["words"]] == expected.words


def test_what_is_usual_begins_anew_at_the_same_steps(blank: Page) -> None:
    """In the order of steps, however marks stand: where a configuration was marked before another session goes on."""
    blank.add_script_tag(content=(HERE / "assets" / "parts.js").read_text())
    for marks in (
        MARKS,
        MARKS[::-1],
        [MarkView(3, 0.0, "config", {}), *MARKS, MarkView(5, 9.0, "config", {})],
    ):
        sent = [msgspec.structs.asdict(one) for one in marks]
        assert blank.evaluate("(marks) => rolloutwatch.parts.beginsOf(marks)", sent) == begins_of(marks)


def test_runs_are_laid_over_each_other_alike(blank: Page) -> None:
    """With gaps, with what is looked at closely, and by time; and the steps that are read for a part of it too."""
    for script in ("page.js", "overlay_lines.js", "asked.js"):
        blank.add_script_tag(content=(HERE / "assets" / script).read_text())
    steps = [*range(0, 400, 20), *range(500, 700, 20)]
    whole = Series(np.array(steps), np.array([math.nan if step == 60 else step / 7 for step in steps]))
    near = [*range(300, 320), *range(340, 360)]
    close = Series(np.array(near), np.array([1e300 if step == 305 else -float(step) for step in near]))
    timed = [Series(one.step, one.value, 1e9 + 3.0 * one.step) for one in (whole, close)]
    draw = "([whole, origin, axis, close]) => rolloutwatch.lineOf(whole, origin, axis, close)"
    for (one, other), axis, origin in (
        ((whole, close), Axis(""), 7.0), ((whole, EMPTY), Axis(""), 0.0),
        ((timed[0], timed[1]), Axis("", unit=60.0, timed=True), 1e9), ((timed[0], EMPTY), Axis("", unit=1e-3, timed=True), 0.0),
    ):  # fmt: skip
        expected = line_of(one, origin, axis, other)
        found = blank.evaluate(draw, [_column(one), origin, {"unit": axis.unit}, _column(other)])
        came = found.pop("came")
        assert found == {"step": expected.step, "value": expected.value, "x": pytest.approx(expected.x)}
        lost = [
            at for at, step in enumerate(found["step"]) if step is not None and found["value"][at] is None
        ]
        assert [found["step"][at] for at in lost] == [step for _, step, _ in expected.lost]
        assert [came[at] for at in lost] == [None if math.isnan(v) else v for *_, v in expected.lost]
        assert [found["x"][at] for at in lost] == pytest.approx([x for x, *_ in expected.lost])
    read = "([columns, first, last]) => rolloutwatch.compared.windowOf(columns, first, last)"
    for ends in ((70, 90), (0, 10), (410, 420), (690, 900), (-9, -1), (1000, 2000)):
        asked = Asked(ends=(float(ends[0]), float(ends[1])))
        for column in (whole, timed[0]):
            shift = 0.0 if column.time is None else 1e9 - 3e9 + 2e9
            window = window_of(asked, shift, [column])
            found = blank.evaluate(read, [[_column(column)], ends[0] + shift, ends[1] + shift])
            assert found == (None if window is None else list(window))


def _column(one: Series) -> dict[str, object]:
    value = [number if math.isfinite(number) else None for number in one.value.tolist()]
    return {
        "step": one.step.tolist(),
        "value": value,
        "time": None if one.time is None else one.time.tolist(),
    }
