"""The page of a step from a source in memory: what is on it, and what it says where there is nothing."""

import json
import math
from typing import Any

import numpy as np
import pytest

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import MarkView, RunState, SessionView
from rolloutwatch_contract.protocol_steps import AttemptView, TokensView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.pages.step_sequences import chosen
from tests.dashboard.test_pages import found, text_of

RUN = "math~a"
NOW = 1000.0
TABLE = {
    "length": [10.0, 20.0, 30.0],
    "log_ratio_mean": [0.1, -0.2, -1.0],
    "log_ratio_min": [-0.5, -2.0, -12.0],
    "log_ratio_min_position": [3.0, 4.0, 5.0],
    "k3_sum": [1.0, 1.0, 2.0],
    "kept_fraction": [1.0, 0.5, 0.0],
}
TOKENS = (
    TokensView(0, ("good", "<b>"), np.array([0.0, 0.5])),
    TokensView(2, ("bad",), np.array([-12.0])),
)


@pytest.fixture
def source() -> MemorySource:
    one = MemorySource()
    one.add_run(RUN, state=RunState.FINISHED, config={"rollout_token_veto_threshold": 1e-4})
    for step in range(30):
        one.add_step(RUN, step, {"mismatch_k3_kl": 1e-3 * (1 + step % 3), "reward": 0.5, "loss": 1.0})
    one.add_step(RUN, 30, {"mismatch_k3_kl": 0.2, "reward": 0.5})
    one.add_along(
        RUN, 30, time=0.0, histogram=[1] * HISTOGRAM_BINS, columns=TABLE, sample_ids=(7, 8, 9),
        groups=("x", "y", None), n_sequences=3, tokens=TOKENS,
    )  # fmt: skip
    one.add_step(RUN, 40, {"reward": 0.5})
    return one


def shown(source: MemorySource, step: object, query: str = "") -> Any:
    return page(f"/runs/{RUN}/steps/{step}", source, DEFAULT_LIMITS, NOW, query)[0]


def hrefs(component: Any) -> list[str]:
    return [one.href for one in component._traverse() if getattr(one, "href", None)]


def cells(component: Any) -> list[list[str]]:
    """The rows of the table of sequences, as text."""
    table = next(one for one in component._traverse() if getattr(one, "className", "") == "step-rows")
    return [[text_of(cell) for cell in row.children] for row in table.children[1].children]


def test_a_figure_stands_beside_what_is_usual_and_beside_its_limit(source: MemorySource) -> None:
    """On the scale of K3 20 of 1e-3, 2e-3, 3e-3 and so on have the median 2.596 and the spread 0.5966; 0.2 is at 7.195."""
    said = text_of(shown(source, 30))
    assert "KL (K3) 0.2 0.002  (6.33e-5 to 0.0219) +7.7 warning > 0.01 critical > 0.1" in said
    assert "reward 0.5 always 0.5 0" in said
    assert "Came just before and not at this step: loss." in said
    assert "All 2 figures of the step" in said


def test_a_calm_step_says_so_and_a_new_run_says_that_nobody_knows(source: MemorySource) -> None:
    assert "Nothing: of 3 figures each is within its limits and about where it was before." in text_of(
        shown(source, 29)
    )
    assert "No limit is broken by the 3 figures; too few steps came before" in text_of(shown(source, 3))
    source.add_step(RUN, 41, {"reward": math.nan})
    assert "What stands out Figure Value Usual Off Limit reward NaN always 0.5 –" in text_of(
        shown(source, 41)
    )


def test_the_head_tells_the_step_and_leads_to_those_beside_it(source: MemorySource) -> None:
    one = shown(source, 30)
    said = text_of(one)
    assert said.startswith("math /  a  /  step 30 critical 1970-01-01 00:00:00 UTC Run")
    ways = next(each for each in one._traverse() if getattr(each, "className", "") == "step-ways")
    beside = [f"/runs/{RUN}/steps/29", f"/runs/{RUN}/steps/40"]
    assert [one for one in hrefs(ways) if "/steps/" in one] == beside
    assert f"/runs/{RUN}?step=30" in hrefs(ways)
    assert "first step" in text_of(shown(source, 0))
    assert "last step" in text_of(shown(source, 40))
    told = page(f"/runs/{RUN}/steps/30", source, DEFAULT_LIMITS, NOW)[1]
    assert told == {"kind": "step", "title": "step 30 · a", "state": "critical", "word": "critical"}


