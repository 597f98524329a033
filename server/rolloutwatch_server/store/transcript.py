"""A run as it is kept, whole: its sessions, all that each of them brought, and what is known of the run itself.

It is what an archive file holds, and what a run is made of again.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from rolloutwatch_contract import Mark, StepRecord
from rolloutwatch_contract.record import MAX_METRICS
from rolloutwatch_server.store.attempts import COLUMNS as TABLES
from rolloutwatch_server.store.attempts import unpack_tables
from rolloutwatch_server.store.chunks import TIMES
from rolloutwatch_server.store.columns import read_parts, read_rows
from rolloutwatch_server.store.database import StoreError

STEPS_AT_ONCE = 4096
ROWS_AT_ONCE = 64

_CONTINUATION = re.compile(r"\+[1-9][0-9]{0,3}\Z")

Value = str | int | float | bool | None


class StreamFacts(msgspec.Struct, frozen=True):
    """A stream of a session: what it is called in its key, how far it was read, and up to where all of it is kept."""

    name: str
    cursor: str
    archived_to: int


class SessionFacts(msgspec.Struct, frozen=True):
    """What is known of a session beside its records; times are seconds since 1970."""

    name: str
    started_at: float
    heard_at: float
    declared_at: float | None = None
    outcome: str | None = None
    mark: str = "restart"
    dropped: dict[str, int] = {}
    config: dict[str, Value] = {}
    environment: dict[str, str] = {}
    latest_time: float | None = None
    latest_step: int | None = None
    streams: tuple[StreamFacts, ...] = ()


class Contest(msgspec.Struct, frozen=True):
    """Two sessions, by their place among the run's, that were seen to claim it at once."""

    session: int
    rival: int
    step: int
    time: float


class RunFacts(msgspec.Struct, frozen=True):
    """What is known of a run beside its sessions. `metrics` are in the order in which they are listed.

    Without `metrics` they are listed as they come, and the last step is found in what came.
    `tags` and `archived` are what people have said of it.
    """

    started_at: float
    updated_at: float
    first_step: int | None = None
    last_step: int | None = None
    config: dict[str, Value] = {}
    environment: dict[str, str] = {}
    metrics: tuple[str, ...] | None = None
    contests: tuple[Contest, ...] = ()
    tables_from: int | None = None
    tags: tuple[str, ...] = ()
    archived: bool = False


@dataclass(frozen=True)
class Kept:
    """A record of a session; it is `timed` if its time is when the figures of its step were made."""

    record: StepRecord | Mark
    timed: bool = True


@dataclass(frozen=True)
class SessionOf:
    """A session in the archive: under which number, and what is known of it."""

    number: int
    facts: SessionFacts


