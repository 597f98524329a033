"""What the browser computes about figures is what Python computes."""

import math
from typing import Any

import pytest
from playwright.sync_api import Page

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.rules import DEFAULT_RULES, worst
from rolloutwatch_dashboard.app import HERE
from rolloutwatch_dashboard.figures.timeseries import Chart, value_range
from rolloutwatch_dashboard.pages.run import _followed_rule
from rolloutwatch_dashboard.text import age, number

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


def test_rules_are_judged_alike(blank: Page) -> None:
    """Every rule at its limit, a little beside it, and far from it."""
    rules = [_followed_rule(rule) for rule in DEFAULT_RULES]
    judge = (
        "([rules, metric, values]) => values.map((v) => rolloutwatch.worst(rules, metric, v)?.severity ?? 0)"
    )
    for metric in METRICS:
        expected = [rule.severity if (rule := worst(DEFAULT_RULES, metric, value)) else 0 for value in VALUES]
        assert blank.evaluate(judge, [rules, metric, VALUES]) == expected
    assert blank.evaluate("([rules]) => rolloutwatch.worst(rules, 'mismatch_kl', null)", [rules]) is None


@pytest.mark.parametrize(
    "values", [[], [1.0], [0.5, None, 1.5], [1.0, 1.0001], [1e-6, 1e-3], [None], [3.0, 8.0, 1e4], [0.02, 0.2]]
)
@pytest.mark.parametrize("ideal", [None, 0.0, 1.0])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("limits", [[], [1.05, 0.95], [0.01, 0.1]])
def test_the_value_axis_has_the_same_range(
    values: list[float | None], ideal: float | None, log: bool, limits: list[float], blank: Page
) -> None:
    chart = Chart("c", "C", "factor", {"m": "m"}, ideal, log)
    told: dict[str, Any] = {"limits": limits, "ideal": ideal, "log": log}
    found = blank.evaluate("([values, chart]) => rolloutwatch.valueRange([values], chart)", [values, told])
    assert found == pytest.approx(value_range(values, limits, chart), rel=1e-12, abs=1e-15)


def test_a_trend_needs_a_change_beyond_chance(blank: Page) -> None:
    """A step up is rising, noise around a constant is steady, and few values say nothing."""
    noise = [math.sin(7 * k) for k in range(60)]
    trend = "(values) => rolloutwatch.trend(values)"
    assert blank.evaluate(trend, noise) == "steady"
    assert blank.evaluate(trend, [*noise[:50], *(value + 5 for value in noise[50:])]) == "rising"
    assert blank.evaluate(trend, [*noise[:50], *(value - 5 for value in noise[50:])]) == "falling"
    assert blank.evaluate(trend, [2.0] * 60) == "steady"
    assert blank.evaluate(trend, noise[:19]) == ""
