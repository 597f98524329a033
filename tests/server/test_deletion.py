"""Runs that are deleted: gone at once, swept in bites, and not brought back by what comes again."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rolloutwatch_contract import Array, Heartbeat, Mark, RunEnd, StepRecord, stream_key
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.exports.export import Format, Wish, export
from rolloutwatch_server.store import FOLD_AT, MEMORY, DeadLetter, Entry, Position, Resumed, RunIsLive, Store
from tests.server.asking import Asking
from tests.server.records import RUN, STREAM, batch, start, step, values

OTHER_RUN = "math~b"
OTHER = stream_key(OTHER_RUN, "s1")
TABLES = ("chunks", "step_tables", "marks", "recent", "beginnings", "sessions", "runs", "contests")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fill(store: Store, stream: str, steps: int = 3 * FOLD_AT, *ending: RunEnd, name: str = "a") -> None:
    """Bring a run with figures, tables, a mark and a dead letter."""
    rng = np.random.default_rng(1)
    table = Array.of(rng.normal(size=(16, 12)).astype(np.float32))
    records = [
        StepRecord(n, float(n), {f"m{k}": n + k / 7 for k in range(5)}, sequences=table, histogram=table)
        for n in range(steps)
    ]
    everything = batch(start(name=name, time=1.0), *records, Mark(1, 1.0, "checkpoint", {}), *ending)
    letter = Entry(Position(len(everything) + 1), DeadLetter(stream, "9-0", "noise", b"", 1.0))
    store.archive(stream, [*everything, letter])


def rows(path: Path, run: str) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {
            table: db.execute(
                f"SELECT count(*) FROM {table} WHERE {'id' if table == 'runs' else 'run'} = ?", (run,)
            ).fetchone()[0]
            for table in TABLES
        }


def shown(store: Store, run: str) -> object:
    detail = store.run(run)
    series = store.series(run, detail.metrics if detail else ["m0"])
    return (
        msgspec.json.encode(detail),
        {metric: (one.step.tobytes(), one.value.tobytes()) for metric, one in series.items()},
        store.marks(run),
        store.attempts(run, 1),
    )


def test_a_deleted_run_is_gone_at_once_and_its_rows_soon(path: Path) -> None:
    """Nothing of it is shown before anything is swept, nothing is left of it after; another run is what it was."""
    with contextlib.closing(Store(path)) as store:
        fill(store, OTHER, 1500, RunEnd(9.0), name="b")
        fill(store, STREAM, 3 * FOLD_AT, RunEnd(9.0))
        before = shown(store, OTHER_RUN)
        assert store.delete(RUN, "for a test")
        assert [run.id for run in store.runs()] == [OTHER_RUN]
        assert store.run(RUN) is None
        assert values(store, "m0") == {}
        assert store.marks(RUN) == store.attempts(RUN, 1) == []
        assert [letter.stream for letter in store.dead_letters(9)] == [OTHER]
        assert rows(path, RUN)["chunks"] > 0
        while store.sweep():
            pass
        assert shown(store, OTHER_RUN) == before
    assert set(rows(path, RUN).values()) == {0}
    assert rows(path, OTHER_RUN)["step_tables"] == 1500


def test_its_space_is_given_back_to_the_disk(path: Path) -> None:
    """But for a little that the next records take."""
    with contextlib.closing(Store(path)) as store:
        store.archive(OTHER, batch(step(0, kl=1.0)))
        fill(store, STREAM, 8 * FOLD_AT, RunEnd(9.0))
    large = path.stat().st_size
    with contextlib.closing(Store(path)) as store:
        store.delete(RUN, "for a test")
        while store.sweep():
            pass
    assert path.stat().st_size < large / 2
    assert path.stat().st_size < 1100 * 4096


def test_a_run_that_is_live_is_not_deleted(clock: Clock) -> None:
    """Nor is anything of it touched; once it has ended or fallen silent it can be."""
    store = Store(MEMORY, clock=clock)
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    before = (store.run(RUN), store.series(RUN, ["kl"])["kl"].value.tolist())
    with pytest.raises(
        RunIsLive, match=f"run '{RUN}' is live: end its trainer, or wait until it has stalled"
    ):
        store.delete(RUN, "for a test")
    assert (store.run(RUN), store.series(RUN, ["kl"])["kl"].value.tolist()) == before
    clock.now += 60
    assert store.runs()[0].state is RunState.STALLED
    assert store.delete(RUN, "for a test")
    assert not store.delete(RUN, "for a test")


def test_what_comes_again_of_a_deleted_run_is_not_archived_again(path: Path, clock: Clock) -> None:
    """Neither in its own stream nor in another one of its session; it is acknowledged as before."""
    records = batch(start(), step(0, kl=1.0), step(1, kl=2.0))
    for _ in range(2):  # also after the server was started anew
        with contextlib.closing(Store(path, clock=clock)) as store:
            store.archive(STREAM, records)
            clock.now += 60
            store.delete(RUN, "for a test")
            assert store.archive(STREAM, records) == []
            part = stream_key(RUN, "s1.part1")
            assert store.archive(part, [Entry(Position(2), step(0, kl=1.0))]) == []
            assert store.runs() == []
            assert store.archived_to(STREAM) == 3


@pytest.mark.parametrize("last", [RunEnd(9.0), Heartbeat(9.0)])
def test_a_word_without_figures_does_not_bring_a_deleted_run_back(
    last: RunEnd | Heartbeat, clock: Clock
) -> None:
    """A stalled trainer that ends after all is acknowledged, and no empty run is shown."""
    store = Store(MEMORY, clock=clock)
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    clock.now += 60
    store.delete(RUN, "for a test")
    assert store.archive(STREAM, batch(last, first=3)) == []
    assert store.runs() == []
    assert store.archived_to(STREAM) == 3
    assert store.archive(STREAM, batch(RunEnd(10.0), first=4)) == []


def test_a_trainer_that_goes_on_begins_a_new_run_from_there(path: Path, clock: Clock) -> None:
    """What it brings is archived, whatever was deleted; also while the former one is not swept yet."""
    with contextlib.closing(Store(path, clock=clock)) as store:
        fill(store, STREAM, 2500)
        clock.now += 60
        store.delete(RUN, "for a test")
        new = [StepRecord(n, float(n), {"m0": -1.0}) for n in range(2000, 2000 + FOLD_AT)]
        brought = [*new, Mark(2001, 5.0, "checkpoint", {})]
        first = 2504  # a dead letter had 2503, so that nothing behind it can be acknowledged
        assert len(store.archive(STREAM, batch(*brought, first=first))) == len(brought)
        for _ in range(2):
            assert values(store, "m0") == {one.step: -1.0 for one in new}
            assert [mark.step for mark in store.marks(RUN)] == [2001]
            summary = store.runs()[0]
            assert (summary.first_step, summary.last_step) == (2000, 1999 + FOLD_AT)
            assert store.attempts(RUN, 1) == []
            while store.sweep():
                pass
        store.archive(stream_key(RUN, "s2"), batch(start(time=clock.now), step(2500, m0=7.0)))
        assert store.runs()[0].last_step == 2500
    assert rows(path, RUN)["step_tables"] == 0
    assert rows(path, RUN)["marks"] == 1


def test_a_sweep_that_is_killed_goes_on_where_it_was(path: Path) -> None:
    """SIGKILL at any instant, again and again: nobody is shown anything of the run, and in the end nothing is left."""
    with contextlib.closing(Store(path)) as store:
        fill(store, OTHER, 500, RunEnd(9.0), name="b")
        fill(store, STREAM, 6 * FOLD_AT, RunEnd(9.0))
        other = shown(store, OTHER_RUN)
        store.delete(RUN, "for a test")
    code = (
        "import sys; from rolloutwatch_server.store import Store; s = Store(sys.argv[1]); print('x', flush=True)\n"
        "while s.sweep(0.0): pass"
    )
    left = [rows(path, RUN)["step_tables"]]
    for n in range(6):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.004 * n)  # a different instant each time; which one does not matter
            os.kill(child.pid, signal.SIGKILL)
        left.append(rows(path, RUN)["step_tables"])
        with contextlib.closing(Store(path)) as store:
            assert [run.id for run in store.runs()] == [OTHER_RUN]
            assert values(store, "m0") == {}
    assert left == sorted(left, reverse=True)
    with contextlib.closing(Store(path)) as store:
        while store.sweep():
            pass
        assert shown(store, OTHER_RUN) == other
    assert set(rows(path, RUN).values()) == {0}


def test_deleting_by_the_api(clock: Clock) -> None:
    """204 and gone; again it is 404 that says when and why; a live run is 409; a word of it is in the list of removals."""
    store = Store(MEMORY, clock=clock)
    api = Asking.of(store)
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    refusal = api.ask(f"/api/v1/runs/{RUN}", "DELETE")
    assert (refusal.status_code, refusal.headers["content-type"]) == (409, "application/problem+json")
    assert refusal.json()["detail"] == f"run '{RUN}' is live: end its trainer, or wait until it has stalled."
    clock.now += 60
    viewer = api.feed.join(RUN)
    answer = api.ask(f"/api/v1/runs/{RUN}", "DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get("/runs") == {"runs": []}
    assert api.feed.watched() == []
    assert viewer.run == RUN
    for method in ("GET", "DELETE"):
        missing = api.ask(f"/api/v1/runs/{RUN}", method)
        assert missing.status_code == 404
        assert missing.json()["detail"] == (
            f"there is no run '{RUN}' any more, it was deleted at 1970-01-01 00:17:40 UTC (deleted by hand): "
            "GET /api/v1/runs lists those there are."
        )
    never = api.ask("/api/v1/runs/no~such", "DELETE").json()
    assert never["detail"] == "there is no run 'no~such': GET /api/v1/runs lists those there are."


@pytest.mark.parametrize("wanted", list(Format))
def test_a_run_is_deleted_while_it_is_sent_as_a_file(path: Path, wanted: Format) -> None:
    """Nobody waits for the one who takes the file; an archive file is whole all the same, another one is broken off."""
    with contextlib.closing(Store(path)) as store:
        fill(store, STREAM, 5_000, RunEnd(9.0))
        store.archive(OTHER, batch(start(name="b"), step(0, kl=1.0)))
        detail = store.run(RUN)
        assert detail is not None
        whole = list(export(store, detail, Wish(wanted)))
        pieces = export(store, detail, Wish(wanted))
        begun = [next(pieces)]
        answer = Asking.of(store).ask(f"/api/v1/runs/{RUN}", "DELETE")
        assert answer.status_code == 204
        while store.sweep():
            pass
        if wanted is Format.RWZ:
            assert b"".join([*begun, *pieces]) == b"".join(whole)
        elif wanted is not Format.PARQUET:  # of which one group of rows holds all of these steps
            with pytest.raises(Resumed, match="or deleted, while it was read"):
                list(pieces)
        assert [one.id for one in store.runs()] == [OTHER_RUN]


def test_whoever_reads_a_run_in_portions_is_told_that_it_was_deleted(path: Path) -> None:
    """Half an export is not taken for the whole: neither when it is gone, nor when another one of that name is there."""
    with contextlib.closing(Store(path)) as store:
        for again in (False, True):
            fill(store, STREAM if not again else stream_key(RUN, "s2"), 500, RunEnd(9.0))
            figures, tables = store.portions(RUN, steps=100), store.tables(RUN)
            next(figures)
            next(tables)
            store.delete(RUN, "for a test")
            if again:
                store.archive(stream_key(RUN, "s3"), batch(start(), *(step(n, m0=1.0) for n in range(500))))
            with pytest.raises(Resumed, match="or deleted, while it was read"):
                list(figures)
            with pytest.raises(Resumed):
                list(tables)