class Transcript:
    """A run of the archive, read through a connection that sees one moment of it."""

    def __init__(self, db: sqlite3.Connection, run: str) -> None:
        self._db = db
        self._run = run
        self.sessions = _sessions(db, run)

    def facts(self) -> RunFacts:
        """Return what is known of the run."""
        row = self._db.execute(
            "SELECT started_at, updated_at, first_step, last_step, config, environment, tables_from, tags, archived "
            "FROM runs WHERE id = ?",
            (self._run,),
        ).fetchone()
        if row is None:
            raise StoreError(f"run {self._run} is not in the archive any more.")
        started_at, updated_at, first_step, last_step, config, environment, tables_from, tags, archived = row
        query = "SELECT metric FROM beginnings WHERE run = ? GROUP BY metric ORDER BY min(id)"
        metrics = tuple(metric for (metric,) in self._db.execute(query, (self._run,)))
        return RunFacts(
            started_at, updated_at, first_step, last_step,
            json.loads(config), json.loads(environment), metrics, self._contests(), tables_from,
            tuple(json.loads(tags)), bool(archived),
        )  # fmt: skip

    def records(self, session: SessionOf) -> Iterator[Kept]:
        """Yield all that a session brought: marks, then steps in their order, what goes along with one before its figures."""
        yield from self._marks(session.number)
        for first, last in self._ranges(session.number):
            yield from self._steps(session.number, first, last)

    def digest(self) -> bytes:
        """Return a digest of what the run says: of its sessions and records, and not of when which clock struck."""
        digest = hashlib.blake2b()
        for session in self.sessions:
            facts = session.facts
            said = facts.name, facts.outcome, facts.mark, facts.dropped, facts.config, facts.environment
            digest.update(repr(said).encode())
            for kept in self.records(session):
                digest.update(msgspec.msgpack.encode((kept.record, kept.timed)))
        return digest.digest()

    def _contests(self) -> tuple[Contest, ...]:
        place = {session.number: at for at, session in enumerate(self.sessions)}
        query = "SELECT session, rival, step, time FROM contests WHERE run = ? ORDER BY time, session, rival"
        rows = self._db.execute(query, (self._run,))
        return tuple(Contest(place[one], place[rival], step, time) for one, rival, step, time in rows)

    def _marks(self, session: int) -> Iterator[Kept]:
        query = "SELECT id, step, time, kind, fields FROM marks WHERE run = ? AND session = ? AND id > ? ORDER BY id LIMIT ?"
        last = 0
        while rows := self._db.execute(query, (self._run, session, last, ROWS_AT_ONCE)).fetchall():
            for _, step, time, kind, fields in rows:
                yield Kept(Mark(step, time, kind, msgspec.msgpack.decode(fields)))
            last = rows[-1][0]

    def _ranges(self, session: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of steps that hold no more than so many, holes stepped over."""
        query = (
            "SELECT min(step) FROM ("
            "SELECT max(min(first_step), ?3) AS step FROM chunks WHERE run = ?1 AND session = ?2 AND last_step >= ?3 "
            "UNION ALL SELECT min(step) FROM recent WHERE run = ?1 AND session = ?2 AND step >= ?3 "
            "UNION ALL SELECT min(step) FROM step_tables WHERE run = ?1 AND session = ?2 AND step >= ?3)"
        )
        first = 0
        while (row := self._db.execute(query, (self._run, session, first)).fetchone())[0] is not None:
            begin = max(int(row[0]), first)
            yield begin, begin + STEPS_AT_ONCE - 1
            first = begin + STEPS_AT_ONCE

    def _steps(self, session: int, first: int, last: int) -> Iterator[Kept]:
        times, figures = self._figures(session, first, last)
        with_tables = dict(self._steps_with_tables(session, first, last))
        for step in sorted(times.keys() | figures.keys() | with_tables.keys()):
            if step in with_tables:
                yield self._tables(session, step, with_tables[step])
            metrics = figures.get(step, {})
            if step in times or metrics:
                time = times.get(step)
                for part in _parts(metrics):
                    yield Kept(StepRecord(step, 0.0 if time is None else time, part), timed=time is not None)

    def _figures(
        self, session: int, first: int, last: int
    ) -> tuple[dict[int, float], dict[int, dict[str, float]]]:
        rows = read_rows(self._db, self._run, first, last)
        figures: dict[int, dict[str, float]] = {}
        times: dict[int, float] = {}
        query = (
            "SELECT metric FROM beginnings WHERE run = ? AND session = ? AND first_step <= ? ORDER BY metric"
        )
        names = self._db.execute(query, (self._run, session, last)).fetchall()
        for metric in (TIMES, *(name for (name,) in names)):
            part = read_parts(self._db, rows, self._run, metric, first, last).get(session)
            if part is None:
                continue
            begin, end = np.searchsorted(part.step, [first, last + 1])
            for step, value in zip(
                part.step[begin:end].tolist(), part.value[begin:end].tolist(), strict=True
            ):
                if metric == TIMES:
                    times[step] = value
                else:
                    figures.setdefault(step, {})[metric] = value
        return times, figures

    def _steps_with_tables(self, session: int, first: int, last: int) -> Sequence[tuple[int, float]]:
        query = "SELECT step, time FROM step_tables WHERE run = ? AND session = ? AND step BETWEEN ? AND ?"
        return self._db.execute(query, (self._run, session, first, last)).fetchall()

    def _tables(self, session: int, step: int, time: float) -> Kept:
        query = f"SELECT {TABLES} FROM step_tables WHERE run = ? AND step = ? AND session = ?"
        tables = unpack_tables(self._db.execute(query, (self._run, step, session)).fetchone())
        return Kept(StepRecord(step, time, {}, **msgspec.structs.asdict(tables)), timed=False)


def base_of(name: str) -> str:
    """Return the name of the process of a session, which goes on in `<name>+1`, `<name>+2`, and so on."""
    return _CONTINUATION.sub("", name)


def _parts(metrics: dict[str, float]) -> Iterator[dict[str, float]]:
    """Yield figures of a step in parts that a record may have; a step without any in one part."""
    pairs = list(metrics.items())
    for at in range(0, max(len(pairs), 1), MAX_METRICS):
        yield dict(pairs[at : at + MAX_METRICS])


def _sessions(db: sqlite3.Connection, run: str) -> list[SessionOf]:
    rows = db.execute(
        "SELECT id, stream, started_at, heard_at, declared_at, outcome, mark, dropped, config, environment, "
        "latest_time, latest_step FROM sessions WHERE run = ? ORDER BY started_at, stream",
        (run,),
    )
    return [
        SessionOf(
            number,
            SessionFacts(
                stream.rpartition(":")[2], started_at, heard_at, declared_at, outcome, mark,
                json.loads(dropped), json.loads(config), json.loads(environment), latest_time, latest_step,
                _streams(db, number),
            ),
        )
        for number, stream, started_at, heard_at, declared_at, outcome, mark, dropped, config, environment,
            latest_time, latest_step in rows.fetchall()
    ]  # fmt: skip


def _streams(db: sqlite3.Connection, session: int) -> tuple[StreamFacts, ...]:
    query = "SELECT stream, cursor, archived_to FROM streams WHERE session = ? ORDER BY stream"
    rows = db.execute(query, (session,))
    return tuple(StreamFacts(stream.rpartition(":")[2], cursor, int(kept)) for stream, cursor, kept in rows)
