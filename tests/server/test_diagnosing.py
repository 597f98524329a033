"""A recorded fault, from the first step at which it shows to what people are told of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.detection.cases import BEGINS, LASTS, STEPS
from benchmarks.detection.recording import read
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_server.diagnosing import diagnosis_of
from rolloutwatch_server.source import DashboardSource
from tests.server.alerting import Judged
from tests.server.asking import Asking
from tests.server.records import RUN

COLD = "cold_0.7_bf16_0"  # from step 80 to 119 the sampler is at temperature 0.7
OF_ITS_PAST = {"mismatch_jumped", "kl_jumped", "mismatch_drifts", "surprise_gap_moved"}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    one = Judged(tmp_path, DEFAULT_DOCUMENT)
    yield one
    one.close()


def bring(judged: Judged, first: int, last: int) -> None:
    for record in read(COLD)[first : last + 1]:
        judged.now += 1.0
        judged.step(record.step, **record.metrics)


def test_a_fault_is_found_at_its_first_step_and_called_by_its_name(judged: Judged) -> None:
    """What began there is dated there, and sure a step later; before it nothing is wrong, nor when its alerts have ended."""
    judged.start()
    bring(judged, 0, STEPS - 1)
    fired = {one.rule: one.firing_step for one in judged.store.alerts(state="all", run=RUN)}
    assert {fired["mismatch_jumped"], fired["kl_jumped"]} == {BEGINS}
    assert diagnosis_of(judged.store, RUN, BEGINS - 1) == Diagnosis(BEGINS - 1, BEGINS - 1)
    for step in (BEGINS, BEGINS + 1, BEGINS + 10, BEGINS + LASTS - 1):
        found = diagnosis_of(judged.store, RUN, step)
        assert (found.onset, found.causes[0].name, found.is_sure) == (BEGINS, "temperature", step > BEGINS)
    assert not OF_ITS_PAST & {one.rule for one in judged.store.alerts_at(RUN, STEPS - 1)}


def test_once_a_fault_is_over_no_other_is_named_while_its_alerts_still_stand(judged: Judged) -> None:
    """The surprise gap, which is looked at over more steps than the mismatch, is still that of the fault."""
    judged.start()
    bring(judged, 0, BEGINS + LASTS + 3)
    after = range(BEGINS + LASTS, BEGINS + LASTS + 4)
    assert all(judged.store.alerts_at(RUN, step) for step in after)
    found = [diagnosis_of(judged.store, RUN, step) for step in after]
    assert {(one.causes[0].name, one.is_sure) for one in found} == {("temperature", True)}
    assert [one.over for one in found] == [BEGINS + LASTS] * len(after)


def test_a_server_that_starts_anew_finds_the_same_at_the_same_steps(tmp_path: Path, judged: Judged) -> None:
    """Before the fault, in its first step, while it lasts, and when it is over."""
    (tmp_path / "other").mkdir()
    other = Judged(tmp_path / "other", DEFAULT_DOCUMENT)
    for one in (judged, other):
        one.start()
    bring(judged, 0, STEPS - 1)
    begin = 0
    for end in (30, BEGINS - 1, BEGINS, BEGINS + 3, 100, LASTS + BEGINS, STEPS - 1):
        bring(other, begin, end)
        other.close()
        other.open()
        begin = end + 1

    def told(one: Judged) -> list[tuple[object, ...]]:
        return [(each.rule, each.change, each.step, each.values) for each in one.store.transitions(RUN)]

    assert told(other) == told(judged)
    assert diagnosis_of(other.store, RUN, BEGINS) == diagnosis_of(judged.store, RUN, BEGINS)
    other.close()


def test_the_api_says_it_with_evidence_and_where_to_read_on(judged: Judged) -> None:
    """Of the last step unless another is asked for; a run that is well has no causes."""
    judged.start()
    bring(judged, 0, 70)
    api = Asking.of(judged.store, rulebook=judged.book)
    well = {
        "run": RUN,
        "step": 70,
        "onset": 70,
        "over": None,
        "is_sure": False,
        "headline": "No cause is known.",
        "causes": [],
    }
    assert api.get(f"/runs/{RUN}/diagnosis") == well
    bring(judged, 71, 90)
    told = api.get(f"/runs/{RUN}/diagnosis")
    assert (told["step"], told["onset"], told["is_sure"]) == (90, BEGINS, True)
    assert told["headline"] == "Probably the rollout samples at another temperature."
    first = told["causes"][0]
    assert first["guide"] == "/guides/diagnosis/temperature"
    assert first["confidence"] > 0.7
    assert any("training log-probs are 0.7" in sentence for sentence in first["evidence_for"])
    assert api.get(f"/runs/{RUN}/diagnosis", step=70) == well
    assert api.ask("/api/v1/runs/no~run/diagnosis").status_code == 404


def test_pages_ask_for_the_same(judged: Judged) -> None:
    judged.start()
    bring(judged, 0, 85)
    assert DashboardSource(judged.store, judged.book).diagnosis(RUN, 85) == diagnosis_of(
        judged.store, RUN, 85
    )


def test_alerts_about_the_measuring_itself_say_nothing_of_the_policies(judged: Judged) -> None:
    judged.start()
    bring(judged, 0, 60)
    judged.step(61, **read(COLD)[61].metrics | {"nonfinite_fraction": 0.1})
    assert [one.rule for one in judged.store.alerts_at(RUN, 61)] == ["nonfinite_logprobs"]
    assert diagnosis_of(judged.store, RUN, 61).causes == ()
