"""What the page about rules says of windows, gaps, infinities and runs that begin anew is what a run gets."""

import math

import pytest

from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.plan import Plan
from tests.docs.test_examples_run import ROOT

PAGE = (ROOT / "docs/rules.md").read_text()
NAN, INF = math.nan, math.inf
EVERY_4TH = [1.0, None, None, None]


def rule(when: str, more: str = "") -> Rule:
    text = f'own_metrics = ["a"]\n[[rule]]\nname = "r"\nseverity = "warning"\nwhen = "{when}"\n{more}\n'
    return parse_rules(text, "rules.toml").rules[0]


def play(
    alerts: RunAlerts, values: list[float | None], first: int = 0, apart: int = 1, session: int = 1
) -> list[str]:
    """Return what happens at steps that all have `n_tokens`, and `a` where there is a value for it."""
    happened = []
    for at, value in enumerate(values):
        metrics = {"n_tokens": 1.0} | ({} if value is None else {"a": value})
        step = first + at * apart
        fed = alerts.feed(Piece(step, float(step), session, metrics))
        happened += [f"{one.step} {one.change.value}" for _, one in fed.transitions]
    return happened


@pytest.mark.parametrize(
    ("says", "when", "values", "happens"),
    [
        ("`mean(metric, 20)` and `share(metric > 1, 20)` both look back over 80 steps",
         "share(a > 0, 20) >= 0.5", EVERY_4TH * 21, ["76 firing"]),
        ("`mean(metric, 20)` and `share(metric > 1, 20)` both look back over 80 steps",
         "mean(a, 20) > 0", EVERY_4TH * 21, ["76 firing"]),
        ("of the last 20 steps at which a condition was known", "share(a > 1, 4) > 0.5",
         [2, NAN, 2, None, 2, 1, 1], ["5 firing", "6 resolved"]),
        ("values that came and are not NaN", "mean(a, 3) == 1", [1, NAN, 1, None, 1], ["4 firing"]),
        ("at a step at which nothing was added to it", "mean(a, 2) == 1 or n_tokens > 1",
         [None, None, 1, 1, None, 2], ["3 firing", "5 resolved"]),
        ("the last of them less the first", "change(a, 3) == 4", [5, 1, 2, None, 5, 6], ["4 firing"]),
        ("true if a metric that has come before", "absent(a, 3)", [None] * 9, []),
        ("be it as NaN, has not come", "absent(a, 3)", [1, NAN, NAN, NAN, NAN, NAN], []),
        ("known of a step once the next one begins", "absent(a, 3)", [1, None, None, None], []),
        ("known of a step once the next one begins", "absent(a, 3)", [1, None, None, None, None], ["3 firing"]),
        ("known as soon as there are 20 values before this one", "jump(a, 200) > 4", [1, 2, 3] * 6 + [1, 2, 9],
         ["20 firing"]),
        ("known as soon as there are 20 values before this one", "jump(a, 200) > 4", [1, 2, 3] * 6 + [1, 9], []),
        ("one wild value brings 5", "drift(a, 40) == 5", [1] * 20 + [1e9], ["20 firing"]),
        ("a value beyond all of them is infinitely far off", "jump(a, 40) > 1e308", [1] * 20 + [1.001], ["20 firing"]),
        ("An infinite value is infinitely far", "jump(a, 40) < -1e308", [1, 2] * 10 + [-INF], ["20 firing"]),
        ("if the median is infinite it is unknown", "not jump(a, 40) == 7", [INF] * 20 + [1, INF], []),
        ("nothing is added", "drift(a, 40) == 0", [INF] * 20 + [1], ["20 firing"]),
        ("from -1 to 1: Kendall's tau over time", "trend(a, 3) == 1", [3, 1, 2, 3], ["3 firing"]),
        ("near 1 for what climbs slowly and falls at once", "saw(a, 11) == 0.8", [*range(10), 0], ["10 firing"]),
        ("an infinite ratio is above every limit", "a > 1e308", [1, INF], ["1 firing"]),
        ("so is a `mean` or `max` over it", "mean(a, 2) > 1e308", [1, INF, 1, 1], ["1 firing", "3 resolved"]),
        ("so is a `mean` or `max` over it", "max(a, 2) > 1e308", [1, INF, 1, 1], ["1 firing", "3 resolved"]),
        ("a `rate` over it is unknown", "not rate(a, 2) == 7", [INF, 1, INF, 1], []),
        ("dividing by 0, and infinities that cancel, too", "not a / 0 == 7", [0, 1], []),
        ("dividing by 0, and infinities that cancel, too", "not a - a == 7", [INF, INF], []),
        ("a product goes before a sum", "1 + 2 * a == 7", [3], ["0 firing"]),
        ("`not` goes before `and`, and `and` before `or`", "a > 0 or not a > 0 and a > 5", [1], ["0 firing"]),
        ("`0.5 < a < 2` is `0.5 < a and a < 2`", "0.5 < a < 2", [2, 1, 0.5], ["1 firing", "2 resolved"]),
    ],
)  # fmt: skip
def test_conditions_come_to_what_the_page_says(
    says: str, when: str, values: list[float | None], happens: list[str]
) -> None:
    assert says in PAGE
    assert play(RunAlerts(Plan([rule(when)])), values) == happens


