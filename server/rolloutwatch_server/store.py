"""The archive: everything that arrived, once, in one SQLite file.

What it promises:
- `archive` writes the records of one batch and how far its stream is read in one transaction:
  after a crash at any instant a batch is there with its cursor, or neither is.
- A record at or before the cursor is ignored, so that a batch may come twice.
- Of several values for the same run, step and metric the one that arrived last is shown.
- Readers never wait for the writer.

New records are kept as rows (`recent`, one small row each, cheap to commit);
when enough of them have come they are folded into columns (`chunks`: one run, one metric, a range of steps),
which is what makes a long run quick to read and small on disk.
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from rolloutwatch_contract import Array, Heartbeat, Record, RunEnd, RunStart, StepRecord
from rolloutwatch_contract.keys import split_run_id, split_stream_key
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary, Series
from rolloutwatch_server.downsample import thin

SCHEMA = 1
FOLD_AT = 1024  # rows of a run before they become columns; a step that is measured and logged brings two
SECONDS_UNTIL_STALLED = 30.0  # a client without steps still sends a heartbeat every few seconds

MEMORY = ":memory:"

_TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL,
    started_at REAL NOT NULL, updated_at REAL NOT NULL, first_step INTEGER, last_step INTEGER,
    config TEXT NOT NULL DEFAULT '{}', environment TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE sessions (
    stream TEXT PRIMARY KEY, run TEXT NOT NULL, started_at REAL NOT NULL, heard_at REAL NOT NULL,
    cursor TEXT NOT NULL, outcome TEXT, dropped TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX sessions_of_run ON sessions (run);
CREATE TABLE recent (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, step INTEGER NOT NULL, time REAL NOT NULL, metrics BLOB NOT NULL
);
CREATE INDEX recent_of_run ON recent (run, step);
CREATE TABLE metrics (run TEXT NOT NULL, metric TEXT NOT NULL, PRIMARY KEY (run, metric));
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, metric TEXT NOT NULL,
    first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
    steps BLOB, vals BLOB NOT NULL
);
CREATE INDEX chunks_of_series ON chunks (run, metric, last_step);
CREATE TABLE step_tables (
    run TEXT NOT NULL, step INTEGER NOT NULL, time REAL NOT NULL, histogram BLOB, sequences BLOB,
    PRIMARY KEY (run, step)
);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, entry TEXT NOT NULL, reason TEXT NOT NULL,
    head BLOB NOT NULL, time REAL NOT NULL
);
"""


class StoreError(RuntimeError):
    """The archive cannot be opened, read or written; the message says which and why."""


class Position(msgspec.Struct, frozen=True, order=True):
    """How far a stream is read: the two parts of the id of its last entry."""

    major: int = 0
    minor: int = 0

    @classmethod
    def of(cls, entry: bytes | str) -> "Position":
        """Read a stream id."""
        text = entry.decode("ascii") if isinstance(entry, bytes) else entry
        major, _, minor = text.partition("-")
        return cls(int(major), int(minor or 0))

    def __str__(self) -> str:
        return f"{self.major}-{self.minor}"


class DeadLetter(msgspec.Struct, frozen=True):
    """An entry that is not a record of ours: where it stood, why it was refused, how it began."""

    stream: str
    entry: str
    reason: str
    head: bytes
    time: float


@dataclass(frozen=True)
class Entry:
    """One entry of a stream: where it stands, and the record in it or why there is none."""

    position: Position
    content: Record | DeadLetter


