"""What a batch does to the archive."""

import json
import logging
import sqlite3
from collections.abc import Sequence

import msgspec

from rolloutwatch_contract import Heartbeat, Mark, MarkKind, Record, RunEnd, RunStart, StepRecord
from rolloutwatch_contract.keys import first_stream_key, split_run_id, split_stream_key
from rolloutwatch_server.store.attempts import write_tables
from rolloutwatch_server.store.checksum import check, sum_of
from rolloutwatch_server.store.chunks import TIMES
from rolloutwatch_server.store.columns import fold, last_step_of
from rolloutwatch_server.store.continuation import (
    Watch,
    goes_back,
    newest_session,
    open_continuation,
    was_sent_before,
)
from rolloutwatch_server.store.deletion import DELETED, read_before_deletion, stays_deleted
from rolloutwatch_server.store.entries import DeadLetter, Entry, Position
from rolloutwatch_server.store.lineage import Latest, Lineage
from rolloutwatch_server.store.losses import Losses
from rolloutwatch_server.store.marks import write_mark

log = logging.getLogger(__name__)

FOLD_AT = 1024  # rows of a run before they become columns; a step that is measured and logged brings two
DEAD_LETTERS_KEPT = 100  # of each run, the newest; all are counted
SECONDS_APART = 3.0  # that tell an order of arrival from what a server finds at once after it was away
SECONDS_OF_A_BEGINNING = 5.0  # of which a first batch may tell; one that tells of more has waited somewhere


