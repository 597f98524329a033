"""The archive: what goes in comes out, once, whatever happens in between."""

import itertools
import math
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rolloutwatch_contract import (
    Array,
    Heartbeat,
    Outcome,
    RunEnd,
    RunStart,
    SequenceTokens,
    StepRecord,
    stream_key,
)
from rolloutwatch_contract.protocol import RunState, RunSummary, Series
from rolloutwatch_server.store import (
    FOLD_AT,
    MEMORY,
    SECONDS_UNTIL_STALLED,
    Attempt,
    DeadLetter,
    Entry,
    Position,
    StepTables,
    Store,
)
from rolloutwatch_server.store.chunks import TIMES
from tests.server.records import DELICATE, OTHER_SESSION, RUN, STREAM, batch, start, step, values


def bits(series: Series) -> bytes:
    return series.value.tobytes()


@pytest.mark.parametrize("rows", [len(DELICATE), FOLD_AT])
def test_every_double_survives_bit_for_bit(rows: int, path: Path) -> None:
    """NaN, infinities, -0.0 and denormals come back as they went in, as rows and as columns, also after a restart."""
    doubles = list(itertools.islice(itertools.cycle(DELICATE), rows))
    store = Store(path)
    store.archive(STREAM, batch(*(step(n, kl=value) for n, value in enumerate(doubles))))
    before = store.series(RUN, ["kl"])["kl"]
    store.close()
    reopened = Store(path)
    after = reopened.series(RUN, ["kl"])["kl"]
    reopened.close()
    assert np.array(doubles).tobytes() == bits(before) == bits(after)
    assert list(range(rows)) == after.step.tolist()


def test_many_rows_become_one_column_per_metric(store: Store, path: Path) -> None:
    """A long run is a few blobs of float64, not a million rows; consecutive steps are not even stored."""
    store.archive(STREAM, batch(*(step(n, kl=n / 7, ess=1.0) for n in range(FOLD_AT))))
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM recent").fetchone() == (0,)
        chunks = db.execute(
            "SELECT metric, first_step, last_step, steps, length(vals) FROM chunks ORDER BY metric"
        )
        assert chunks.fetchall() == [
            (TIMES, 0, FOLD_AT - 1, None, FOLD_AT * 8),
            ("ess", 0, FOLD_AT - 1, None, FOLD_AT * 8),
            ("kl", 0, FOLD_AT - 1, None, FOLD_AT * 8),
        ]
    db.close()


def test_a_batch_that_comes_twice_is_archived_once(store: Store) -> None:
    """What is new is returned, so that only that is announced; an overlap is new in part."""
    first = batch(start(), step(0, kl=0.5), step(1, kl=0.25))
    assert store.archive(STREAM, first) == first
    assert store.archive(STREAM, first) == []
    overlap = batch(step(1, kl=9.0), step(2, kl=0.125), first=3)
    assert store.archive(STREAM, overlap) == overlap[1:]
    assert values(store, "kl") == {0: 0.5, 1: 0.25, 2: 0.125}


def test_the_last_value_that_came_for_a_step_is_shown(store: Store) -> None:
    """A step that comes again in the same session, whether or not it was folded before."""
    store.archive(STREAM, batch(*(step(n, kl=1.0, ess=0.5, k1=0.0, k2=0.0) for n in range(FOLD_AT))))
    store.archive(STREAM, batch(step(10, kl=2.0), step(5, kl=3.0), first=FOLD_AT + 1))
    shown = values(store, "kl")
    assert {n: v for n, v in shown.items() if v != 1.0} == {10: 2.0, 5: 3.0}
    assert len(shown) == FOLD_AT
    assert values(store, "ess")[10] == 0.5


@pytest.mark.parametrize("before", [100, FOLD_AT])
def test_a_resumed_run_gives_up_what_lay_after_its_checkpoint(before: int, store: Store) -> None:
    """The run goes back to step 50: what is shown after it, and the last step, are of the new session alone."""
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=1.0) for n in range(before))))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(50, kl=2.0), step(51, kl=2.0)))
    assert values(store, "kl") == dict.fromkeys(range(50), 1.0) | {50: 2.0, 51: 2.0}
    assert (store.runs()[0].first_step, store.runs()[0].last_step) == (0, 51)
    store.archive(OTHER_SESSION, batch(*(step(n, kl=2.0) for n in range(52, 60)), first=4))
    assert store.runs()[0].last_step == 59
    store.archive(stream_key(RUN, "s3"), batch(start(time=3.0), step(60, kl=3.0)))
    assert values(store, "kl") == dict.fromkeys(range(50), 1.0) | dict.fromkeys(range(50, 60), 2.0) | {
        60: 3.0
    }
    assert store.runs()[0].last_step == 60


