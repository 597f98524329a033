"""What an archive lets go of by itself, and what it never does."""

import contextlib
import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from rolloutwatch_contract import Array, RunEnd, StepRecord, stream_key
from rolloutwatch_server.amounts import Kept
from rolloutwatch_server.keeper import Keeper
from rolloutwatch_server.settings import SettingError, parse
from rolloutwatch_server.store import MEMORY, Limits, StepTables, Store
from rolloutwatch_server.store.transcript import Kept as Imported
from rolloutwatch_server.store.transcript import RunFacts, SessionFacts
from tests.processes import wait_for
from tests.server.asking import Asking
from tests.server.records import RUN, STREAM, batch, start, step, values

DAY = 86_400.0
TABLE = Array.of(np.random.default_rng(1).normal(size=(64, 12)))


class Clock:
    def __init__(self) -> None:
        self.now = 100 * DAY

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def bring(store: Store, name: str, *ending: RunEnd, steps: int = 3) -> None:
    records = [StepRecord(n, float(n), {"kl": float(n)}, sequences=TABLE) for n in range(steps)]
    store.archive(stream_key(f"math~{name}", "s1"), batch(start(name=name), *records, *ending))


def keep(store: Store) -> None:
    while store.keep():
        pass


def names(store: Store) -> set[str]:
    return {run.name for run in store.runs()}


def test_without_limits_everything_stays(clock: Clock) -> None:
    """However old and however large."""
    store = Store(MEMORY, clock=clock)
    bring(store, "ended", RunEnd(9.0))
    bring(store, "silent")
    clock.now += 10_000 * DAY
    keep(store)
    assert names(store) == {"ended", "silent"}
    assert store.step_tables("math~ended", 0) != StepTables()


