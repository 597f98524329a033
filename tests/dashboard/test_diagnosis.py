"""What is probably wrong, from a source in memory: what a panel says, on which pages it stands, and what may be asked of it."""

import json
from typing import Any

import msgspec
import pytest
from dash import html

from rolloutwatch_contract.diagnosis import Cause, Diagnosis
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.components import diagnosis
from rolloutwatch_dashboard.pages.run_alerts import firing_of
from rolloutwatch_dashboard.pages.run_diagnosis import diagnosis_asked, diagnosis_now
from tests.dashboard.alerting import NOW, RUN, alert, source_with
from tests.dashboard.test_pages import text_of


def cause(name: str, confidence: float, **changes: Any) -> Cause:
    usual: dict[str, Any] = {
        "name": name,
        "title": f"the {name} is <b>off</b>",
        "confidence": confidence,
        "evidence_for": ("first", "second", "third", "fourth"),
        "evidence_against": ("fifth", "sixth", "seventh"),
        "check": "Look at <i>it</i>.",
        "cure": "Mend it.",
        "guide": f"docs/guides/diagnosis/{name}.md",
    }
    return Cause(**(usual | changes))


SURE = Diagnosis(19, 12, (cause("scale", 0.9), cause("clock", 0.06)))
UNSURE = Diagnosis(
    19, 12, (cause("scale", 0.5), cause("clock", 0.2), cause("lens", 0.1), cause("mirror", 0.06))
)


@pytest.fixture
def source() -> MemorySource:
    one = source_with(alert())
    one.add_diagnosis(RUN, Diagnosis(0, 0))
    one.add_diagnosis(RUN, Diagnosis(15, 12, SURE.causes))
    return one


def said(found: Diagnosis, **options: bool) -> str:
    return text_of(html.Div(diagnosis.panel(found, RUN, **options)))


def test_what_is_over_is_said_to_be() -> None:
    """Whether one cause is named or several stand beside one another."""
    assert said(msgspec.structs.replace(SURE, over=17)).startswith(
        "Over since step 17: probably the scale is <b>off</b>. Likely (90 %) since  step 12"
    )
    assert said(msgspec.structs.replace(UNSURE, over=17)).startswith(
        "Over since step 17: not sure; these are the likeliest causes. since  step 12"
    )


def test_a_likely_cause_is_named_with_its_weightiest_evidence_and_what_to_do() -> None:
    """Three sentences for it and two against it; the other cause is folded away with all of its own."""
    assert said(SURE, as_of=True) == (
        "Probably the scale is <b>off</b>. Likely (90 %) since  step 12 , as of step 19 Guide "
        "Because First Second Third Against it Fifth Sixth "
        "Look at next Look at <i>it</i>. What to do Mend it. "
        "Less likely causes (1) The clock is <b>off</b>   Unlikely (6 %)   Guide "
        "Because First Second Third Against it Fifth Sixth Look at next Look at <i>it</i>. What to do Mend it."
    )


def test_where_none_is_likely_enough_the_likeliest_stand_beside_one_another() -> None:
    """What to do is folded away with each, and the fourth with what it says."""
    panel = html.Div(diagnosis.panel(UNSURE, RUN))
    text = text_of(panel)
    assert text.startswith(
        "Not sure; these are the likeliest causes. since  step 12 The scale is <b>off</b>   Possible (50 %)"
    )
    folded = [one for one in panel._traverse() if isinstance(one, html.Details)]
    assert [getattr(one, "data-name") for one in folded] == ["scale", "clock", "lens", "others"]
    assert text_of(folded[0]) == "What to do Mend it.   Guide"
    assert text_of(folded[3]).startswith("Less likely causes (1) The mirror is <b>off</b>   Unlikely (6 %)")