def test_a_rate_is_by_the_numbers_of_steps() -> None:
    assert "per step as steps are numbered" in PAGE
    assert play(RunAlerts(Plan([rule("rate(a, 3) == 0.125")])), [1, 2, 3], apart=8) == ["16 firing"]


def test_steps_that_are_unknown_count_for_neither() -> None:
    assert "neither brings a rule nearer to firing nor begins its count anew" in PAGE
    alerts = RunAlerts(Plan([rule("a > 1", "for_steps = 3\nclear_steps = 2")]))
    values = [2, None, 2, NAN, 2, 1, None, 1]
    assert play(alerts, values) == ["4 firing", "7 resolved"]


def test_a_time_to_hold_is_by_the_times_of_steps() -> None:
    """Both are asked for: the steps, and the seconds since the first of them."""
    assert "and for so long, by the times of the steps" in PAGE
    alerts = RunAlerts(Plan([rule("a > 1", "for_steps = 2\nfor_seconds = 10")]))
    assert play(alerts, [1, 2, 2, 2, 2], apart=4) == ["16 firing"]


def test_windows_go_on_or_begin_empty_as_the_page_says() -> None:
    assert (
        "Windows and counts go on when the server starts anew, and when the trainer does where it was" in PAGE
    )
    alerts = RunAlerts(Plan([rule("mean(a, 3) == 1")]))
    assert play(alerts, [1, 1]) == []
    assert play(alerts, [1], first=2, session=2) == ["2 firing"]
    assert "Where a run goes back to an earlier step, windows hold what is shown from before it" in PAGE
    again = Piece(2, 2.0, 3, {"n_tokens": 1.0, "a": 1.0})
    assert alerts.goes_back(again)
    assert [one.change.value for _, one in alerts.rewind(again).transitions] == ["resolved"]
    alerts.warm(Piece(step, float(step), 1, {"n_tokens": 1.0, "a": 1.0}) for step in (0, 1))
    assert play(alerts, [1], first=2, session=3) == ["2 firing"]
    assert "Windows begin empty after a run has ended" in PAGE
    assert [one.change.value for _, one in alerts.end(9.0).transitions] == ["resolved"]
    assert play(alerts, [1, 1, 1], first=5, session=4) == ["7 firing"]


def test_another_session_begins_a_baseline_anew_as_the_page_says() -> None:
    assert "unknown until it has brought 20 values" in PAGE
    assert "An alert that fires goes on until it is known again" in PAGE
    alerts = RunAlerts(Plan([rule("jump(a, 40) > 4")]))
    assert play(alerts, [1] * 20 + [9]) == ["20 firing"]
    assert play(alerts, [9] * 20, first=21, session=2) == []
    assert play(alerts, [9], first=41, session=2) == ["41 resolved"]


@pytest.mark.parametrize(
    ("more", "ends"),
    [
        ("for_steps = 2", True), ("for_seconds = 2", True), ("clear_steps = 2", True), ("clear = 'a < 1'", True),
        ("summary = 'x'", False), ("cure = 'x'", False), ("guide = 'https://wiki.example/x'", False),
    ],
)  # fmt: skip
def test_a_rule_begins_anew_when_what_decides_changes(more: str, ends: bool) -> None:
    assert "`when`, `clear`, `for_steps`, `for_seconds` or `clear_steps`" in PAGE
    alerts = RunAlerts(Plan([rule("a > 1")]))
    assert play(alerts, [2]) == ["0 firing"]
    assert bool(alerts.replace(Plan([rule("a > 1", more)]), 1.0).transitions) is ends
