"""The bar of a replay, and the alerts that it shows, without a browser."""

import json
import math
import re
from typing import Any

import pytest

from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.components import replay
from rolloutwatch_dashboard.pages.replay_alerts import alerts_then
from tests.dashboard.alerting import NOW, RUN, alert, source_with

BEGAN = NOW - 100


def parts(component: Any, kind: str) -> list[Any]:
    return [one for one in component._traverse() if type(one).__name__ == kind]


def told(shown: Any) -> list[dict[str, Any]]:
    return list(json.loads(getattr(shown, "data-firing")))


def rules(shown: Any) -> list[str]:
    return [one["rule"] for one in told(shown)]


def test_the_bar_is_closed_and_has_what_one_can_do() -> None:
    bar = replay.bar()
    assert (bar.id, bar.hidden) == ("replay", True)
    acts = [one.to_plotly_json()["props"]["data-replay"] for one in parts(bar, "Button")]
    assert acts == ["back", "play", "forward", "alert", "worst", "close"]


def test_every_pace_is_one_that_the_player_reads() -> None:
    """One to a thousand steps a second, or as time passed."""
    values = [one.value for one in parts(replay.bar(), "Option")]
    assert all(re.fullmatch("[sx][0-9]{1,4}", value) for value in values)
    assert (values[0], values[-1]) == ("s1", "x1000")
    assert {"s10", "s1000", "x1"} <= set(values)
    assert len(set(values)) == len(values)


def test_alerts_are_those_that_stood_with_what_had_been_said_of_them() -> None:
    source = source_with(
        alert("ended", firing_step=3, resolved_step=8, resolved_time=NOW),
        alert(
            "stands",
            firing_step=5,
            firing_time=BEGAN,
            severity=Severity.WARNING,
            acknowledged_by="olga",
            acknowledged_until=BEGAN + 200,
        ),
        alert("later", firing_step=9),
        alert("given_up", firing_step=1, given_up=True),
    )
    shown = alerts_then(RUN, source, {"step": 6, "time": BEGAN + 180})
    assert rules(shown) == ["ended", "stands"]
    stands = told(shown)[1]
    assert (stands["step"], stands["time"]) == (5, BEGAN)
    assert stands["acknowledged"] == "Acknowledged by olga, for another 20 s."
    assert told(alerts_then(RUN, source, {"step": 7, "time": BEGAN + 201}))[1]["acknowledged"] == ""
    assert rules(alerts_then(RUN, source, {"step": 8, "time": NOW})) == ["stands"]
    assert rules(alerts_then(RUN, source, {"step": 2, "time": NOW})) == []
    assert rules(alerts_then("math~none", source, {"step": 6, "time": NOW})) == []


def test_where_nobody_knows_when_a_step_was_made_alerts_are_shown_all_the_same() -> None:
    shown = alerts_then(RUN, source_with(alert("one")), {"step": 12, "time": None})
    assert rules(shown) == ["one"]


def test_of_many_alerts_the_worst_come_first_and_none_is_left_out() -> None:
    warnings = [alert(f"warning-{at}", severity=Severity.WARNING) for at in range(7)]
    shown = alerts_then(RUN, source_with(*warnings, alert("worst")), {"step": 12, "time": NOW})
    assert rules(shown) == ["worst", *(f"warning-{at}" for at in range(7))]


@pytest.mark.parametrize(
    "asked",
    [None, 7, "6", [], {}, {"step": "6"}, {"step": True}, {"step": -1}, {"step": 2**60}, {"step": 1.5}],
)
def test_a_browser_may_ask_for_anything(asked: object) -> None:
    assert alerts_then(RUN, source_with(alert()), asked) is None


@pytest.mark.parametrize("time", ["now", math.nan, math.inf, [], {}])
def test_a_time_that_is_none_is_not_known(time: object) -> None:
    assert rules(alerts_then(RUN, source_with(alert()), {"step": 12, "time": time})) == ["too_many_vetoed"]
