"""A project keeps a run as its reference: what starts after that is compared with it from its first step on."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.detection.cases import BEGINS, LASTS
from benchmarks.detection.recording import read
from rolloutwatch_contract import Mark, RunStart, StepRecord, stream_key
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_server.alerts.baselines import Jump
from rolloutwatch_server.alerts.notes import ReferenceRun
from rolloutwatch_server.diagnosing import diagnosis_of
from rolloutwatch_server.store import Entry, Position, Store
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts
from tests.server.alerting import Judged
from tests.server.asking import Asking
from tests.server.judging import judged_again

GOOD, NEW = "math~good", "math~new"
HEALTHY, COLD = "healthy_bf16_10", "cold_0.7_bf16_2"
OF_ITS_PAST = {"mismatch_jumped", "kl_jumped", "mismatch_drifts", "surprise_gap_moved"}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    """A server that knows a healthy run of a project."""
    one = Judged(tmp_path, DEFAULT_DOCUMENT)
    bring(one, GOOD, HEALTHY, range(300))
    yield one
    assert one.store.broken_alerts == {}
    one.close()


def bring(judged: Judged, run: str, name: str, steps: range) -> None:
    """Let a run start whose first steps are these of a recording."""
    judged.start(run, session=run[5:])
    records = read(name)
    for step, one in enumerate(steps):
        judged.now += 1.0
        judged.step(step, run, run[5:], **records[one].metrics)


def of_its_past(judged: Judged, run: str) -> set[tuple[str, int]]:
    fired = judged.store.alerts(state="all", run=run)
    return {(one.rule, one.firing_step) for one in fired if one.rule in OF_ITS_PAST}


def test_what_a_window_has_learnt_counts_as_what_came_before() -> None:
    """It says the same of each value as if it had taken the others itself."""
    values = np.random.default_rng(3).normal(size=150).tolist()
    taught, taken = Jump(100), Jump(100)
    taught.learn(values[:70])
    for value in values[:70]:
        taken.push(0, value)
    assert [taught.push(0, value) for value in values[70:]] == [taken.push(0, value) for value in values[70:]]
    assert not taught.is_full  # what it has learnt has to be taught again after a restart
    assert taken.is_full


def test_a_fault_that_is_there_from_the_first_step_is_found_and_named(judged: Judged) -> None:
    """Which without a reference is what is usual in the run."""
    faulty = range(BEGINS, BEGINS + LASTS)
    bring(judged, "math~alone", COLD, faulty)
    judged.store.label(GOOD, tags=["reference"])
    bring(judged, NEW, COLD, faulty)
    assert of_its_past(judged, "math~alone") == set()
    assert ("mismatch_jumped", 0) in of_its_past(judged, NEW)
    found = diagnosis_of(judged.store, NEW, 5)
    assert (found.onset, found.causes[0].name, found.is_sure) == (0, "temperature", True)


@pytest.mark.parametrize("name", ["cold_0.7_bf16_2", "topk_2_bf16_0", "temperature_1.3_bf16_4"])
def test_a_run_that_goes_as_its_reference_did_raises_no_alert(judged: Judged, name: str) -> None:
    """Up to the step at which something goes wrong."""
    judged.store.label(GOOD, tags=["reference"])
    bring(judged, NEW, name, range(BEGINS))
    assert of_its_past(judged, NEW) == set()


def test_what_a_run_is_compared_with_is_settled_when_it_starts(judged: Judged) -> None:
    """The server starts anew at each step, the reference loses its tag and is deleted: nothing changes."""
    judged.store.label(GOOD, tags=["reference"])
    judged.start(NEW, session="new")
    records = read(COLD)
    for step, record in enumerate(records[BEGINS - 10 : BEGINS + 10]):
        judged.now += 1.0
        judged.step(step, NEW, "new", **record.metrics)
        judged.close()
        judged.open()
        if step == 2:
            judged.store.label(GOOD, tags=[])
        if step == 4:
            judged.now += 3600.0
            assert judged.store.delete(GOOD, "by a test")
    assert judged.store.broken_alerts == {}
    assert ("mismatch_jumped", 10) in of_its_past(judged, NEW)
    api = Asking.of(judged.store, rulebook=judged.book)
    assert api.get(f"/runs/{NEW}")["reference"] == GOOD


def test_an_archive_of_the_eighth_schema_is_taken_over(tmp_path: Path) -> None:
    """Its runs are judged on as they were, and compared with nothing; what starts now is, if one of them is tagged."""
    path = tmp_path / "archive.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_8.sql").read_text())
    with contextlib.closing(Store(path, clock=lambda: 200.0)) as store:
        assert [(one.run, one.firing_step) for one in store.alerts(run="math~a")] == [("math~a", 22)]
        late = StepRecord(23, 31.0, {"mismatch_k3_kl": 1e-4, "kl": 0.1})
        store.archive(stream_key("math~a", "s"), [Entry(Position(25), late)])
        assert store.compared_with("math~a") == ReferenceRun()
        assert store.alerts(run="math~a") == []
        new = [RunStart("math", "c", 40.0), StepRecord(0, 41.0, {"mismatch_k3_kl": 0.5, "kl": 0.1})]
        store.archive(stream_key("math~c", "s"), [Entry(Position(at), one) for at, one in enumerate(new, 1)])
        assert store.compared_with("math~c").run == "math~b"
        assert [one.firing_step for one in store.alerts(run="math~c")] == [0]


def test_a_run_that_is_imported_is_compared_too_and_begins_anew_where_it_was_configured_otherwise(
    judged: Judged,
) -> None:
    """The fault at step 40 is seen against the healthy steps behind the mark, the one at step 0 against the reference."""
    judged.store.label(GOOD, tags=["reference"])
    records = [*read(COLD)[BEGINS : BEGINS + 10], *read(COLD)[:30], *read(COLD)[BEGINS : BEGINS + 10]]
    with judged.store.restoration() as restoration:
        place = restoration.begin_session()
        for step, record in enumerate(records):
            restoration.add(place, Kept(msgspec.structs.replace(record, step=step)))
        restoration.add(place, Kept(Mark(9, 0.0, "config")))
        restoration.end_session(place, SessionFacts("s1", 0.0, 10.0, outcome="finished"))
        assert restoration.commit(NEW, RunFacts(0.0, 4000.0))
    while judged.store.keep():
        pass
    fired = [step for rule, step in sorted(of_its_past(judged, NEW)) if rule == "mismatch_jumped"]
    assert fired == [0, 40]
    assert judged.store.compared_with(NEW).run == GOOD
    assert judged_again(judged.store, NEW) == []