def test_which_session_is_the_later_one_is_a_matter_of_its_start_not_of_its_arrival(store: Store) -> None:
    """A server that was away finds both in Redis, and may read the resumed one first."""
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(50, kl=2.0), step(51, kl=2.0)))
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=1.0) for n in range(100))))
    assert values(store, "kl") == dict.fromkeys(range(50), 1.0) | {50: 2.0, 51: 2.0}
    assert store.runs()[0].last_step == 51


def test_two_trainers_at_once_are_one_line_in_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Of the one that is not shown, however long both go on; a run that was resumed is none, even if read late."""
    store.archive(OTHER_SESSION, batch(start(time=50.0), step(51, kl=2.0), step(52, kl=2.0)))
    store.archive(STREAM, batch(start(time=1.0), *(StepRecord(n, 40.0, {"kl": 1.0}) for n in range(60))))
    evaluation = stream_key(RUN, "s3")
    store.archive(evaluation, batch(start(time=30.0), *(step(n, eval=3.0) for n in range(60, 70))))
    assert caplog.messages == []
    for n in range(60, 70):
        store.archive(STREAM, batch(step(n, kl=1.0), step(n, kl=1.5), first=2 * n))
        store.archive(OTHER_SESSION, batch(step(n, kl=2.0), first=2 * n))
    (told,) = caplog.messages
    assert told.startswith(f"Two trainers write to run {RUN}: shown is the one that began last;")
    store.archive(stream_key(RUN, "s4"), batch(start(time=80.0), step(60, kl=4.0)))
    store.archive(OTHER_SESSION, batch(step(90, kl=2.0), step(91, kl=2.0), first=200))
    store.archive(STREAM, batch(step(92, kl=1.0), first=200))
    assert caplog.messages == [told, told], "each of those that are not shown"


def test_a_session_gives_up_only_the_metrics_it_has_itself(store: Store) -> None:
    """An evaluation that logs to the trainer's run at an earlier step hides nothing of the trainer's."""
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=1.0, eval=1.0) for n in range(100))))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(50, eval=2.0)))
    assert len(values(store, "kl")) == 100
    assert values(store, "eval") == dict.fromkeys(range(50), 1.0) | {50: 2.0}
    assert store.runs()[0].last_step == 99


def test_a_range_of_steps_has_both_its_ends(store: Store) -> None:
    """Within columns, within rows, and across the border; a metric or a run that is not there is an empty series."""
    store.archive(STREAM, batch(*(step(2 * n, kl=float(n)) for n in range(FOLD_AT))))
    store.archive(
        STREAM, batch(*(step(2 * n, kl=float(n)) for n in range(FOLD_AT, FOLD_AT + 9)), first=FOLD_AT + 1)
    )
    border, last = 2 * (FOLD_AT - 1), 2 * (FOLD_AT + 8)
    ranges = (
        (0, 6),
        (7, 12),
        (border, border),
        (border - 2, border + 2),
        (border + 1, last),
        (last, last + 9),
    )
    for first, end in ranges:
        series = store.series(RUN, ["kl"], from_step=first, to_step=end)["kl"]
        assert series.step.tolist() == [n for n in range(first, end + 1) if n % 2 == 0 and n <= last]
        assert series.value.tolist() == [n / 2 for n in series.step.tolist()]
    for nothing in (store.series(RUN, ["entropy"])["entropy"], store.series("math~none", ["kl"])["kl"]):
        assert (nothing.step.tolist(), nothing.value.tolist()) == ([], [])
        assert (nothing.step.dtype, nothing.value.dtype) == (np.int64, np.float64)


def test_a_run_tells_what_its_trainer_said() -> None:
    """Summary, metrics in the order in which they came, configuration, environment, and losses of all sessions."""
    store = Store(MEMORY, clock=lambda: 1000.0)
    first = RunStart("math", "a", 100.0, {"rollout_is": "token", "x": None, "n": 3, "b": True}, {"host": "h"})
    names = [f"{letter}/{n}" for n in range(5) for letter in "zyxab"]
    store.archive(
        STREAM, batch(first, StepRecord(7, 107.0, dict.fromkeys(names, 1.0), dropped={"queue_full": 2}))
    )
    store.archive(STREAM, batch(Heartbeat(time=108.0, dropped={"queue_full": 3, "bad_step": 1}), first=3))
    second = RunStart("math", "a", 200.0, {"rollout_is": "sequence"}, {"host": "i"})
    store.archive(OTHER_SESSION, batch(second, StepRecord(3, 203.0, {"kl": 0.0}, dropped={"queue_full": 1})))
    detail = store.run(RUN)
    assert detail is not None
    assert detail.summary == RunSummary(RUN, "math", "a", RunState.LIVE, 3, 7, 100.0, 1000.0)
    assert detail.metrics == (*names, "dropped_records", "kl")
    assert detail.config == {"rollout_is": "sequence"}
    assert detail.environment == {"host": "i"}
    assert detail.dropped == {"queue_full": 4, "bad_step": 1}
    assert store.run("math~none") is None


def test_the_run_that_was_updated_last_comes_first() -> None:
    """By the server's clock: a trainer's may be an hour off. That it lives is no news of it."""
    now = 0.0
    store = Store(MEMORY, clock=lambda: now)

    def archive(at: float, run: str, *entries: Entry) -> None:
        nonlocal now
        now = at
        store.archive(stream_key(run, "s"), entries)

    for at, run, time in ((1.0, "p~ended", 0.0), (2.0, "p~behind", -3600.0), (3.0, "p~ahead", 3600.0)):
        archive(at, run, *batch(start("p", run[2:], time), StepRecord(0, time, {})))
    archive(5.0, "p~ahead", *batch(Heartbeat(3600.0), first=3))
    assert [(run.id, run.updated_at) for run in store.runs()] == [
        ("p~ahead", 3.0),
        ("p~behind", 2.0),
        ("p~ended", 1.0),
    ]
    archive(6.0, "p~behind", *batch(StepRecord(1, -3590.0, {}), first=3))
    archive(7.0, "p~ended", *batch(RunEnd(0.0), first=3))
    assert [(run.id, run.updated_at) for run in store.runs()] == [
        ("p~ended", 7.0),
        ("p~behind", 6.0),
        ("p~ahead", 3.0),
    ]


def test_a_run_is_live_until_it_is_silent_or_ends() -> None:
    """The clock is the server's, so that a trainer whose clock is wrong is not taken for dead."""
    now = 1000.0
    store = Store(MEMORY, clock=lambda: now)

    def state() -> RunState:
        return store.runs()[0].state

    store.archive(STREAM, batch(start(time=9e9), step(0, kl=1.0)))
    now += SECONDS_UNTIL_STALLED - 1
    assert state() is RunState.LIVE
    now += 1
    assert state() is RunState.STALLED
    store.archive(STREAM, batch(Heartbeat(time=1.0), first=3))
    assert state() is RunState.LIVE
    store.archive(STREAM, batch(RunEnd(time=2.0, outcome=Outcome.CRASHED), first=4))
    assert state() is RunState.CRASHED
    store.archive(OTHER_SESSION, batch(start(time=9.1e9)))
    assert state() is RunState.LIVE
    store.archive(OTHER_SESSION, batch(RunEnd(time=3.0), first=2))
    now += 3600
    assert state() is RunState.FINISHED


