"""The archive as a file: transactions, readers beside the writer, and files that are not what they should be."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rolloutwatch_contract import Array, StepRecord, stream_key
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.store import FOLD_AT, StepTables, Store, StoreError
from rolloutwatch_server.store.database import Database
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step, values


def test_a_batch_that_fails_half_way_leaves_nothing(store: Store, path: Path) -> None:
    """Rows and cursor are one transaction: neither is there after a failure, both are when it is tried again."""
    store.archive(STREAM, batch(step(0, kl=0.0)))
    new = batch(step(1, kl=1.0), step(2, kl=2.0, ess=1.0), step(3, kl=3.0), first=2)
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON recent WHEN NEW.step = 3 BEGIN SELECT RAISE(ABORT, 'no space'); END"
    with sqlite3.connect(path) as db:
        db.execute(refuse)
    with pytest.raises(StoreError, match=r"archive .*archive.db cannot be written: no space"):
        store.archive(STREAM, new)
    assert values(store, "kl") == {0: 0.0}
    assert store.runs()[0].last_step == 0
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER refuse")
    db.close()
    assert store.archive(STREAM, new) == new
    assert values(store, "kl") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
    detail = store.run(RUN)
    assert detail is not None
    assert detail.metrics == ("kl", "ess")


def test_readers_see_whole_batches_while_the_writer_works(store: Store) -> None:
    """Two metrics of a step are never apart, no step is missing below the last, nothing goes back; also across folds."""
    size, batches = FOLD_AT // 2, 40
    writer = threading.Thread(target=write_many, args=(store, size, batches))
    writer.start()
    lengths = [0]
    while writer.is_alive():
        found = store.series(RUN, ["kl", *(f"none/{n}" for n in range(50)), "ess"])
        assert found["kl"].step.tolist() == found["ess"].step.tolist() == list(range(len(found["kl"].step)))
        assert found["kl"].value.tolist() == found["kl"].step.tolist()
        lengths.append(len(found["kl"].step))
    writer.join()
    assert lengths == sorted(lengths)
    assert {length % size for length in lengths} == {0}
    assert len(values(store, "kl")) == batches * size


def write_many(store: Store, size: int, batches: int) -> None:
    for n in range(batches):
        steps = (step(i, kl=float(i), ess=1.0) for i in range(n * size, (n + 1) * size))
        store.archive(STREAM, batch(*steps, first=n * size + 1))


def test_readers_do_not_wait_for_a_writer(store: Store, path: Path) -> None:
    """Somebody writes for ever, and the archive can still be read."""
    store.archive(STREAM, batch(step(0, kl=1.0)))
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    assert values(store, "kl") == {0: 1.0}
    db.close()


def test_threads_that_come_and_go_leave_no_open_files(store: Store) -> None:
    """A web server's threads end when they are idle; a file for each that ever read would be the end in a week."""
    store.runs()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        thread = threading.Thread(target=store.runs)
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_commit_is_on_the_disk_and_not_only_in_the_kernel(path: Path) -> None:
    """Redis lets go of what was committed, so a power cut must not take it back: synchronous = FULL, in WAL mode."""
    database = Database(path)
    with database.write() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_an_archive_of_the_first_schema_is_taken_over(path: Path) -> None:
    """Its series, states, cursors and dead letters are what they were; it goes on where it was."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_1.sql").read_text())
    for _ in range(2):  # also when it is opened again
        store = Store(path)
        assert values(store, "kl") == {0: 0.0, 1: 1.0, 2: 20.0, 3: 30.0}
        assert store.runs()[0].state is RunState.FINISHED
        assert store.archive(STREAM, batch(step(2, kl=-1.0), first=4)) == []
        assert [letter.entry for letter in store.dead_letters(9)] == ["3-0"]
        assert (store.archived_to(STREAM), store.archived_to(OTHER_SESSION)) == (4, 0)
        assert store.dead_letter_count() == 1
        store.close()
    store = Store(path)
    store.archive(STREAM, batch(step(0, reward=1.0), first=5))
    assert values(store, "reward") == {0: 1.0}
    assert store.archived_to(STREAM) == 5
    store.close()


def test_an_archive_of_the_second_schema_is_taken_over(path: Path) -> None:
    """Its tables are what they were; the newest session has the configuration that only the run had."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_2.sql").read_text())
    for _ in range(2):  # also when it is opened again
        store = Store(path)
        assert values(store, "kl") == {0: 0.0, 1: 1.0, 2: 20.0, 3: 30.0}
        former, later = store.attempts(RUN, 2)
        assert (former.metrics, later.metrics) == ({"kl": 2.0}, {"kl": 20.0})
        tables = StepTables(Array.of(np.array([1, 2])), Array.of(np.array([[1.5, 2.5]], dtype=np.float32)))
        assert store.step_tables(RUN, 2) == former.tables == tables
        detail = store.run(RUN)
        assert detail is not None
        assert detail.environment == {"host": "h2", "pid": "34"}
        assert [(one.id, one.config, one.environment) for one in detail.sessions] == [
            ("s1", {}, {}),
            ("s2", {"rollout_is": "sequence"}, {"host": "h2", "pid": "34"}),
        ]
        assert [(mark.step, mark.kind, mark.session) for mark in store.marks(RUN)] == [(2, "restart", "s2")]
        store.close()


