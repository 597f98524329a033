"""What an archive has of what a trainer logged, read straight from its file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rolloutwatch_contract import ack_key, run_id
from rolloutwatch_contract.keys import split_stream_key
from rolloutwatch_contract.protocol import RunState, Series
from rolloutwatch_server.store import Store
from tests.chaos.figures import (
    MARK,
    NAMES,
    STEPS_BETWEEN_CORRECTIONS,
    STEPS_BETWEEN_MARKS,
    column,
    has_mark,
    measured,
    tables,
)
from tests.chaos.trainer import PROJECT, RUN
from tests.redis_process import RedisProcess

RUN_ID = run_id(PROJECT, RUN)


@dataclass(frozen=True)
class Judgement:
    """Of the steps of a run: those that are missing, come more than once, or have another value or table.

    `kept_twice` rows stand in the file more than once, of which one is shown: a session that had to go on in a new stream
    has sent them again.
    """

    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    state: RunState | None = None
    kept_twice: int = 0

    @property
    def is_flawless(self) -> bool:
        flaws = (self.lost, self.doubled, self.different, self.dropped, self.dead_letters)
        return not any(flaws) and self.state is RunState.FINISHED


def judge(archive: Path, seed: int, steps: int) -> Judgement:
    """Compare all that is in an archive with what was logged at so many steps."""
    with closing(Store(archive)) as store:
        detail = store.run(RUN_ID)
        if detail is None:
            return Judgement(lost=list(range(steps)))
        found = list(_series(store, seed, steps))
        lost = set().union(*(_missing(series.step, due) for series, due, _ in found))
        doubled = set().union(*(_repeated(series.step) for series, _, _ in found))
        different = set().union(*(_unequal(series, due, values) for series, due, values in found))
        for step in range(0, steps, STEPS_BETWEEN_CORRECTIONS):
            there = store.step_tables(RUN_ID, step)
            if there.histogram is None or there.sequences is None:
                lost.add(step)
            elif (there.histogram, there.sequences) != tables(step):
                different.add(step)
        marks = [mark for mark in store.marks(RUN_ID) if mark.kind == MARK]
        marked = np.array([mark.step for mark in marks], dtype=np.int64)
        lost |= _missing(marked, np.arange(0, steps, STEPS_BETWEEN_MARKS))
        doubled |= _repeated(marked)
        different |= {
            mark.step for mark in marks if mark.fields != {"version": mark.step} or not has_mark(mark.step)
        }
        return Judgement(
            sorted(lost), sorted(doubled), sorted(different), dict(detail.dropped),
            store.dead_letter_count(), detail.summary.state, _kept_twice(archive),
        )  # fmt: skip


def _series(store: Store, seed: int, steps: int) -> Iterator[tuple[Series, np.ndarray, np.ndarray]]:
    """Return each series, the steps that it is to have, and the values."""
    logged = np.arange(steps)
    found = store.series(RUN_ID, NAMES)
    for name in NAMES:
        yield found[name], logged, column(seed, name, logged)
    corrected = np.arange(0, steps, STEPS_BETWEEN_CORRECTIONS)
    due = [measured(int(step)) for step in corrected]
    found = store.series(RUN_ID, list(due[0]))
    for name in due[0]:
        yield found[name], corrected, np.array([one[name] for one in due])


def _missing(there: np.ndarray, due: np.ndarray) -> set[int]:
    return set(np.setdiff1d(due, there).tolist())


def _repeated(there: np.ndarray) -> set[int]:
    steps, counts = np.unique(there, return_counts=True)
    return set(steps[counts > 1].tolist())


def _unequal(series: Series, due: np.ndarray, values: np.ndarray) -> set[int]:
    """Steps whose bits differ, and steps that nobody logged."""
    strangers = set(np.setdiff1d(series.step, due).tolist())
    at = np.searchsorted(due, series.step).clip(max=len(due) - 1)
    same = values[at].view(np.int64) == np.ascontiguousarray(series.value).view(np.int64)
    return strangers | set(series.step[~same].tolist())


def _kept_twice(archive: Path) -> int:
    with closing(sqlite3.connect(archive)) as db:
        chunks = db.execute("SELECT length(vals) / 8 FROM chunks WHERE metric = ?", (NAMES[0],)).fetchall()
        with closing(Store(archive)) as store:
            shown = len(store.series(RUN_ID, NAMES[:1])[NAMES[0]].step)
        rows = db.execute(
            "SELECT count(*) FROM recent WHERE instr(metrics, ?)", (NAMES[0].encode(),)
        ).fetchone()
    return sum(count for (count,) in chunks) + int(rows[0]) - shown


def untidiness(archive: Path, redis: RedisProcess) -> tuple[str, ...]:
    """What is not as it is to be when one session has ended in one stream: cursor, acknowledgement, stream, rows."""
    with closing(sqlite3.connect(archive)) as db, redis.client() as client:
        rows = db.execute("SELECT stream, cursor, archived_to FROM streams").fetchall()
        found = [] if len(rows) == 1 else [f"{len(rows)} streams"]
        for stream, cursor, archived_to in rows:
            ack = (client.get(ack_key(*split_stream_key(stream))) or b"").decode()
            if not cursor == f"{archived_to}-0" == f"{ack}-0":
                found.append(f"{stream}: read to {cursor}, archived to {archived_to}, acknowledged {ack}")
            if client.exists(stream):
                found.append(f"{stream}: still there")
    twice = _kept_twice(archive)
    return (*found, *([f"{twice} rows are kept twice"] if twice else []))


def ended_sessions(archive: Path) -> int:
    """How many sessions have come to their end in an archive that may be written to meanwhile."""
    if not archive.exists():
        return 0
    with closing(sqlite3.connect(f"file:{archive}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM sessions WHERE outcome IS NOT NULL").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0