@pytest.mark.parametrize("working", [STREAM, OTHER_SESSION])
def test_a_run_is_live_while_any_of_its_sessions_is(working: str) -> None:
    """Two writers of one run: that one of them ended does not end the run."""
    store = Store(MEMORY, clock=lambda: 0.0)
    store.archive(STREAM, batch(start(time=1.0)))
    store.archive(OTHER_SESSION, batch(start(time=2.0)))
    ended = OTHER_SESSION if working == STREAM else STREAM
    store.archive(ended, batch(RunEnd(time=3.0), first=2))
    assert store.runs()[0].state is RunState.LIVE


def test_the_tables_of_a_step_come_back(store: Store) -> None:
    """Histogram and per-sequence table, each absent where the step brought none."""
    histogram = Array.of(np.arange(4))
    sequences = Array.of(np.array([[1.5, np.nan], [2.5, -np.inf]]))
    store.archive(
        STREAM, batch(StepRecord(1, 0.0, {}, histogram), StepRecord(2, 0.0, {}, None, sequences), step(3))
    )
    assert store.step_tables(RUN, 1) == StepTables(histogram)
    assert store.step_tables(RUN, 2) == StepTables(None, sequences)
    assert store.step_tables(RUN, 3) == StepTables()


def test_what_goes_along_with_a_step_comes_back(store: Store) -> None:
    """Numbers of samples beyond 2^24, names of groups, and tokens of whatever letters."""
    tables = StepTables(
        Array.of(np.arange(4)),
        Array.of(np.zeros((2, 3), dtype=np.float32)),
        Array.of(np.array([2**24 + 1, -(2**62)])),
        ("math", "\u202ecode\0"),
        (SequenceTokens(1, ("<b>", "\0", ""), Array.of(np.array([0.5, np.nan, -np.inf], dtype=np.float32))),),
    )
    store.archive(
        STREAM, batch(StepRecord(1, 0.0, {"kl": 1.0}, **msgspec.structs.asdict(tables)), step(1, reward=2.0))
    )
    assert store.step_tables(RUN, 1) == tables
    assert store.attempts(RUN, 1) == [Attempt("s1", {"kl": 1.0, "reward": 2.0}, tables)]