def test_alerts_that_stood_and_marks_are_told(source: MemorySource) -> None:
    """One that ended before the step, or began after it, did not stand."""
    common: dict[str, Any] = {
        "run": RUN, "epoch": 0, "condition": "mismatch_k3_kl > 0.01", "firing_time": 0.0, "severity": Severity.WARNING,
    }  # fmt: skip
    for id_, rule, ends in (("1", "stood", None), ("2", "ended", 30), ("3", "ends_later", 35)):
        source.add_alert(AlertView(id=id_, rule=rule, firing_step=28, resolved_step=ends, **common))
    source.add_alert(AlertView(id="4", rule="later", firing_step=31, **common))
    source.add_mark(RUN, MarkView(30, 0.0, "checkpoint", {"path": "<b>/c"}))
    said = text_of(shown(source, 30))
    assert "Alerts that stood (2) warning stood" in said
    assert "ends_later" in said
    assert "since step 28, until step 35" in said
    assert "Marks checkpoint, path <b>/c What stands out" in said


def test_many_alerts_do_not_push_the_figures_down(source: MemorySource) -> None:
    """The four worst are seen, the others are one click away."""
    common: dict[str, Any] = {
        "run": RUN,
        "epoch": 0,
        "condition": "mismatch_k3_kl > 0.01",
        "firing_time": 0.0,
    }
    for n in range(6):
        severity = Severity.CRITICAL if n == 5 else Severity.WARNING
        source.add_alert(
            AlertView(id=str(n), rule=f"rule_{n}", firing_step=10 + n, severity=severity, **common)
        )
    found = shown(source, 30)
    (left,) = [one for one in found._traverse() if getattr(one, "className", None) == "stood"]
    assert text_of(left).startswith("2 more stood warning rule_3")
    assert "rule_4" in text_of(left)
    assert "Alerts that stood (6) critical rule_5" in text_of(found)


def test_sequences_stand_by_their_share_of_the_mismatch(source: MemorySource) -> None:
    one = shown(source, 30)
    assert cells(one) == [
        ["50 %", "9", "–", "30", "-1", "-12  at 5", "vetoed", "Read"],
        ["25 %", "7", "x", "10", "0.1", "-0.5  at 3", "kept", "Read"],
        ["25 %", "8", "y", "20", "-0.2", "-2  at 4", "partly kept 50 %", ""],
    ]
    heads = [text_of(each) for each in one._traverse() if type(each).__name__ == "Th"]
    named = ["Share ↓", "Sample", "Group", "Tokens", "Mean log ratio", "Lowest", "In the loss", "Tokens sent"]
    assert heads[-len(named) :] == named
    assert "All 3 sequences of the step." in text_of(one)


def test_the_order_and_the_sequence_stand_in_the_address(source: MemorySource) -> None:
    """The worst sequence that has tokens is read unless another one is asked for."""
    one = shown(source, 30, "?sort=length&row=0")
    assert [row[1] for row in cells(one)] == ["9", "8", "7"]
    assert found(one, "step-words").data["texts"] == ["good", "<b>"]
    assert found(shown(source, 30), "step-words").data["texts"] == ["bad"]
    assert "Of this sequence no tokens were sent." in text_of(shown(source, 30, "?row=1"))
    assert found(shown(source, 30, "?row=99"), "step-words").data["texts"] == ["bad"]


def test_what_is_asked_for_on_the_page_is_what_its_address_would_show(source: MemorySource) -> None:
    query = "?sort=-length&row=0"
    answer = chosen(f"/runs/math%7Ea/steps/30{query}", source)
    assert answer is not None
    parts, scatter = answer
    expected = found(shown(source, 30, query), "step-choice").children
    assert json.dumps(
        [one.to_plotly_json() for one in parts], default=lambda o: o.to_plotly_json()
    ) == json.dumps([one.to_plotly_json() for one in expected], default=lambda o: o.to_plotly_json())
    assert scatter["data"][-1]["x"] == [10.0]