class Writer:
    """Writes batches; what it remembers between them is what the archive says, and is read from it when it is not there."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._lineages: dict[str, Lineage] = {}
        self._tops: dict[int, int] = {}
        self._losses = Losses()
        self._watch = Watch()

    def forget(self) -> None:
        """Remember nothing, as after a transaction that was undone."""
        self._rows.clear()
        self._lineages.clear()
        self._tops.clear()
        self._losses.forget()

    def write(self, db: sqlite3.Connection, stream: str, entries: Sequence[Entry], now: float) -> list[Entry]:
        """Write what is new in a batch of one stream, and how far the stream is read; return what was new."""
        run, _ = split_stream_key(stream)
        session, cursor, archived_to, letters = self._look_up(db, stream)
        fresh = [entry for entry in entries if entry.position > cursor]
        if not fresh:
            return []
        letters += self._write_dead_letters(db, run, fresh)
        self._watch.heard(now)
        is_late = _tells_of_long_ago(fresh)
        deleted_to = read_before_deletion(db, stream) if session is None else None
        past: set[Position] = set()
        for at, entry in enumerate(fresh):
            content = entry.content
            if isinstance(content, DeadLetter):
                continue
            if session is None and stays_deleted(entry, deleted_to):
                past.add(entry.position)
                archived_to = _archived_to(archived_to, entry)
                continue
            if session is None:  # a stream that has held no record makes no run
                session = self._open_session(db, first_stream_key(stream), run, now)
            if isinstance(content, RunStart):
                self._write_start(db, session, run, content, now, is_late)
            elif isinstance(content, StepRecord):
                session = self._session_of(db, stream, session, run, entry, content, now)
                content = self._with_losses(db, session, run, content)
            hidden = self._write(db, session, run, content, now)
            fresh[at] = Entry(entry.position, content, hidden, session)
            archived_to = _archived_to(archived_to, entry)
        row = (stream, str(fresh[-1].position), str(archived_to), letters)
        db.execute(
            "INSERT OR REPLACE INTO streams (session, stream, cursor, archived_to, dead_letters, crc) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (DELETED if session is None and deleted_to is not None else session, *row, sum_of(*row)),
        )
        if not all(isinstance(entry.content, DeadLetter) for entry in fresh):
            db.execute("UPDATE sessions SET heard_at = ? WHERE id = ?", (now, session))
        if any(isinstance(entry.content, RunStart | StepRecord | Mark | RunEnd) for entry in fresh):
            db.execute("UPDATE runs SET updated_at = ? WHERE id = ?", (now, run))
            db.execute("UPDATE runs SET changes = changes + 1 WHERE id = ?", (run,))
        if self._rows.get(run, 0) >= FOLD_AT:
            self._fold(db, run)
        return [entry for entry in fresh if entry.position not in past]

    def _look_up(self, db: sqlite3.Connection, stream: str) -> tuple[int | None, Position, int, int]:
        """Return a stream's session, how far it is read, up to where all of it is archived, and its dead letters."""
        query = "SELECT session, cursor, archived_to, dead_letters, crc FROM streams WHERE stream = ?"
        row = db.execute(query, (stream,)).fetchone()
        if row is None:
            return None, Position(), 0, 0
        check("how far a stream is read", row[-1], stream, *row[1:-1])
        return row[0] or None, Position.of(row[1]), int(row[2]), row[3]

    def _open_session(self, db: sqlite3.Connection, first_stream: str, run: str, now: float) -> int:
        if (session := newest_session(db, first_stream)) is not None:
            return session
        project, name = split_run_id(run)
        db.execute(
            "INSERT OR IGNORE INTO runs (id, project, name, started_at, updated_at, changes) VALUES (?, ?, ?, ?, ?, ?)",
            (run, project, name, now, now, int(now * 1e6)),
        )
        added = db.execute(
            "INSERT INTO sessions (stream, run, started_at, heard_at) VALUES (?, ?, ?, ?) RETURNING id",
            (first_stream, run, now, now),
        )
        self._lineages.pop(run, None)
        return int(added.fetchone()[0])

    def _session_of(
        self,
        db: sqlite3.Connection,
        stream: str,
        session: int,
        run: str,
        entry: Entry,
        record: StepRecord,
        now: float,
    ) -> int:
        """Return the session that a step belongs to: its process's own, or one that the process goes on in."""
        kind = self._reason_to_continue(db, session, run, record, now)
        if kind is None or was_sent_before(db, stream, session, entry.position):
            return session
        lineage = self._lineage(db, run)
        started_at = lineage.follows_all(session, min(lineage.time_of(session, record.time), now))
        continued = open_continuation(db, first_stream_key(stream), session, started_at, kind)
        if continued is None:
            return session
        self._lineages.pop(run, None)
        return continued

    def _reason_to_continue(
        self, db: sqlite3.Connection, session: int, run: str, record: StepRecord, now: float
    ) -> MarkKind | None:
        """Return what a process goes on with that needs another session, None if it simply goes on.

        A small part of its figures is one that is corrected later, and no step that is done again;
        a third is not small, since what is measured and what is logged come in records of their own.
        """
        lineage = self._lineage(db, run)
        if record.step < self._top_of(db, run, session):
            is_part = 3 * len(record.metrics) < lineage.count_of_metrics(session)
            if not is_part and goes_back(db, run, session, record.metrics, record.step):
                return MarkKind.ROLLBACK
        elif session == lineage.order[-1]:
            return None  # as almost always
        speakers = lineage.speakers(session, record.metrics, record.step)
        # what was made before the later ones fell silent was given up, however late it comes
        made = lineage.time_of(session, record.time)
        if not speakers or made <= max(lineage.latest_time(one) for one in speakers):
            return None
        return MarkKind.TAKEOVER if self._watch.are_over(db, speakers, now) else None

    def _with_losses(self, db: sqlite3.Connection, session: int, run: str, record: StepRecord) -> StepRecord:
        """Return a record with the figures of what was lost before it, if it is the first one of its step."""
        if record.step <= self._top_of(db, run, session):
            return record
        figures = self._losses.figures(db, self._lineage(db, run), session, record)
        return msgspec.structs.replace(record, metrics={**record.metrics, **figures}) if figures else record

    def _top_of(self, db: sqlite3.Connection, run: str, session: int) -> int:
        if session not in self._tops:
            self._tops[session] = last_step_of(db, run, session)
        return self._tops[session]

    def _write_dead_letters(self, db: sqlite3.Connection, run: str, fresh: Sequence[Entry]) -> int:
        """Keep the newest dead letters of a run; return how many came."""
        letters = [entry.content for entry in fresh if isinstance(entry.content, DeadLetter)]
        if letters:
            db.executemany(
                "INSERT INTO dead_letters (stream, entry, reason, head, time, run) VALUES (?, ?, ?, ?, ?, ?)",
                [(one.stream, one.entry, one.reason, one.head, one.time, run) for one in letters],
            )
            db.execute(
                "DELETE FROM dead_letters WHERE run = ?1 AND id <= "
                "(SELECT id FROM dead_letters WHERE run = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                (run, DEAD_LETTERS_KEPT),
            )
        return len(letters)

    def _write(
        self, db: sqlite3.Connection, session: int, run: str, content: Record, now: float
    ) -> frozenset[str]:
        """Write what a record says; return which of its metrics are not shown, or the kind of a mark that is not."""
        hidden: frozenset[str] = frozenset()
        match content:
            case StepRecord():
                hidden = self._write_step(db, session, run, content, now)
            case Mark():
                new = write_mark(db, run, session, content)
                if not new or content.step >= self._lineage(db, run).end_of_marks(session):
                    hidden = frozenset({content.kind})
            case RunEnd():
                self._tops.pop(session, None)
                db.execute("UPDATE sessions SET outcome = ? WHERE id = ?", (content.outcome.value, session))
            case RunStart() | Heartbeat():
                pass
        if not isinstance(content, RunStart) and content.dropped:
            db.execute("UPDATE sessions SET dropped = ? WHERE id = ?", (json.dumps(content.dropped), session))
        return hidden

    def _write_start(
        self, db: sqlite3.Connection, session: int, run: str, start: RunStart, now: float, is_late: bool
    ) -> None:
        started_at = self._place(db, session, run, start, now, is_late)
        others = db.execute("SELECT count(*) FROM sessions WHERE run = ?", (run,)).fetchone()[0] > 1
        config, environment = json.dumps(start.config), json.dumps(start.environment)
        db.execute(
            "UPDATE runs SET config = ?, environment = ?, "
            "started_at = CASE WHEN ? THEN min(started_at, ?) ELSE ? END WHERE id = ?",
            (config, environment, others, started_at, started_at, run),
        )
        db.execute(
            "UPDATE sessions SET started_at = ?, declared_at = coalesce(declared_at, ?), config = ?, environment = ? "
            "WHERE id = ?",
            (started_at, start.time, config, environment, session),
        )
        self._lineages.pop(run, None)  # by when they started they may stand in another order now

    def _place(
        self, db: sqlite3.Connection, session: int, run: str, start: RunStart, now: float, is_late: bool
    ) -> float:
        """Return when a session is taken to have started: when it says, unless what arrived proves its clock wrong."""
        query = "SELECT started_at FROM sessions WHERE id = ? AND declared_at IS NOT NULL"
        if row := db.execute(query, (session,)).fetchone():
            return float(row[0])
        query = "SELECT id FROM sessions WHERE run = ? AND id != ? AND heard_at < ?"
        before = [] if is_late else db.execute(query, (run, session, now - SECONDS_APART)).fetchall()
        lineage = self._lineage(db, run)
        is_behind = any(lineage.is_within(other, start.time) for (other,) in before)
        return now if is_behind or start.time > now else start.time

    def _write_step(
        self, db: sqlite3.Connection, session: int, run: str, record: StepRecord, now: float
    ) -> frozenset[str]:
        row = (session, record.step, record.time, msgspec.msgpack.encode(record.metrics))
        db.execute(
            "INSERT INTO recent (run, session, step, time, metrics, crc) VALUES (?, ?, ?, ?, ?, ?)",
            (run, *row, sum_of(*row)),
        )
        self._rows[run] = self._rows_of(db, run) + 1
        self._tops[session] = max(record.step, self._top_of(db, run, session))
        write_tables(db, run, session, record)
        lineage = self._lineage(db, run)
        gave_up = [self._begin(db, lineage, session, run, metric, record.step) for metric in record.metrics]
        hidden = lineage.hidden(session, record.metrics, record.step)
        shown = not record.metrics or len(hidden) < len(record.metrics)
        db.execute(
            "UPDATE runs SET first_step = min(coalesce(first_step, ?1), ?1), "
            "last_step = CASE WHEN ?2 THEN max(coalesce(last_step, ?1), ?1) ELSE last_step END WHERE id = ?3",
            (record.step, shown, run),
        )
        if any(gave_up):
            self._find_last_step(db, run)
        made = min(lineage.time_of(session, record.time), now)
        self._look_for_rivals(db, lineage, session, run, Latest(made, record.step))
        return hidden

    def _look_for_rivals(
        self, db: sqlite3.Connection, lineage: Lineage, session: int, run: str, latest: Latest
    ) -> None:
        """Note that two trainers write to a run at once; the log is told once of each that is not shown."""
        lineage.note(session, latest)
        db.execute(
            "UPDATE sessions SET latest_time = ?1, latest_step = ?2 "
            "WHERE id = ?3 AND ?1 >= coalesce(latest_time, ?1)",
            (*latest, session),
        )
        if len(lineage.order) == 1:
            return
        for former, rival in lineage.new_contests(session):
            if not any(former == one for one, _ in lineage.contests):
                log.warning(
                    "Two trainers write to run %s: shown is the one that began last; "
                    "steps of the other are kept but not shown.", run, extra={"run": run},
                )  # fmt: skip
            lineage.contests.add((former, rival))
            db.execute(
                "INSERT INTO contests (run, session, rival, step, time) VALUES (?, ?, ?, ?, ?)",
                (run, former, rival, latest.step, latest.time),
            )

    def _begin(
        self, db: sqlite3.Connection, lineage: Lineage, session: int, run: str, metric: str, step: int
    ) -> bool:
        """Note the first step of a session's metric; tell whether other sessions may have to give up steps for it."""
        first = lineage.first_step(session, metric)
        if first is not None and first <= step:
            return False
        db.execute(
            "INSERT INTO beginnings (run, session, metric, first_step) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (session, metric) DO UPDATE SET first_step = ?4",
            (run, session, metric, step),
        )  # in this order, which is the one that a run's metrics are listed in
        lineage.begin(session, metric, step)
        return len(lineage.order) > 1

    def _find_last_step(self, db: sqlite3.Connection, run: str) -> None:
        """Set a run's last step anew: it falls when a session goes back behind what another one has done."""
        self._fold(db, run)
        lineage = self._lineage(db, run)
        ends = db.execute(
            "SELECT session, metric, max(last_step) FROM chunks WHERE run = ?1 AND metric != ?2 "
            "AND session IN (SELECT id FROM sessions WHERE run = ?1) GROUP BY session, metric",
            (run, TIMES),
        )
        # a session that gives up steps leaves the one before them at the most, and one that took over has a higher one
        last = max(min(last, lineage.end(session, metric) - 1) for session, metric, last in ends)
        db.execute("UPDATE runs SET last_step = ? WHERE id = ?", (int(last), run))

    def _fold(self, db: sqlite3.Connection, run: str) -> None:
        fold(db, run)
        self._rows[run] = 0

    def _rows_of(self, db: sqlite3.Connection, run: str) -> int:
        if run not in self._rows:
            self._rows[run] = db.execute("SELECT count(*) FROM recent WHERE run = ?", (run,)).fetchone()[0]
        return self._rows[run]

    def _lineage(self, db: sqlite3.Connection, run: str) -> Lineage:
        if run not in self._lineages:
            self._lineages[run] = Lineage.read(db, run)
        return self._lineages[run]


def _tells_of_long_ago(entries: Sequence[Entry]) -> bool:
    """Tell whether records have waited somewhere: they tell of more time than passes until a new stream is found."""
    times = [entry.content.time for entry in entries if not isinstance(entry.content, DeadLetter)]
    return bool(times) and max(times) - min(times) > SECONDS_OF_A_BEGINNING


def _archived_to(before: int, entry: Entry) -> int:
    """Return up to where all records of a stream are archived, now that one more is.

    A number counts when those before it do: under one that a stranger took, the session's own record is missing.
    """
    number = entry.position.major
    begins = before == 0 and isinstance(entry.content, RunStart)
    return number if begins or number == before + 1 else before
