"""How a run that was read elsewhere comes into the archive: piece by piece out of sight, and then at once, or not at all.

Until it is complete it stands under an id that no run can have, and nobody is shown it.
What a process that was killed left under such an id is taken away when the next one begins.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable

import msgspec
import numpy as np

from rolloutwatch_contract import Mark, StepRecord
from rolloutwatch_contract.keys import split_run_id, stream_key
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.store.attempts import StepTables, write_tables
from rolloutwatch_server.store.checksum import sum_of
from rolloutwatch_server.store.chunks import TIMES, latest, merge_chunks, write_chunk
from rolloutwatch_server.store.database import Database
from rolloutwatch_server.store.lineage import Lineage
from rolloutwatch_server.store.marks import write_mark
from rolloutwatch_server.store.transcript import Kept, RunFacts, SessionFacts, Transcript, base_of

VALUES_AT_ONCE = 262_144
BYTES_AT_ONCE = 16 * 1024 * 1024

_STAGED, _BEYOND = "import:", "import;"  # no run id can have a colon, which ';' is next to
_OF_A_RUN = ("chunks", "step_tables", "marks", "beginnings", "contests", "sessions")


class Conflict(ValueError):
    """The archive has another run of that id."""


class Restoration:
    """A run on its way into the archive; used as a context, which leaves nothing behind unless `commit` was reached."""

    def __init__(self, database: Database, forget: Callable[[], None], now: float) -> None:
        self._database = database
        self._forget = forget
        self._now = now
        self._id = f"{_STAGED}{secrets.token_hex(8)}"
        self._sessions: list[int] = []
        self._facts: dict[int, SessionFacts] = {}
        self._waiting: list[tuple[int, StepRecord | Mark]] = []
        self._bytes = 0
        self._columns: dict[tuple[int, str], tuple[list[int], list[float]]] = {}
        self._values = 0
        self._is_ending = False
        self._firsts: dict[tuple[int, str], int] = {}
        self._first_step = MAX_STEP + 1

    def __enter__(self) -> "Restoration":
        with self._database.write() as db:
            _discard(db, _STAGED, _BEYOND)
        return self

    def __exit__(self, *_: object) -> None:
        with self._database.write() as db:
            _discard(db, self._id, f"{self._id};")

    def begin_session(self) -> int:
        """Open another session; return its place."""
        with self._database.write() as db:
            added = db.execute(
                "INSERT INTO sessions (stream, run, started_at, heard_at, outcome) VALUES (?, ?, ?, ?, 'finished') RETURNING id",
                (f"{self._id}:{len(self._sessions)}", self._id, self._now, self._now),
            )
            self._sessions.append(int(added.fetchone()[0]))
        return len(self._sessions) - 1

    def add(self, place: int, kept: Kept) -> None:
        """Take a record of the session at a place; of what comes for the same step the last one stays."""
        session, record = self._sessions[place], kept.record
        if isinstance(record, StepRecord):
            self._add_figures(session, record, kept.timed)
        if isinstance(record, Mark) or _has_tables(record):
            self._waiting.append((session, record))
            self._bytes += len(msgspec.msgpack.encode(record))
        if self._bytes >= BYTES_AT_ONCE or self._values >= VALUES_AT_ONCE:
            self._flush()

    def end_session(self, session: int, facts: SessionFacts) -> None:
        """Take what is known of the session at a place."""
        self._facts[session] = facts

    def commit(self, run: str, facts: RunFacts) -> bool:
        """Let the run be there under an id; tell whether it is new: False if it was there already, all the same.

        Conflict: there is another one of that id, which stays as it is.
        """
        self._is_ending = True
        self._flush()
        with self._database.write() as db:
            self._settle(db, facts)
        if self._is_there_already(run):
            return False
        with self._database.write() as db:
            self._forget()
            if _has(db, run):
                raise _conflict(run)  # it began meanwhile
            self._rename(db, run)
            self._write_run(db, run, facts)
        return True

    def _add_figures(self, session: int, record: StepRecord, timed: bool) -> None:
        self._first_step = min(record.step, self._first_step)
        times = ((TIMES, record.time),) if timed else ()
        for metric, value in (*times, *record.metrics.items()):
            steps, values = self._columns.setdefault((session, metric), ([], []))
            steps.append(record.step)
            values.append(value)
            self._values += 1

    def _flush(self) -> None:
        """Write marks and tables, and figures once they are enough for long columns."""
        with self._database.write() as db:
            for session, record in self._waiting:
                if isinstance(record, Mark):
                    write_mark(db, self._id, session, record)
                else:
                    write_tables(db, self._id, session, record)
            if self._values >= VALUES_AT_ONCE or self._is_ending:
                self._flush_columns(db)
        self._waiting.clear()
        self._bytes = 0

    def _flush_columns(self, db: sqlite3.Connection) -> None:
        for (session, metric), (steps, values) in self._columns.items():
            if metric == TIMES:  # of which the first one stays
                steps, values = steps[::-1], values[::-1]
            series = latest(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
            write_chunk(db, self._id, session, metric, series)
            merge_chunks(db, self._id, session, metric)
            self._note(session, metric, int(series.step[0]))
        self._columns.clear()
        self._values = 0

    def _note(self, session: int, metric: str, step: int) -> None:
        if metric != TIMES:
            self._firsts[session, metric] = min(step, self._firsts.get((session, metric), step))

    def _settle(self, db: sqlite3.Connection, facts: RunFacts) -> None:
        """Give the sessions what is known of them, still out of sight."""
        for place, number in enumerate(self._sessions):
            one = self._facts[place]
            db.execute(
                "UPDATE sessions SET started_at = ?, heard_at = ?, declared_at = ?, outcome = ?, mark = ?, dropped = ?, "
                "told = ?, config = ?, environment = ?, latest_time = ?, latest_step = ?, stream = ? WHERE id = ?",
                (
                    one.started_at, min(one.heard_at, self._now), one.declared_at, one.outcome, one.mark,
                    json.dumps(one.dropped), json.dumps(one.dropped), json.dumps(one.config), json.dumps(one.environment),
                    one.latest_time, one.latest_step, f"{self._id}:{one.name}", number,
                ),
            )  # fmt: skip
        place_of = {metric: place for place, metric in enumerate(facts.metrics or ())}
        firsts = sorted(self._firsts.items(), key=lambda item: place_of.get(item[0][1], len(place_of)))
        db.executemany(  # in this order, which is the one that a run's metrics are listed in
            "INSERT INTO beginnings (run, session, metric, first_step) VALUES (?, ?, ?, ?)",
            [(self._id, session, metric, step) for (session, metric), step in firsts],
        )
        db.executemany(
            "INSERT INTO contests (run, session, rival, step, time) VALUES (?, ?, ?, ?, ?)",
            [
                (self._id, self._sessions[one.session], self._sessions[one.rival], one.step, one.time)
                for one in facts.contests
            ],
        )

    def _is_there_already(self, run: str) -> bool:
        """Tell whether the archive has this very run; Conflict if it has another one. Nobody waits meanwhile."""
        with self._database.read() as db:
            if not _has(db, run):
                return False
            if Transcript(db, run).digest() != Transcript(db, self._id).digest():
                raise _conflict(run)
        return True

    def _rename(self, db: sqlite3.Connection, run: str) -> None:
        for table in _OF_A_RUN:
            db.execute(f"UPDATE {table} SET run = ? WHERE run = ?", (run, self._id))
        for place, number in enumerate(self._sessions):
            one = self._facts[place]
            first = stream_key(run, base_of(one.name))
            db.execute(
                "UPDATE sessions SET stream = ? WHERE id = ?",
                (first + one.name[len(base_of(one.name)) :], number),
            )
            for of in one.streams:
                row = (stream_key(run, of.name), of.cursor, str(of.archived_to), 0)
                db.execute(
                    "INSERT OR REPLACE INTO streams (session, stream, cursor, archived_to, dead_letters, crc) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (number, *row, sum_of(*row)),
                )

    def _write_run(self, db: sqlite3.Connection, run: str, facts: RunFacts) -> None:
        first = facts.first_step if self._first_step > MAX_STEP else self._first_step
        last = _last_shown_step(db, run) if facts.metrics is None else facts.last_step
        db.execute(
            "INSERT INTO runs (id, project, name, started_at, updated_at, first_step, last_step, "
            "config, environment, changes, tables_from, tags, archived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run, *split_run_id(run), facts.started_at, min(facts.updated_at, self._now), first, last,
                json.dumps(facts.config), json.dumps(facts.environment), int(self._now * 1e6), facts.tables_from,
                json.dumps(facts.tags), facts.archived,
            ),
        )  # fmt: skip


def _has(db: sqlite3.Connection, run: str) -> bool:
    return db.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone() is not None


def _conflict(run: str) -> Conflict:
    return Conflict(
        f"the archive has a run {run!r} already, and it is another one or has gone on since: "
        "import this one under another name."
    )


def _last_shown_step(db: sqlite3.Connection, run: str) -> int | None:
    lineage = Lineage.read(db, run)
    ends = db.execute(
        "SELECT session, metric, max(last_step) FROM chunks WHERE run = ?1 AND metric != ?2 "
        "AND session IN (SELECT id FROM sessions WHERE run = ?1) GROUP BY session, metric",
        (run, TIMES),
    )
    steps = [min(last, lineage.end(session, metric) - 1) for session, metric, last in ends]
    return int(max(steps)) if steps else None


def _discard(db: sqlite3.Connection, first: str, end: str) -> None:
    """Take away all that stands under ids from `first` to before `end`."""
    for table in _OF_A_RUN:
        db.execute(f"DELETE FROM {table} WHERE run >= ? AND run < ?", (first, end))


def _has_tables(record: StepRecord) -> bool:
    return any(getattr(record, name) not in (None, ()) for name in StepTables.__struct_fields__)