def test_runs_go_when_they_are_too_old(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """By their last record; the log, the list of removals and the refusal say which one and why."""
    store = Store(MEMORY, clock=clock, limits=Limits(days=30))
    bring(store, "ended", RunEnd(9.0))
    bring(store, "silent")
    clock.now += 20 * DAY
    bring(store, "young", RunEnd(9.0))
    with caplog.at_level(logging.INFO):
        keep(store)
        assert names(store) == {"ended", "silent", "young"}
        clock.now += 11 * DAY
        keep(store)
    assert names(store) == {"young"}
    assert sorted(one.run for one in store.removals()) == ["math~ended", "math~silent"]
    assert "Run math~ended is deleted: its last record is older than keep_days, 30." in caplog.messages
    told = Asking.of(store).ask("/api/v1/runs/math~ended").json()["detail"]
    assert (
        "any more, it was deleted at 1970-05-12 00:00:00 UTC (its last record is older than keep_days, 30)"
        in told
    )


def test_the_oldest_that_have_ended_go_when_the_archive_is_too_large(path: Path, clock: Clock) -> None:
    """One after the other until the rest fits, and no more; what is left is what it was."""
    with contextlib.closing(Store(path, clock=clock)) as store:
        for name in "abcd":
            bring(store, name, RunEnd(9.0), steps=200)
            clock.now += 1
        used, _ = store.size()
    with contextlib.closing(Store(path, clock=clock, limits=Limits(bytes=used * 5 // 8))) as store:
        keep(store)
        assert names(store) == {"c", "d"}
        assert values(store, "kl", "math~c") == {n: float(n) for n in range(200)}
        assert store.size()[0] < used * 5 // 8
        assert "more than keep_size" in store.removals()[0].reason
        keep(store)
        assert names(store) == {"c", "d"}


def test_a_run_that_may_go_on_is_never_let_go_of(clock: Clock) -> None:
    """Not while it is live, nor for a day after: when Redis was away all runs are silent, and go on."""
    store = Store(MEMORY, clock=clock, limits=Limits(days=0.001, bytes=1))
    bring(store, "live")
    keep(store)
    assert names(store) == {"live"}
    clock.now += DAY / 2
    keep(store)
    assert names(store) == {"live"}
    clock.now += DAY
    keep(store)
    assert names(store) == set()


def test_tables_of_steps_long_past_go_and_figures_stay(clock: Clock) -> None:
    """Of a live run too; the run says from which step on there are any."""
    store = Store(MEMORY, clock=clock, limits=Limits(table_steps=10))
    bring(store, "a", steps=100)
    changes = store.changes(RUN)
    keep(store)
    assert [n for n in range(100) if store.step_tables(RUN, n) != StepTables()] == list(range(90, 100))
    assert values(store, "kl") == {n: float(n) for n in range(100)}
    api = Asking.of(store)
    assert api.get(f"/runs/{RUN}")["tables_from"] == 90
    assert store.changes(RUN) != changes
    store.archive(STREAM, batch(StepRecord(100, 1.0, {"kl": 1.0}, sequences=TABLE), first=102))
    keep(store)
    assert api.get(f"/runs/{RUN}")["tables_from"] == 91


def test_so_many_steps_are_steps_that_have_tables(clock: Clock) -> None:
    """However far apart their numbers are, whoever did them, and though figures go on without tables."""
    store = Store(MEMORY, clock=clock, limits=Limits(table_steps=10))
    records = [StepRecord(n * 4096, float(n), {"kl": 1.0}, sequences=TABLE) for n in range(100)]
    store.archive(STREAM, batch(start(), *records, step(10**6, kl=1.0)))
    again = [StepRecord(n * 4096, float(n), {"kl": 1.0}, sequences=TABLE) for n in range(95, 100)]
    store.archive(stream_key(RUN, "s2"), batch(start(time=200.0), *again))
    keep(store)
    assert [n for n, _ in store.tables(RUN)] == [n * 4096 for n in range(90, 100)]
    assert Asking.of(store).get(f"/runs/{RUN}")["tables_from"] == 89 * 4096 + 1


def test_a_run_that_went_back_keeps_the_tables_it_brings(clock: Clock) -> None:
    """What it gave up ahead of it is not the newest."""
    store = Store(MEMORY, clock=clock, limits=Limits(table_steps=10))
    bring(store, "a", RunEnd(9.0), steps=100)
    again = [StepRecord(n, 200.0 + n, {"kl": 2.0}, sequences=TABLE) for n in range(15)]
    store.archive(stream_key(RUN, "s2"), batch(start(time=200.0), *again))
    keep(store)
    assert [n for n, _ in store.tables(RUN)] == list(range(5, 15))


def test_tables_go_by_age_too(clock: Clock) -> None:
    """By when the figures of their step were made."""
    store = Store(MEMORY, clock=clock, limits=Limits(table_days=2.0))
    records = [
        StepRecord(n, clock.now - (9 - n) * DAY / 2, {"kl": 1.0}, histogram=Array.of(np.arange(4)))
        for n in range(10)
    ]
    store.archive(STREAM, batch(start(), *records))
    keep(store)
    assert [n for n in range(10) if store.step_tables(RUN, n) != StepTables()] == [5, 6, 7, 8, 9]


def test_the_keeper_works_beside_a_writer_and_readers(path: Path) -> None:
    """Every record of the run that goes on is there, and the one that was deleted is swept, while nobody asks for it."""
    with contextlib.closing(Store(path, limits=Limits(table_steps=50))) as store, Keeper(store):
        bring(store, "b", RunEnd(9.0), steps=2000)
        store.delete("math~b", "for a test")

        def write() -> None:
            for n in range(60):
                records = [StepRecord(n * 20 + i, 1.0, {"kl": 1.0}, sequences=TABLE) for i in range(20)]
                store.archive(STREAM, batch(*records, first=n * 20 + 1))

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            seen = values(store, "kl")
            assert list(seen) == list(range(len(seen)))
        writer.join()

        def is_kept() -> bool:
            detail = store.run(RUN)
            return detail is not None and detail.tables_from == 1150 and store.size()[0] < 2_000_000

        wait_for("the archive to be within its limits", is_kept)
        assert values(store, "kl") == dict.fromkeys(range(1200), 1.0)


def test_the_api_tells_what_is_kept(clock: Clock) -> None:
    store = Store(MEMORY, clock=clock, limits=Limits(days=30.0, table_steps=10))
    bring(store, "a", RunEnd(9.0))
    store.delete(RUN, "for a test")
    told = Asking.of(store).get("/archive")
    assert told.pop("bytes") > 0
    assert told.pop("free_bytes") >= 0
    assert told == {
        "limits": {"days": 30.0, "bytes": None, "table_steps": 10, "table_days": None},
        "removals": [{"run": RUN, "time": clock.now, "reason": "for a test"}],
        "damage": "",
        "quarantined": [],
    }


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("keep_days", "90", 90.0),
        ("keep_days", "0.5", 0.5),
        ("keep_size", "20GB", 20 * 10**9),
        ("keep_size", "1.5 TiB", int(1.5 * 2**40)),
        ("keep_size", "500000000", 500_000_000),
        ("keep_sequences", "10000", Kept(steps=10_000)),
        ("keep_sequences", "30d", Kept(days=30.0)),
    ],
)
def test_limits_are_written_as_people_write_them(option: str, text: str, value: object) -> None:
    settings = parse([f"--{option.replace('_', '-')}", text], {})
    assert getattr(settings, option) == value


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("keep_days", "0", "a number of days greater than 0"),
        ("keep_days", "-1", "a number of days greater than 0"),
        ("keep_days", "inf", "a number of days greater than 0"),
        ("keep_size", "20", "a size of at least 10 MB, such as 500MB, 20GB or 1.5TiB"),
        ("keep_size", "lots", "a size of at least 10 MB"),
        ("keep_size", "20 XB", "a size of at least 10 MB"),
        ("keep_sequences", "0", "a number of steps such as 10000, or of days such as 30d"),
        ("keep_sequences", "d", "a number of steps such as 10000"),
        ("keep_sequences", "1e3", "a number of steps such as 10000"),
    ],
)
def test_a_limit_that_is_none_is_named(option: str, text: str, expected: str) -> None:
    """A typing error deletes nothing."""
    with pytest.raises(SettingError, match=rf"--{option.replace('_', '-')} is '{text}': expected {expected}"):
        parse([f"--{option.replace('_', '-')}={text}"], {})


def test_a_run_that_was_imported_is_as_young_as_its_import(clock: Clock) -> None:
    """What somebody has just brought here is not old because it was made long ago."""
    store = Store(MEMORY, clock=clock, limits=Limits(days=30))
    with store.restoration() as restoration:
        place = restoration.begin_session()
        restoration.add(place, Imported(step(0, kl=1.0)))
        restoration.end_session(place, SessionFacts("s1", 1.0, 2.0, outcome="finished"))
        restoration.commit("math~old", RunFacts(1.0, 2.0))
    keep(store)
    assert names(store) == {"old"}
    clock.now += 31 * DAY
    keep(store)
    assert names(store) == set()
