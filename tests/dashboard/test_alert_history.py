"""The history of an alert: its chart and its life in words, from a source in memory."""

import math
import re

import numpy as np
import pytest

from rolloutwatch_contract.alert_life import Happening, Moment
from rolloutwatch_contract.diagnosis import Cause, Diagnosis
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.alert_figures import drawn_metrics, held_from, limits_in
from rolloutwatch_dashboard.alert_history import histories_of, history_of, stretch_of
from rolloutwatch_dashboard.alert_life import told
from rolloutwatch_dashboard.figures.alert_history import BOX
from rolloutwatch_dashboard.pages.alerts import MOST_AT_ONCE, histories
from rolloutwatch_dashboard.pages.alerts_wanted import Wanted
from tests.dashboard.alerting import NOW, RUN, alert, source_with

BOTH = "rollout_is_veto_fraction > 0.1 and mismatch_k3_kl < 0.3"


def numbers(path: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?[0-9]+", path)]


def test_a_chart_shows_limit_stretch_and_what_happened_in_it() -> None:
    """The figure is beyond its limit from step 10 on, the rule fired at 12 and ended at 16, of 20 steps in all."""
    ended = alert(resolved_step=16, resolved_time=NOW)
    one = history_of(source_with(ended), ended.id)
    assert (one["first"], one["last"], one["severity"]) == (0, 19, "critical")
    assert one["fired"] == [round(BOX.width * 12 / 19), round(BOX.width * 16 / 19)]
    assert [(kind, text) for kind, _, text in one["marks"]] == [
        ("pending", "pending from step 10"),
        ("firing", "fires from step 12"),
        ("resolved", "resolved at step 16"),
    ]
    (line,) = one["lines"]
    assert line["title"] == "Vetoed sequences"
    ((height, severity),) = line["limits"]
    _, begin, x, *_ = numbers(line["line"])
    assert severity == "critical"
    assert begin > height > 0, "it begins good: below the limit, and heights are counted from above"
    assert x == round(BOX.width * 9 / 19), "up to step 9 it is as it was"
    assert one["text"] == (
        "Vetoed sequences (fires > 0.1), steps 0 to 19: pending from step 10; fires from step 12; "
        "resolved at step 16; worst 0.14 at step 12."
    )


def test_a_rule_of_two_figures_has_two_lines_the_one_that_is_beyond_first() -> None:
    """And no more than two, whatever else it reads."""
    both = alert(condition=f"nonfinite_fraction == 0 and {BOTH}", values={"rollout_is_veto_fraction": 0.14})
    assert [(one.metric, one.above, one.below) for one in limits_in(both)] == [
        ("rollout_is_veto_fraction", 0.1, -math.inf),
        ("mismatch_k3_kl", math.inf, 0.3),
    ]
    assert drawn_metrics(both, limits_in(both)) == ["rollout_is_veto_fraction", "mismatch_k3_kl"]
    lines = history_of(source_with(both), both.id)["lines"]
    assert [one["title"] for one in lines] == ["Vetoed sequences", "KL (K3)"]


def test_a_condition_held_for_as_long_as_no_step_says_otherwise() -> None:
    """Steps without one of the figures, or with NaN, count for neither."""
    both = alert(condition=BOTH, firing_step=9)
    steps = np.arange(4, 10)
    vetoed = Series(steps, np.array([0.2, 0.0, 0.2, math.nan, 0.2, 0.2]))
    kl = Series(steps[:4], np.full(4, 0.1))
    assert held_from(both, {"rollout_is_veto_fraction": vetoed, "mismatch_k3_kl": kl}) == 6
    assert held_from(alert(condition="mean(mismatch_kl, 20) > 1"), {"mismatch_kl": vetoed}) is None


@pytest.mark.parametrize(
    ("firing", "resolved", "expected"),
    [(500, None, (250, 1000)), (500, 510, (480, 530)), (5, 8, (0, 28)), (2000, 2010, (1000, 1000))],
)
def test_half_as_much_is_drawn_on_either_side_as_it_fired(
    firing: int, resolved: int | None, expected: tuple[int, int]
) -> None:
    """At least 20 steps, and nothing that the run does not have: it may have gone back behind an alert."""
    stretch = stretch_of(alert(firing_step=firing, resolved_step=resolved), 0, 1000)
    assert (stretch.first, stretch.last) == expected


def test_where_nothing_can_be_drawn_it_is_said_why() -> None:
    silent = alert("stalled", condition="silent(60, 10)", values={})
    gone = alert("gone", run="math~gone")
    other = alert("other", condition="reward_mean > 1", values={})
    source = source_with(silent, gone, other)
    assert history_of(source, silent.id)["note"] == "No figure made it fire."
    assert history_of(source, gone.id)["note"] == "The run is not there any more."
    assert history_of(source, other.id)["note"] == "Of these steps no figure is there any more."
    assert history_of(source, "none")["note"] == "There is no such alert any more."


def test_a_life_is_told_in_words_in_the_order_of_things() -> None:
    """Who did what with which words, whom a message reached, and why one did not."""
    source = source_with(alert())
    for at, moment in enumerate(
        (
            {"what": Happening.FIRING, "step": 12},
            {"what": Happening.GIVEN_UP, "by": "chat", "about": "firing", "note": "answered 410."},
            {"what": Happening.TOLD, "by": "mail", "about": "firing, resolved"},
            {"what": Happening.ACKNOWLEDGED, "by": "olga", "note": "<b>on it</b>", "until": NOW + 60},
            {"what": Happening.SILENCED, "by": "ada", "until": 1e15},
            {"what": Happening.RESOLVED, "step": 16, "note": "the run ended", "quiet": True},
        )
    ):
        source.add_moment("id-of-too_many_vetoed", Moment(time=NOW + at, **moment))
    life = history_of(source, "id-of-too_many_vetoed")["life"]
    assert [(one["step"], one["text"], one["note"], one["until"]) for one in life] == [
        (12, "Fires", "", None),
        (None, "A message to chat was given up: firing", "answered 410.", None),
        (None, "mail was told: firing, resolved", "", None),
        (None, "Acknowledged by olga", "<b>on it</b>", NOW + 60),
        (None, "Silenced by ada", "", None),
        (16, "Resolved, and nobody is told, for it flaps", "the run ended", None),
    ]
    assert {told([Moment(what=one, time=0.0)])[0]["text"] != "" for one in Happening} == {True}


@pytest.mark.parametrize("seen", [None, "x", {"alerts": 5}, {"alerts": [None, ["x"]]}, []])
def test_a_browser_may_ask_anything(seen: object) -> None:
    assert histories(MemorySource(), seen) == {}


def test_a_browser_is_told_of_no_more_alerts_than_it_asks_at_once() -> None:
    names = [f"id-of-{at}" for at in range(100)]
    assert list(histories(source_with(), {"alerts": names})) == names[:MOST_AT_ONCE]


def test_an_address_chooses_by_time_too() -> None:
    """Those that began from the one on and before the other; what is no time, or no severity, is not heeded."""
    source = source_with(*(alert(f"r{at}", run=RUN, firing_time=60.0 * at) for at in range(5)))

    def chosen(query: str) -> list[str]:
        return [one.rule for one in source.alerts(**Wanted.of(query).choice)]

    assert chosen("?begun=1970-01-01T00:01Z&until=1970-01-01T00:03Z") == ["r2", "r1"]
    assert chosen("?begun=1970-01-01T00:04:00.000Z") == ["r4"]
    assert chosen("?begun=soon&severity=critical") == ["r4", "r3", "r2", "r1", "r0"]
    assert chosen("?severity=dreadful") == ["r4", "r3", "r2", "r1", "r0"]


def test_what_is_probably_wrong_stands_with_an_alert_that_fires() -> None:
    """As the page of its run says it; not with one that has ended, nor with one that is about losses."""
    lost = alert("dropped_records", values={"dropped_records": 2.0})
    source = source_with(alert(), alert("ended", resolved_step=18), lost)
    names = ["id-of-too_many_vetoed", "id-of-ended", lost.id]
    assert [one["probably"] for one in histories_of(source, names).values()] == ["", "", ""]
    cause = Cause("scale", "the scale is off", 0.9, (), (), "", "", "")
    source.add_diagnosis(RUN, Diagnosis(15, 12, (cause,)))
    said = {name: one["probably"] for name, one in histories_of(source, names).items()}
    assert said == dict(zip(names, ["Probably the scale is off.", "", ""], strict=True))
