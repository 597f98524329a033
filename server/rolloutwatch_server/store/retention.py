"""What an archive lets go of by itself: runs by age and by size, and the tables of steps long past.

Nothing is let go of unless a limit says so. A run that is live is never deleted, nor one that has fallen silent less than
a day ago: a trainer may wait, and after an outage every run looks stalled until its records have been read.
Figures, marks and configurations stay as long as their run does.
"""

import itertools
import sqlite3
import time
from collections.abc import Iterator

import msgspec

from rolloutwatch_contract.protocol import RunState

SECONDS_OF_A_DAY = 86_400.0
SECONDS_OF_SILENCE = SECONDS_OF_A_DAY  # after which a run that has not ended counts as ended
ROWS_OF_A_BITE = 32
_ENDED = (RunState.FINISHED, RunState.CRASHED)


class Limits(msgspec.Struct, frozen=True):
    """How much is kept; None is without limit.

    Runs for so many `days` since their last record, and of those that have ended the newest in so many `bytes`;
    the tables of sequences, histograms, sample ids and tokens for so many `table_steps`, or for so many `table_days`.
    """

    days: float | None = None
    bytes: int | None = None
    table_steps: int | None = None
    table_days: float | None = None


def reason_to_delete(limits: Limits, updated_at: float, now: float, size: int) -> str | None:
    """Return why the run that was longest without a record has to go, None if it may stay."""
    if limits.days is not None and updated_at < now - limits.days * SECONDS_OF_A_DAY:
        return f"its last record is older than keep_days, {limits.days:g}"
    if limits.bytes is not None and size > limits.bytes:
        return f"the archive has {size:,} bytes, more than keep_size, {limits.bytes:,}, and it was the oldest run"
    return None


def has_ended(state: RunState, updated_at: float, now: float) -> bool:
    """Tell whether a run may be let go of: it has ended, or was silent for a day."""
    return state in _ENDED or (state is RunState.STALLED and updated_at < now - SECONDS_OF_SILENCE)


def let_go_of_tables(db: sqlite3.Connection, limits: Limits, now: float, seconds: float) -> str | None:
    """Delete tables of steps that are beyond the limits, for about so many seconds; return a run that may have more."""
    end = time.monotonic() + seconds
    for run, last_step in db.execute("SELECT id, last_step FROM runs WHERE last_step IS NOT NULL").fetchall():
        last_to_go = _last_to_go(db, run, last_step, limits)
        while rows := list(_beyond(db, run, last_to_go, limits, now)):
            db.executemany("DELETE FROM step_tables WHERE rowid = ?", [(number,) for number, _ in rows])
            db.execute(
                "UPDATE runs SET changes = changes + 1, tables_from = max(coalesce(tables_from, 0), ?) WHERE id = ?",
                (rows[-1][1] + 1, run),
            )
            if time.monotonic() >= end:
                return str(run)
    return None


def _beyond(
    db: sqlite3.Connection, run: str, last_to_go: int, limits: Limits, now: float
) -> Iterator[tuple[int, int]]:
    """Return number and step of the first rows of a run, as far as they are to go."""
    query = "SELECT rowid, step, time FROM step_tables WHERE run = ? ORDER BY step LIMIT ?"
    since = float("-inf") if limits.table_days is None else now - limits.table_days * SECONDS_OF_A_DAY
    rows = db.execute(query, (run, ROWS_OF_A_BITE)).fetchall()
    old = itertools.takewhile(lambda row: row[1] <= last_to_go or row[2] < since, rows)
    return ((number, step) for number, step, _ in old)


def _last_to_go(db: sqlite3.Connection, run: str, last_step: int, limits: Limits) -> int:
    """Return the step up to which there are more steps with tables than are kept, -1 if there are not so many.

    A run that went back does not count what is ahead of it: it would lose what it brings to what it gave up.
    """
    if limits.table_steps is None:
        return -1
    query = "SELECT DISTINCT step FROM step_tables WHERE run = ? AND step <= ? ORDER BY step DESC LIMIT 1 OFFSET ?"
    row = db.execute(query, (run, last_step, limits.table_steps)).fetchone()
    return -1 if row is None else int(row[0])