class Store:
    """The archive in a file of `path`, or in memory for `Store(MEMORY)`. Safe to use from any thread."""

    def __init__(self, path: Path | str, clock: Callable[[], float] = time.time) -> None:
        self.path = str(path)
        self._clock = clock
        self._lock = threading.RLock()
        self._idle_readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self._known_metrics: dict[str, set[str]] = {}
        with _errors(f"archive {self.path} cannot be opened"):
            self._writer = self._connect()
            try:
                self._prepare()
            except BaseException:
                self._writer.close()
                raise
            self._recent_rows = dict(
                self._writer.execute("SELECT run, count(*) FROM recent GROUP BY run").fetchall()
            )

    def close(self) -> None:
        """Let go of the file; what was archived is on disk."""
        with self._lock:
            self._closed = True
            self._close_idle_readers()
            self._writer.close()

    # -- writing: the ingest thread alone ---------------------------------------------------------------------

    def archive(self, stream: str, entries: Sequence[Entry]) -> list[Entry]:
        """Archive a batch of one stream with its cursor; return what was new in it. StoreError: nothing happened."""
        now = self._clock()
        run, _ = split_stream_key(stream)
        with self._transaction(f"archive {self.path} cannot be written") as db:
            cursor = self._open_session(db, stream, run, now)
            fresh = [entry for entry in entries if entry.position > cursor]
            for entry in fresh:
                self._write(db, stream, run, entry.content)
            if fresh:
                db.execute(
                    "UPDATE sessions SET cursor = ?, heard_at = ? WHERE stream = ?",
                    (str(fresh[-1].position), now, stream),
                )
            if self._recent_rows.get(run, 0) >= FOLD_AT:
                self._fold(db, run)
        return fresh

    def _open_session(self, db: sqlite3.Connection, stream: str, run: str, now: float) -> Position:
        row = db.execute("SELECT cursor FROM sessions WHERE stream = ?", (stream,)).fetchone()
        if row is not None:
            return Position.of(row[0])
        project, name = split_run_id(run)
        db.execute(
            "INSERT OR IGNORE INTO runs (id, project, name, started_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            (run, project, name, now, now),
        )
        db.execute(
            "INSERT INTO sessions (stream, run, started_at, heard_at, cursor) VALUES (?, ?, ?, ?, ?)",
            (stream, run, now, now, str(Position())),
        )
        return Position()

    def _write(self, db: sqlite3.Connection, stream: str, run: str, content: Record | DeadLetter) -> None:
        match content:
            case StepRecord():
                self._write_step(db, run, content)
            case RunStart():
                self._write_start(db, stream, run, content)
            case RunEnd():
                db.execute(
                    "UPDATE sessions SET outcome = ? WHERE stream = ?", (content.outcome.value, stream)
                )
                db.execute(
                    "UPDATE runs SET updated_at = max(updated_at, ?) WHERE id = ?", (content.time, run)
                )
            case Heartbeat():
                pass
            case DeadLetter():
                letter = (content.stream, content.entry, content.reason, content.head, content.time)
                db.execute(
                    "INSERT INTO dead_letters (stream, entry, reason, head, time) VALUES (?, ?, ?, ?, ?)",
                    letter,
                )
                return
        if not isinstance(content, RunStart) and content.dropped:
            db.execute(
                "UPDATE sessions SET dropped = ? WHERE stream = ?", (json.dumps(content.dropped), stream)
            )

    def _write_start(self, db: sqlite3.Connection, stream: str, run: str, start: RunStart) -> None:
        others = db.execute("SELECT count(*) FROM sessions WHERE run = ?", (run,)).fetchone()[0] > 1
        db.execute(
            "UPDATE runs SET config = ?, environment = ?, updated_at = max(updated_at, ?), "
            "started_at = CASE WHEN ? THEN min(started_at, ?) ELSE ? END WHERE id = ?",
            (
                json.dumps(start.config), json.dumps(start.environment), start.time,
                others, start.time, start.time, run,
            ),
        )  # fmt: skip
        db.execute("UPDATE sessions SET started_at = ? WHERE stream = ?", (start.time, stream))

    def _write_step(self, db: sqlite3.Connection, run: str, record: StepRecord) -> None:
        db.execute(
            "INSERT INTO recent (run, step, time, metrics) VALUES (?, ?, ?, ?)",
            (run, record.step, record.time, msgspec.msgpack.encode(record.metrics)),
        )
        self._recent_rows[run] = self._recent_rows.get(run, 0) + 1
        db.execute(
            "UPDATE runs SET first_step = min(coalesce(first_step, ?1), ?1), last_step = max(coalesce(last_step, ?1), ?1), "
            "updated_at = ?2 WHERE id = ?3",
            (record.step, record.time, run),
        )
        if record.histogram is not None or record.sequences is not None:
            tables = (run, record.step, record.time, _pack(record.histogram), _pack(record.sequences))
            db.execute("INSERT OR REPLACE INTO step_tables VALUES (?, ?, ?, ?, ?)", tables)
        known = self._known_metrics.setdefault(run, set())
        for metric in record.metrics:  # in this order, which is the one that a run's metrics are listed in
            if metric not in known:
                db.execute("INSERT OR IGNORE INTO metrics (run, metric) VALUES (?, ?)", (run, metric))
                known.add(metric)

    def _fold(self, db: sqlite3.Connection, run: str) -> None:
        rows = db.execute("SELECT id, step, metrics FROM recent WHERE run = ? ORDER BY id", (run,)).fetchall()
        columns: dict[str, tuple[list[int], list[float]]] = {}
        for _, step, packed in rows:
            for metric, value in _metrics(packed).items():
                steps, values = columns.setdefault(metric, ([], []))
                steps.append(step)
                values.append(value)
        for metric, (steps, values) in columns.items():
            series = _latest(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
            db.execute(
                "INSERT INTO chunks (run, metric, first_step, last_step, steps, vals) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    run,
                    metric,
                    int(series.step[0]),
                    int(series.step[-1]),
                    _steps(series.step),
                    series.value.tobytes(),
                ),
            )
        db.execute("DELETE FROM recent WHERE run = ? AND id <= ?", (run, rows[-1][0]))
        self._recent_rows[run] = 0

    # -- reading: anyone -----------------------------------------------------------------------------------------

    def runs(self) -> list[RunSummary]:
        """Return all runs, the most recently updated first."""
        with self._read() as db:
            states = self._states(db)
            rows = db.execute(f"SELECT {_SUMMARY} FROM runs ORDER BY updated_at DESC, id").fetchall()
        return [_summary(row, states) for row in rows]

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""
        with self._read() as db:
            row = db.execute(
                f"SELECT {_SUMMARY}, config, environment FROM runs WHERE id = ?", (run,)
            ).fetchone()
            if row is None:
                return None
            states = self._states(db, run)
            metrics = db.execute("SELECT metric FROM metrics WHERE run = ? ORDER BY rowid", (run,)).fetchall()
            dropped = db.execute("SELECT dropped FROM sessions WHERE run = ?", (run,)).fetchall()
        counts: dict[str, int] = {}
        for (text,) in dropped:
            for reason, count in json.loads(text).items():
                counts[reason] = counts.get(reason, 0) + count
        names = tuple(metric for (metric,) in metrics)
        return RunDetail(_summary(row[:-2], states), names, json.loads(row[-2]), json.loads(row[-1]), counts)

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
    ) -> Mapping[str, Series]:
        """Return series as `Source.series` promises."""
        first = from_step if from_step is not None else 0
        last = to_step if to_step is not None else 2**62
        with self._read() as db:
            columns = {metric: _read_chunks(db, run, metric, first, last) for metric in metrics}
            rows = db.execute(
                "SELECT step, metrics FROM recent WHERE run = ? AND step BETWEEN ? AND ? ORDER BY id",
                (run, first, last),
            ).fetchall()
        recent = [(step, _metrics(packed)) for step, packed in rows]
        return {metric: _assemble(columns[metric], recent, metric, first, last, points) for metric in metrics}

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return what could not be read, the newest first."""
        with self._read() as db:
            rows = db.execute(
                "SELECT stream, entry, reason, head, time FROM dead_letters ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [DeadLetter(*row) for row in rows]

    def step_tables(self, run: str, step: int) -> tuple[Array | None, Array | None]:
        """Return histogram and per-sequence table of a step, None where it brought none."""
        with self._read() as db:
            query = "SELECT histogram, sequences FROM step_tables WHERE run = ? AND step = ?"
            row = db.execute(query, (run, step)).fetchone()
        return (None, None) if row is None else (_unpack(row[0]), _unpack(row[1]))

    def _states(self, db: sqlite3.Connection, run: str | None = None) -> dict[str, RunState]:
        where, values = ("WHERE run = ?", (run,)) if run else ("", ())
        query = f"SELECT run, outcome, heard_at FROM sessions {where} ORDER BY started_at"
        states: dict[str, RunState] = {}
        for one, outcome, heard_at in db.execute(query, values):
            state = self._state(outcome, heard_at)
            # the newest session speaks for the run, unless an older one is still at work
            if state is RunState.LIVE or states.get(one) is not RunState.LIVE:
                states[one] = state
        return states

    def _state(self, outcome: str | None, heard_at: float) -> RunState:
        if outcome is not None:
            return RunState(outcome)
        return RunState.LIVE if self._clock() - heard_at < SECONDS_UNTIL_STALLED else RunState.STALLED

    # -- connections ---------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    def _prepare(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version > SCHEMA:
            raise StoreError(
                f"archive {self.path} has schema {version}, this server knows up to {SCHEMA}: "
                "it was written by a newer Rolloutwatch. Install that version, or name another --data-dir."
            )
        if version == 0 and tables > 0:
            raise StoreError(
                f"archive {self.path} is a database of something else. Move it away, or name another --data-dir."
            )
        self._writer.execute("PRAGMA journal_mode = WAL")  # of the file, for every connection
        if version == 0:
            self._writer.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")

    @contextlib.contextmanager
    def _transaction(self, failure: str) -> Iterator[sqlite3.Connection]:
        with self._lock, _errors(failure):
            rows = dict(self._recent_rows)
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self._recent_rows = rows
                self._known_metrics.clear()
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if self.path == MEMORY:
            with self._lock:
                yield self._writer
            return
        with _errors(f"archive {self.path} cannot be read"):
            db = self._borrow_reader()
            try:
                # one moment for all that is read: a fold in between would show rows twice or not at all
                db.execute("BEGIN")
                yield db
                db.execute("COMMIT")
            except BaseException:
                db.close()
                raise
            self._give_back_reader(db)

    def _borrow_reader(self) -> sqlite3.Connection:
        """Return a connection for one reader at a time; there are as many as ever read at once, not one for each thread."""
        if self._closed:
            raise StoreError(f"archive {self.path} is closed.")
        try:
            return self._idle_readers.pop()
        except IndexError:
            return self._connect()

    def _give_back_reader(self, db: sqlite3.Connection) -> None:
        self._idle_readers.append(db)
        if self._closed:  # meanwhile
            self._close_idle_readers()

    def _close_idle_readers(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle_readers.pop().close()


_SUMMARY = "id, project, name, first_step, last_step, started_at, updated_at"
_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode


def _summary(row: Sequence[Any], states: Mapping[str, RunState]) -> RunSummary:
    run, project, name, first_step, last_step, started_at, updated_at = row
    state = states.get(run, RunState.STALLED)
    return RunSummary(run, project, name, state, first_step, last_step, started_at, updated_at)


def _read_chunks(db: sqlite3.Connection, run: str, metric: str, first: int, last: int) -> list[Series]:
    rows = db.execute(
        "SELECT first_step, steps, vals FROM chunks "
        "WHERE run = ? AND metric = ? AND last_step >= ? AND first_step <= ? ORDER BY id",
        (run, metric, first, last),
    )
    chunks = []
    for first_step, steps, values in rows:
        value = np.frombuffer(values, dtype="<f8")
        consecutive = steps is None
        step = (
            np.arange(first_step, first_step + len(value))
            if consecutive
            else np.frombuffer(steps, dtype="<i8")
        )
        chunks.append(Series(step, value))
    return chunks


def _assemble(
    chunks: list[Series],
    recent: Sequence[tuple[int, Mapping[str, float]]],
    metric: str,
    first: int,
    last: int,
    points: int | None,
) -> Series:
    rows = [(step, metrics[metric]) for step, metrics in recent if metric in metrics]
    tail = Series(
        np.array([step for step, _ in rows], dtype=np.int64),
        np.array([value for _, value in rows], dtype=np.float64),
    )
    steps = np.concatenate([*(chunk.step for chunk in chunks), tail.step])
    values = np.concatenate([*(chunk.value for chunk in chunks), tail.value])
    series = _latest(steps, values)
    begin, end = np.searchsorted(series.step, [first, last + 1])
    return thin(Series(series.step[begin:end], series.value[begin:end]), points)


def _latest(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Series:
    """Sort by step; of values that came for the same step the last one stays."""
    if len(steps) > 1 and not (np.diff(steps) > 0).all():
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
        last_of_step = np.append(np.diff(steps) > 0, True)
        steps, values = steps[last_of_step], values[last_of_step]
    return Series(steps, values)


def _steps(steps: npt.NDArray[np.int64]) -> bytes | None:
    """Return None for consecutive steps, which the first one and the number of values tell already."""
    consecutive = int(steps[-1] - steps[0]) == len(steps) - 1
    return None if consecutive else steps.astype("<i8", copy=False).tobytes()


def _pack(array: Array | None) -> bytes | None:
    return None if array is None else zstandard.compress(msgspec.msgpack.encode(array), 1)


def _unpack(packed: bytes | None) -> Array | None:
    return None if packed is None else msgspec.msgpack.decode(zstandard.decompress(packed), type=Array)


@contextlib.contextmanager
def _errors(failure: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{failure}: {error}") from error
