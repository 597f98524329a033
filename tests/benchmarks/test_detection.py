"""The benchmark of detection does what its README says, with recordings that are what they are said to be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.detection.cases import BEGINS, CAUSES, HEALTHY, LASTS, STEPS, Case, recorded_faults
from benchmarks.detection.judging import find
from benchmarks.detection.recording import read, rounded
from benchmarks.detection.report import BARS, MEANINGS
from rolloutwatch_contract.diagnosis import METRICS
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from tests.processes import ROOT
from tiny.faults import FAULTS


def test_every_fault_that_can_be_switched_on_is_recorded_and_has_a_cause() -> None:
    """At the strengths that it has, by more than one seed, some of which nothing was tuned on."""
    assert set(CAUSES) == set(FAULTS)
    assert set(CAUSES.values()) == {one.name for one in HYPOTHESES}
    cases = recorded_faults()
    for name, fault in FAULTS.items():
        these = [case for case in cases if case.fault == name]
        assert {case.strength for case in these} == set(fault.strengths)
        assert len({case.seed for case in these}) > 1
    assert {case.was_tuned_on for case in cases} == {True, False}


@pytest.mark.parametrize("case", [*recorded_faults()[::25], *HEALTHY[:1]], ids=lambda case: case.name)
def test_a_recording_has_every_step_and_what_a_diagnosis_asks_for(case: Case) -> None:
    records = read(case.name)
    assert [record.step for record in records] == list(range(case.steps))
    there = {metric for record in records for metric in record.metrics}
    assert set(METRICS) <= there
    assert case.steps == STEPS or not case.fault


def test_what_is_kept_of_a_figure_is_within_a_few_parts_in_a_hundred_thousand() -> None:
    for value in (0.123456789, 3.14159e-7, -1234.5678, 1.0):
        assert rounded(value) == pytest.approx(value, rel=2**-14)
    assert rounded(0.0) == 0.0


def test_a_fault_is_found_where_it_begins_and_not_before() -> None:
    found = find(Case("offbyone", 1.0, "bf16", 0))
    assert (found.delay, found.early) == (0, 0)
    assert found.at_once is not None
    assert (found.at_once.step, found.at_once.causes[0].name) == (BEGINS, "misaligned_logprobs")
    assert found.later is not None
    assert BEGINS < found.later.step < BEGINS + LASTS


@pytest.mark.end_to_end
def test_the_recordings_give_every_figure_that_is_promised(tmp_path: Path) -> None:
    report = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.detection", "--quick", "--json", str(report), "faults"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["figures"]
    assert list(figures) == list(MEANINGS)
    assert set(BARS) <= set(MEANINGS)
    assert figures["detected_fraction"] == 1.0
    assert figures["wrong_confident_fraction"] == 0.0
    assert figures["cause_right_fraction"] >= 0.9
    assert figures["healthy_steps"] is None
    assert "offbyone" in done.stdout