def test_a_cause_alone_of_which_nobody_is_sure_is_told_as_one_that_is() -> None:
    text = said(Diagnosis(19, 12, (cause("scale", 0.5, evidence_for=(), evidence_against=()),)))
    assert text == (
        "Not sure; perhaps the scale is <b>off</b>. Possible (50 %) since  step 12 Guide "
        "Look at next Look at <i>it</i>. What to do Mend it."
    )
    assert said(Diagnosis(19, 12)) == ""


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.999, "Likely (over 99 %)"),
        (0.99, "Likely (99 %)"),
        (0.7, "Likely (70 %)"),
        (0.31, "Possible (31 %)"),
        (0.05, "Unlikely (5 %)"),
    ],
)
def test_how_likely_is_said_in_a_word_and_never_as_certain(confidence: float, words: str) -> None:
    assert text_of(diagnosis.likelihood(cause("scale", confidence))) == words


def test_the_page_of_a_run_has_what_is_known_now_above_what_is_wrong(source: MemorySource) -> None:
    """With the alerts and the step that it is of, so that a page at rest does not ask again; hidden until it is painted."""
    shown, _ = page(f"/runs/{RUN}", source, DEFAULT_LIMITS, NOW)
    (why,) = [one for one in shown._traverse() if getattr(one, "id", "") == "why"]
    assert [getattr(one, "id", None) for one in why.children][1:3] == ["diagnosis", "reasons"]
    assert why.children[1].hidden is True
    assert "as of step 19" in text_of(why)
    told = diagnosis_now(RUN, source)
    assert {name: value for name, value in told.to_plotly_json()["props"].items() if name != "children"} == {
        "data-at": "",
        "data-alerts": "id-of-too_many_vetoed",
        "data-step": "19",
        "data-cause": "the scale is <b>off</b>",
    }


def test_where_nothing_fires_nothing_is_said_but_of_a_run_that_has_ended_with_its_alerts() -> None:
    """As it was known one step before they ended."""
    quiet = source_with(alert(resolved_step=15))
    quiet.add_diagnosis(RUN, SURE)
    assert text_of(diagnosis_now(RUN, quiet)) == ""
    ended = source_with(alert(resolved_step=19))
    ended.add_diagnosis(RUN, Diagnosis(15, 12, SURE.causes))
    assert text_of(diagnosis_now(RUN, ended)) == ""
    ended.add_run(RUN, state=RunState.FINISHED)
    for step in range(20):
        ended.add_step(RUN, step, {"mismatch_k3_kl": 1.0})
    assert "as of step 18" in text_of(diagnosis_now(RUN, ended))
    assert text_of(diagnosis_now("math~none", ended)) == ""


def test_a_replay_is_told_what_was_known_then(source: MemorySource) -> None:
    """What a browser asks may be anything."""
    then = diagnosis_asked(RUN, source, {"step": 16})
    assert then is not None
    assert "as of step 16" in text_of(then)
    assert text_of(diagnosis_asked(RUN, source, {"step": 14})) == ""
    for nonsense in ({"step": -1}, {"step": 2**70}, {"step": "9"}, {"step": True}, {"step": 1.5}):
        assert diagnosis_asked(RUN, source, nonsense) is None
    for now in (None, [], {}, {"step": None}):
        assert "as of step 19" in text_of(diagnosis_asked(RUN, source, now))


def test_the_page_of_a_step_says_what_was_known_then_if_an_alert_stood(source: MemorySource) -> None:
    """Above the alerts that stood."""
    text = text_of(page(f"/runs/{RUN}/steps/16", source, DEFAULT_LIMITS, NOW)[0])
    assert (
        "What was probably wrong Probably the scale is <b>off</b>. Likely (90 %) since  step 12 Guide" in text
    )
    assert text.index("What was probably wrong") < text.index("Alerts that stood (1)")
    for step in (13, 11):
        assert "What was probably wrong" not in text_of(
            page(f"/runs/{RUN}/steps/{step}", source, DEFAULT_LIMITS, NOW)[0]
        )


def test_an_alert_of_losses_is_told_apart() -> None:
    """What is probably wrong with the policies is no cause of it."""
    told = json.loads(firing_of([alert(), alert("dropped_records", values={"dropped_records": 2.0})], NOW))
    assert {one["rule"]: one["is_loss"] for one in told} == {
        "too_many_vetoed": False,
        "dropped_records": True,
    }