@pytest.mark.parametrize(
    "address",
    ["", "/", "//[", "/runs/math~a/steps/31", "/runs/math~a/steps/x", "/runs/no/steps/1", "/a/b/c/d/e"],
)
def test_of_a_step_that_is_gone_nothing_is_changed(address: str, source: MemorySource) -> None:
    assert chosen(address, source) is None


def test_a_table_that_is_not_whole_says_so(source: MemorySource) -> None:
    source.add_along(RUN, 30, columns=TABLE, n_sequences=90)
    assert (
        "The 3 sequences that were sent of 90: every vetoed one, then those with the largest share"
        in text_of(shown(source, 30))
    )


def test_what_did_not_come_is_said(source: MemorySource) -> None:
    """No table, no tokens, an empty table, other bins: each in its own words."""
    assert "No table of sequences came with this step." in text_of(shown(source, 29))
    source.add_along(RUN, 29, columns={"length": []}, histogram=[1, 2])
    said = text_of(shown(source, 29))
    assert "The table of sequences that came with this step has no row." in said
    assert "The histogram has 2 bins and not the 179 that are known here." in said
    source.add_along(RUN, 28, columns=TABLE)
    assert "No tokens came with this step." in text_of(shown(source, 28))
    source.add_along(RUN, 35)
    assert "No figure came at this step." in text_of(shown(source, 35))


def test_a_configuration_that_cannot_be_read_is_said_beside_the_histogram(source: MemorySource) -> None:
    source.add_run("math~b", config={"rollout_is": "word"})
    source.add_step("math~b", 0, {"mismatch_k3_kl": 0.0})
    source.add_along("math~b", 0, columns=TABLE, histogram=[1] * HISTOGRAM_BINS)
    one, _ = page("/runs/math~b/steps/0", source, DEFAULT_LIMITS, NOW)
    [note] = [
        each for each in one._traverse() if text_of(each) == "thresholds not known" and hasattr(each, "title")
    ]
    assert "rollout_is is 'word'" in note.title


def test_thresholds_are_those_of_the_session_that_did_the_step() -> None:
    source = MemorySource()
    sessions = (
        SessionView("s1", RunState.FINISHED, 0.0, {"rollout_is": "token", "rollout_is_threshold": 3.0}),
        SessionView("s2", RunState.LIVE, 1.0, {"rollout_is": "token", "rollout_is_threshold": 5.0}),
    )
    source.add_run(RUN, sessions=sessions, config=sessions[1].config)
    source.add_step(RUN, 4, {"reward": 1.0})
    attempts = (AttemptView("s1", 1, False), AttemptView("s2", 1, True))
    source.add_along(RUN, 4, columns=TABLE, histogram=[1] * HISTOGRAM_BINS, attempts=attempts)
    assert "weight cut above 5" in text_of(shown(source, 4))
    former = shown(source, 4, "?attempt=s1")
    assert "weight cut above 3" in text_of(former)
    assert "given up when the run was resumed.  2 sessions did this step:  s1  (1 figure)  s2" in text_of(
        former
    )


def test_a_step_that_is_not_there_says_what_is(source: MemorySource) -> None:
    said = shown(source, 33)
    assert text_of(said) == (
        "No such step Nothing was recorded at step 33 of this run. Recorded beside it: step 30 step 40 See the run"
    )
    source.give_up_step(RUN, 33, "s1<b>")
    said = shown(source, 33)
    assert (
        "Step 33 was given up when the run was resumed from an earlier step. These sessions did it: s1<b>"
        in text_of(said)
    )
    assert f"/runs/{RUN}/steps/33?attempt=s1%3Cb%3E" in hrefs(said)
    assert "No session “s9” did step 30 of this run." in text_of(shown(source, 30, "?attempt=s9"))
    source.add_run("math~none")
    assert "This run has no step yet." in text_of(page("/runs/math~none/steps/0", source, None, NOW)[0])


@pytest.mark.parametrize("step", ["x", "-1", "1.0", "1e3", "٣", "", "9" * 400, str(2**53)])
def test_what_is_no_step_is_no_page(step: str, source: MemorySource) -> None:
    assert text_of(shown(source, step)).startswith(("Nothing here", "math / "))
    assert "What stands out" not in text_of(shown(source, step))