@pytest.mark.parametrize("before", [60, FOLD_AT])
def test_both_attempts_of_a_step_are_kept(before: int, store: Store) -> None:
    """What was given up is not shown, and can be read: the one that is shown stands last; also when it was folded."""
    first, second = Array.of(np.array([1])), Array.of(np.array([2]))
    done = (StepRecord(n, float(n), {"kl": 1.0, "ess": math.nan}, first) for n in range(before))
    store.archive(OTHER_SESSION, batch(start(time=2000.0), StepRecord(50, 2050.0, {"kl": 2.0}, second)))
    store.archive(STREAM, batch(start(time=-1.0), *done))
    former, later = store.attempts(RUN, 50)
    assert (former.session, later.session) == ("s1", "s2")
    assert former.metrics.keys() == {"kl", "ess"}
    assert (former.metrics["kl"], math.isnan(former.metrics["ess"])) == (1.0, True)
    assert later.metrics == {"kl": 2.0}
    assert (former.tables, later.tables) == (StepTables(first), StepTables(second))
    assert store.step_tables(RUN, 50) == later.tables
    assert [one.session for one in store.attempts(RUN, 51)] == ["s1"]
    assert store.attempts(RUN, before) == []
    assert store.attempts("math~none", 0) == []


def test_dead_letters_are_kept_and_passed_over(store: Store) -> None:
    """The newest first; one that comes again is known."""
    letters = [DeadLetter(STREAM, f"{n}-0", f"reason {n}", bytes([n, 255]), float(n)) for n in (1, 2, 3)]
    entries = [Entry(Position(n), letter) for n, letter in enumerate(letters, 1)]
    assert store.archive(STREAM, entries) == entries
    assert store.archive(STREAM, entries) == []
    assert store.dead_letters(2) == [letters[2], letters[1]]
    assert store.runs() == [], "no record has come, so there is no run"


def test_a_run_is_kept_alive_by_its_own_records_alone(path: Path) -> None:
    """What strangers write into its stream does not hide that it has stalled."""
    now = 0.0
    store = Store(path, clock=lambda: now)
    store.archive(STREAM, batch(start()))
    now = SECONDS_UNTIL_STALLED + 1
    store.archive(STREAM, [Entry(Position(2), DeadLetter(STREAM, "2-0", "noise", b"noise", now))])
    assert store.runs()[0].state is RunState.STALLED
    store.close()


def test_only_what_is_whole_counts_as_archived(store: Store) -> None:
    """A stream may begin at any number with a start; from there on no number may be missing or a stranger's."""
    noise = [Entry(Position(13), DeadLetter(STREAM, "13-0", "noise", b"noise", 0.0))]
    for entries, expected in (
        (batch(start(), step(0), first=10), 11),
        (batch(step(1), first=12), 12),
        (noise, 12),
        (batch(start(), step(2), first=14), 12),
    ):
        store.archive(STREAM, entries)
        assert store.archived_to(STREAM) == expected
    store.archive(OTHER_SESSION, batch(step(0), first=2))
    assert store.archived_to(OTHER_SESSION) == 0, "what came first is missing"
    assert store.archived_to(stream_key(RUN, "s3")) == 0


def test_any_stream_id_can_be_a_cursor(store: Store) -> None:
    """Redis counts to 2^64 - 1, further than SQLite."""
    last = [Entry(Position(2**64 - 1, 2**64 - 1), step(1, kl=1.0))]
    assert store.archive(STREAM, last) == last
    assert store.archive(STREAM, last) == []