def test_an_archive_of_the_third_schema_is_taken_over(path: Path) -> None:
    """Its sessions stand in the order in which they stood, and their marks are what they were."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_3.sql").read_text())
    store = Store(path)
    assert values(store, "kl") == {0: 0.5, 1: 0.75}
    assert [(mark.step, mark.kind, mark.time) for mark in store.marks(RUN)] == [(1, "restart", 50.0)]
    store.archive(STREAM, batch(step(2, kl=0.125), first=4))
    assert values(store, "kl") == {0: 0.5, 1: 0.75}
    store.close()


def test_an_archive_of_the_fourth_schema_is_taken_over(path: Path) -> None:
    """Of what it had made columns of nobody knows the time any more; of what comes now it is kept."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_4.sql").read_text())
    store = Store(path)
    assert values(store, "kl") == {0: 0.5, 1: 0.25, 2: 0.125}
    store.archive(STREAM, batch(step(3, kl=1.0), first=6))
    times = store.times(RUN)
    assert dict(zip(times.step.tolist(), times.value.tolist(), strict=True)) == {2: 2.0, 3: 3.0}
    timed = store.series(RUN, ["kl"], by_time=True)["kl"]
    assert (timed.step.tolist(), timed.value.tolist()) == ([2, 3], [0.125, 1.0])
    store.close()


def test_an_archive_of_the_sixth_schema_is_taken_over(path: Path) -> None:
    """What is there is shown as it was; what a process had lost before is nothing new, and rules count from here on."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_6.sql").read_text())
    for _ in range(2):  # also when it is opened again
        store = Store(path)
        assert values(store, "ess") == {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}
        assert [one.run for one in store.removals()] == ["math~c"]
        assert store.alerts(state="all") == []
        assert store.rule_set().origin == "default"
        store.close()
    store = Store(path)
    lost = {"queue_full": 5}
    for n in range(4, 7):
        record = StepRecord(n, 1.0 + n, {"mismatch_k3_kl": 0.5}, dropped=lost)
        store.archive(STREAM, batch(record, first=n + 2))
    assert values(store, "dropped_records") == {4: 2.0, 5: 0.0, 6: 0.0}
    assert [(one.rule, one.firing_step) for one in store.alerts(run=RUN)] == [
        ("kl_very_high", 6),
        ("kl_high", 6),
        ("dropped_records", 4),
    ]
    store.close()


@pytest.mark.parametrize("schema", [1, 2, 3, 4, 5, 6, 7, 8])
def test_an_old_archive_gets_the_tables_of_a_new_one(schema: int, path: Path, tmp_path: Path) -> None:
    """Whatever way it took, it has every table, column and index that one has that is made today."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / f"archive_of_schema_{schema}.sql").read_text())
    made = tmp_path / "new.db"
    for one in (path, made):
        Store(one).close()
    assert layout(path) == layout(made)


def layout(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        names = db.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            name: sorted(row[1:3] for row in db.execute(f"PRAGMA table_xinfo({table})"))
            for name, table in names
        }


def newer(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def somebody_elses(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE runs (id TEXT)")
    db.close()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.write_bytes(b"dear diary, today I trained a model" * 50), "file is not a database"),
        (newer, "has schema 99, this server knows up to 9: .* Install that version, or name another --data-dir"),
        (somebody_elses, "is a database of something else"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_archive_is_left_as_it_is(
    make: Callable[[Path], object], complaint: str, path: Path
) -> None:
    """The message names the file and what is wrong with it; not one byte of it changes."""
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"archive {path} .*{complaint}"):
        Store(path)
    assert before == path.read_bytes()


@pytest.mark.parametrize("where", ["no/such/folder/archive.db", ".", "/proc/archive.db"])
def test_a_folder_that_cannot_be_written_to_is_named(where: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"archive .* cannot be opened: unable to open database file"):
        Store(tmp_path / where)


def test_batches_of_several_streams_are_archived_all_or_none(path: Path) -> None:
    """One of them that cannot be written undoes the others, and their cursors; then all of them can come again."""
    other = stream_key("code~b", "s1")
    batches = {STREAM: batch(start(), step(0, kl=1.0)), other: batch(start("code", "b"), step(0, kl=2.0))}
    refuse = (
        "CREATE TRIGGER refuse BEFORE INSERT ON recent WHEN NEW.run = 'code~b' "
        "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with contextlib.closing(Store(path)) as store, contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(refuse)
        with pytest.raises(StoreError, match="disk full"):
            store.archive_many(batches)
        assert (store.runs(), store.archived_to(STREAM), store.archived_to(other)) == ([], 0, 0)
        db.execute("DROP TRIGGER refuse")
        assert store.archive_many(batches) == batches
        assert (values(store, "kl"), values(store, "kl", "code~b")) == ({0: 1.0}, {0: 2.0})
        assert (store.archived_to(STREAM), store.archived_to(other)) == (2, 2)
