"""Long runs: columns that are merged and checked, figures by the time they were made, and reading piece by piece."""

import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rolloutwatch_contract import Array, StepRecord
from rolloutwatch_server.store import FOLD_AT, DamagedArchive, Portion, Resumed, StepTables, Store
from rolloutwatch_server.store.chunks import LONG, TIMES
from tests.server.records import DELICATE, OTHER_SESSION, RUN, STREAM, batch, start, step, values


def timed(number: int, time: float, /, **metrics: float) -> StepRecord:
    return StepRecord(step=number, time=time, metrics=metrics)


def fill(store: Store, steps: int) -> None:
    """Steps with figures that all differ, in batches of half a column."""
    for first in range(0, steps, FOLD_AT // 2):
        last = min(first + FOLD_AT // 2, steps)
        store.archive(STREAM, batch(*(step(n, kl=n / 7) for n in range(first, last)), first=first + 1))


def lengths(path: Path, metric: str) -> list[int]:
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT length(vals) / 8 FROM chunks WHERE metric = ? ORDER BY id", (metric,))
        found = [length for (length,) in rows]
    db.close()
    return found


def test_short_columns_become_a_long_one(store: Store, path: Path) -> None:
    """A million steps are sixty columns; no value is moved by that."""
    fill(store, 2 * LONG + 3 * FOLD_AT)
    for metric in ("kl", TIMES):
        assert lengths(path, metric) == [LONG, LONG, FOLD_AT, FOLD_AT, FOLD_AT]
    series = store.series(RUN, ["kl"])["kl"]
    assert series.step.tolist() == list(range(2 * LONG + 3 * FOLD_AT))
    assert series.value.tolist() == [n / 7 for n in series.step.tolist()]


def test_a_value_that_came_later_speaks_in_a_long_column_too(store: Store, path: Path) -> None:
    """Merging joins columns in the order in which they came."""
    fill(store, FOLD_AT)
    again = batch(*(step(n, kl=-1.0) for n in range(FOLD_AT - 1, FOLD_AT)), first=FOLD_AT + 1)
    store.archive(STREAM, again)
    for first in range(FOLD_AT, LONG + FOLD_AT, FOLD_AT):
        steps = (step(n, kl=0.0) for n in range(first, first + FOLD_AT))
        store.archive(STREAM, batch(*steps, first=first + 10))
    assert max(lengths(path, "kl")) >= LONG
    kl = values(store, "kl")
    assert (kl[FOLD_AT - 2], kl[FOLD_AT - 1], kl[FOLD_AT]) == ((FOLD_AT - 2) / 7, -1.0, 0.0)


@pytest.mark.parametrize("flipped", ["vals", "steps"])
def test_a_column_that_is_not_what_was_written_is_not_served(flipped: str, store: Store, path: Path) -> None:
    """One bit is enough; the error says where. Nothing else is read or archived from then on either."""
    store.archive(STREAM, batch(*(step(3 * n + n % 2, kl=1.0, ess=1.0) for n in range(FOLD_AT))))
    with sqlite3.connect(path) as db:
        (blob,) = db.execute(f"SELECT {flipped} FROM chunks WHERE metric = 'kl'").fetchone()
        spoilt = bytearray(blob)
        spoilt[100] ^= 1
        db.execute(f"UPDATE chunks SET {flipped} = ? WHERE metric = 'kl'", (bytes(spoilt),))
    db.close()
    assert set(store.series(RUN, ["ess"])["ess"].value) == {1.0}
    with pytest.raises(DamagedArchive, match=r"archive .*archive.db is damaged: column \d+ is not what"):
        store.series(RUN, ["kl"])
    with pytest.raises(DamagedArchive):
        store.series(RUN, ["ess"])
    with pytest.raises(DamagedArchive):
        store.archive(STREAM, batch(step(9999, kl=1.0), first=9999))


# -- by time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folded", [False, True])
def test_figures_have_the_time_they_were_made(folded: bool, store: Store) -> None:
    """Also when rows have become columns; a step that came twice has the time at which it first came."""
    records = [timed(0, 100.0, kl=0.0), timed(1, 250.5, kl=1.0), timed(2, 260.0, ess=1.0)]
    records += [timed(1, 300.0, kl=1.5)]
    filler = [timed(n, 1000.0 + n, ess=0.0) for n in range(10, 10 + FOLD_AT * folded)]
    store.archive(STREAM, batch(*records, *filler))
    kl = store.series(RUN, ["kl"], by_time=True)["kl"]
    assert kl.time is not None
    assert (kl.step.tolist(), kl.value.tolist(), kl.time.tolist()) == ([0, 1], [0.0, 1.5], [100.0, 250.5])
    times = store.times(RUN, 0, 2)
    assert (times.step.tolist(), times.value.tolist()) == ([0, 1, 2], [100.0, 250.5, 260.0])


def test_the_time_is_that_of_the_session_that_speaks(store: Store) -> None:
    """A run that is resumed from step 1 shows its new figures with their new times."""
    store.archive(STREAM, batch(start(time=0.0), *(timed(n, 10.0 + n, kl=0.0) for n in range(3))))
    store.archive(OTHER_SESSION, batch(start(time=50.0), timed(1, 60.0, kl=1.0)))
    kl = store.series(RUN, ["kl"], by_time=True)["kl"]
    assert kl.time is not None
    assert (kl.step.tolist(), kl.time.tolist()) == ([0, 1], [10.0, 60.0])
    assert store.times(RUN).value.tolist() == [10.0, 60.0]


def test_by_time_a_spike_of_one_step_is_not_lost_either(store: Store) -> None:
    """Columns are of time: a night in which nothing came costs none of the points of the day."""
    at = [float(n) for n in range(3000)] + [100_000.0 + n for n in range(3000)]
    records = (timed(n, time, kl=math.nan if n == 77 else 1e9 * (n == 4321)) for n, time in enumerate(at))
    store.archive(STREAM, batch(*records))
    kl = store.series(RUN, ["kl"], points=100, by_time=True)["kl"]
    assert kl.time is not None
    assert len(kl.step) <= 150
    assert (np.diff(kl.time) > 0).all()
    assert kl.value[kl.step == 4321].tolist() == [1e9]
    assert np.isnan(kl.value[kl.step == 77]).all()
    assert {0, 77, 4321, 5999} <= set(kl.step.tolist())


# -- piece by piece -----------------------------------------------------------------------------------------------


def portions(store: Store, **asked: int) -> list[Portion]:
    return list(store.portions(RUN, **asked))


def test_portions_are_the_whole_run(store: Store) -> None:
    """In order, every value once, NaN that came told from what did not come; holes in the steps cost nothing."""
    store.archive(STREAM, batch(*(step(n, kl=value) for n, value in enumerate(DELICATE))))
    store.archive(STREAM, batch(step(10**12, ess=1.0), step(10**12 + 1, kl=2.0, ess=1.0), first=20))
    found = portions(store, steps=3)
    assert [one.step.tolist() for one in found] == [[0, 1, 2], [3, 4, 5], [6], [10**12, 10**12 + 1]]
    kl = np.concatenate([one.values["kl"] for one in found])
    assert kl.tobytes() == np.array([*DELICATE, math.nan, 2.0]).tobytes()
    assert np.concatenate([one.present["kl"] for one in found]).tolist() == [True] * 7 + [False, True]
    assert np.concatenate([one.present["ess"] for one in found]).tolist() == [False] * 7 + [True, True]
    assert np.concatenate([one.time for one in found]).tolist() == [*range(7), 1e12, 1e12 + 1]
    assert [one.step.tolist() for one in portions(store, from_step=2, to_step=5)] == [[2, 3, 4, 5]]
    assert list(store.portions("math~nobody")) == []


@pytest.mark.parametrize("folded", [False, True])
def test_steps_that_are_far_apart_are_found_at_once(folded: bool, store: Store) -> None:
    """A run that counts tokens has a step in a hundred million; nobody walks through what lies between."""
    apart, count = 10**8, FOLD_AT if folded else 50
    store.archive(STREAM, batch(*(step(n * apart, kl=float(n)) for n in range(count))))
    store.archive(STREAM, batch(*(step(count * apart + n, kl=-1.0) for n in range(300)), first=count + 1))
    found = portions(store, steps=100)
    steps = [n for one in found for n in one.step.tolist()]
    assert steps == [*range(0, count * apart, apart), *range(count * apart, count * apart + 300)]
    assert max(len(one.step) for one in found) <= 100


def test_portions_hold_what_is_shown(store: Store) -> None:
    """Not what a resumed run has given up."""
    store.archive(STREAM, batch(start(time=0.0), *(step(n, kl=float(n)) for n in range(5))))
    store.archive(OTHER_SESSION, batch(start(time=50.0), step(3, kl=-3.0)))
    (portion,) = portions(store)
    assert (portion.step.tolist(), portion.values["kl"].tolist()) == ([0, 1, 2, 3], [0.0, 1.0, 2.0, -3.0])


def test_a_run_that_goes_back_while_it_is_read_says_so(store: Store) -> None:
    """Half of a past that is given up and half of a new one would be a run that never was."""
    store.archive(STREAM, batch(start(time=0.0), *(step(n, kl=float(n)) for n in range(6))))
    reading = store.portions(RUN, steps=2)
    next(reading)
    store.archive(STREAM, batch(step(6, kl=6.0), first=8))
    next(reading)  # what only goes on is no reason
    store.archive(OTHER_SESSION, batch(start(time=50.0), step(1, kl=-1.0)))
    with pytest.raises(Resumed, match=r"run math~a was resumed .* read it again from the beginning"):
        next(reading)


def test_tables_come_in_the_order_of_steps(store: Store) -> None:
    """As shown: of the session that speaks for the step, and none of steps that were given up."""

    def with_table(number: int, value: float) -> StepRecord:
        return StepRecord(number, float(number), {"kl": 0.0}, sequences=Array.of(np.array([[value]])))

    store.archive(STREAM, batch(start(time=0.0), *(with_table(n, float(n)) for n in range(70))))
    store.archive(OTHER_SESSION, batch(start(time=500.0), with_table(60, -60.0), step(61, kl=1.0)))
    found = list(store.tables(RUN))
    assert [number for number, _ in found] == list(range(61))
    expected = [StepTables(sequences=Array.of(np.array([[float(n)]]))) for n in [*range(60), -60]]
    assert [tables for _, tables in found] == expected
    assert [number for number, _ in store.tables(RUN, 58, 59)] == [58, 59]


# -- what has changed ---------------------------------------------------------------------------------------------


def test_changes_grow_with_what_is_archived_and_with_nothing_else(store: Store) -> None:
    """By them a browser knows that what it has is still right."""
    assert store.changes(RUN) is None
    first = batch(start(), step(0, kl=0.0))
    store.archive(STREAM, first)
    before = store.changes(RUN)
    store.archive(STREAM, first)
    store.series(RUN, ["kl"])
    assert store.changes(RUN) == before is not None
    store.archive(STREAM, batch(step(1, kl=0.0), first=3))
    after = store.changes(RUN)
    detail = store.run(RUN)
    assert after is not None
    assert before is not None
    assert detail is not None
    assert after == detail.changes > before


def test_what_comes_later_for_a_step_stands_beside_what_came_before(store: Store) -> None:
    """A histogram now and sequences then; but sequences come with all that tells of them, or it would tell of others."""
    histogram, rows = Array.of(np.array([1, 2])), Array.of(np.array([[1.0]]))
    ids, others = Array.of(np.array([7])), Array.of(np.array([[2.0]]))
    records = [
        StepRecord(0, 0.0, {}, histogram=histogram),
        StepRecord(0, 1.0, {}, sequences=rows, sample_ids=ids),
    ]
    store.archive(STREAM, batch(*records))
    assert store.step_tables(RUN, 0) == StepTables(histogram, rows, ids)
    store.archive(STREAM, batch(StepRecord(0, 2.0, {}, sequences=others), first=3))
    assert store.step_tables(RUN, 0) == StepTables(histogram, others)
