"""How a run is deleted: at once for everyone who looks, and in small bites on the disk.

`delete` takes away, in one transaction, all by which a run is found, and notes its sessions in `deletions`:
from then on nobody is shown anything of it. `sweep` then frees what is left, a bite at a time, so that nobody waits for it;
a kill in between costs nothing, since what is left to do stands in the archive.

The streams of a deleted run keep their cursors: what was archived, and comes again, is not archived again.
A trainer that goes on all the same begins a new run of that name with its next step.
"""

import sqlite3
import time
from typing import Any

import msgspec

from rolloutwatch_contract import Heartbeat, RunEnd, RunStart
from rolloutwatch_contract.keys import first_stream_key
from rolloutwatch_server.store.entries import Entry, Position

DELETED = 0  # the session of a stream whose run was deleted; sessions count from 1
REMOVALS_KEPT = 1000  # that are told of, the newest
ROWS_OF_A_BITE = 32

_AT_ONCE = ("beginnings", "contests", "recent", "dead_letters", "sessions")  # of which a run has few rows
_OF_ALERTS = (
    "alert_runs",
    "alert_states",
    "transitions",
    "alerts",
    "silences",  # those of this run alone
    "actions",
    "feed_notes",
    "outbox",
    "deliveries",
)  # of which it has few as long as nothing is wrong
_IN_BITES = ("chunks", "step_tables", "marks")


class RunIsLive(RuntimeError):
    """A run cannot be deleted while its trainer writes to it."""


class Removal(msgspec.Struct, frozen=True):
    """A run that was deleted: when (seconds since 1970), and why."""

    run: str
    time: float
    reason: str


def delete(db: sqlite3.Connection, run: str, reason: str, now: float) -> None:
    """Take a run out of what is shown, and note what is left to sweep."""
    db.execute("INSERT INTO deletions SELECT id, run FROM sessions WHERE run = ?", (run,))
    db.execute(
        "UPDATE streams SET session = ? WHERE session IN (SELECT id FROM sessions WHERE run = ?)",
        (DELETED, run),
    )
    for table in (*_AT_ONCE, *_OF_ALERTS):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    db.execute("DELETE FROM runs WHERE id = ?", (run,))
    db.execute("INSERT INTO removals (run, time, reason) VALUES (?, ?, ?)", (run, now, reason))
    db.execute(
        "DELETE FROM removals WHERE id <= (SELECT id FROM removals ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (REMOVALS_KEPT,),
    )


def sweep(db: sqlite3.Connection, seconds: float) -> bool:
    """Free rows of deleted runs for about so many seconds; tell whether some are left."""
    end = time.monotonic() + seconds
    while (row := db.execute("SELECT run FROM deletions LIMIT 1").fetchone()) is not None:
        if not any(_bite(db, table, row[0]) for table in _IN_BITES):
            db.execute("DELETE FROM deletions WHERE run = ?", row)
        if time.monotonic() >= end:
            return True
    return False


def _bite(db: sqlite3.Connection, table: str, run: str) -> int:
    return db.execute(
        f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE run = ?1 "
        "AND session IN (SELECT session FROM deletions WHERE run = ?1) LIMIT ?2)",
        (run, ROWS_OF_A_BITE),
    ).rowcount


def removals(db: sqlite3.Connection, run: str | None = None) -> list[Removal]:
    """Return which runs were deleted, or when one run was, the newest first."""
    where, values = ("WHERE run = ?", (run,)) if run is not None else ("", ())
    rows = db.execute(f"SELECT run, time, reason FROM removals {where} ORDER BY id DESC", values)
    return [Removal(*row) for row in rows]


def dead_sessions(db: sqlite3.Connection, run: str) -> list[int]:
    """Return the sessions of former runs of that name of which rows are left."""
    return [session for (session,) in db.execute("SELECT session FROM deletions WHERE run = ?", (run,))]


def read_before_deletion(db: sqlite3.Connection, stream: str) -> Position | None:
    """Return how far a process's streams were read when its run was deleted; None if it was not."""
    first = first_stream_key(stream)
    query = (
        "SELECT cursor FROM streams WHERE session = ?1 "
        "AND (stream = ?2 OR (stream > ?2 || '.part' AND stream < ?2 || '.paru'))"
    )
    cursors: list[tuple[Any]] = db.execute(query, (DELETED, first)).fetchall()
    return max((Position.of(cursor) for (cursor,) in cursors), default=None)


def stays_deleted(entry: Entry, read: Position | None) -> bool:
    """Tell whether an entry is of a deleted run alone: it was read before, or brings nothing to begin a run with."""
    if read is None or isinstance(entry.content, RunStart):
        return False
    return entry.position <= read or isinstance(entry.content, Heartbeat | RunEnd)
