"""What happened beside the figures: what trainers marked, and what follows from their sessions."""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from rolloutwatch_contract import Mark, MarkKind
from rolloutwatch_contract.protocol import MarkView, SessionView
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.store.config_changes import changes
from rolloutwatch_server.store.deletion import dead_sessions
from rolloutwatch_server.store.lineage import Lineage

MOST_KINDS = 100  # of one run; each is a question to the archive

_unpack_fields = msgspec.msgpack.Decoder(dict[str, str | int | float | bool | None]).decode
_SELECT = "SELECT id, session, step, time, kind, fields FROM marks"

Row = tuple[int, int, int, float, str, bytes]  # as _SELECT has it


def write_mark(db: sqlite3.Connection, run: str, session: int, mark: Mark) -> bool:
    """Keep what a trainer marked; tell whether it was new, which one that is sent again in another stream is not."""
    added = db.execute(
        "INSERT INTO marks (run, session, step, time, kind, fields) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS "
        "(SELECT 1 FROM marks WHERE run = ?1 AND kind = ?5 AND step = ?3 AND session = ?2 AND time = ?4 AND fields = ?6)",
        (run, session, mark.step, mark.time, mark.kind, msgspec.msgpack.encode(mark.fields)),
    )
    return added.rowcount > 0


def configured(db: sqlite3.Connection, run: str) -> list[int]:
    """Return the steps behind those at which a trainer marked that it is configured otherwise, ascending."""
    rows = read_marks(db, Lineage.read(db, run), run, 0, MAX_STEP, None, kind=MarkKind.CONFIG.value)
    return sorted({step + 1 for _, _, step, *_ in rows})


def read_marks(
    db: sqlite3.Connection,
    lineage: Lineage,
    run: str,
    first: int,
    last: int,
    most: int | None,
    *,
    kind: str | None = None,
) -> list[Row]:
    """Return what trainers marked, without what was given up; of each kind, or of one, about `most`, spread over the steps."""
    given_up = [(session, end) for session in lineage.order if (end := lineage.end_of_marks(session)) < 2**62]
    given_up += [(session, 0) for session in dead_sessions(db, run)]
    where = "run = ? AND kind = ? AND step BETWEEN ? AND ?" + " AND NOT (session = ? AND step >= ?)" * len(
        given_up
    )
    hidden = [value for pair in given_up for value in pair]
    marks = _Marks(db, f"{_SELECT} WHERE {where} ORDER BY step, id LIMIT ?", hidden)
    kinds = _kinds(db, run) if kind is None else [kind]
    return [row for one in kinds for row in marks.of(run, one, first, last, most)]


class _Marks:
    """One question, with what it hides."""

    def __init__(self, db: sqlite3.Connection, query: str, hidden: Sequence[float]) -> None:
        self._db = db
        self._query = query
        self._hidden = hidden

    def of(self, run: str, kind: str, first: int, last: int, most: int | None) -> list[Row]:
        rows = self._ask(run, kind, first, last, -1 if most is None else most + 1)
        if most is None or len(rows) <= most:
            return rows
        end = self._db.execute("SELECT max(step) FROM marks WHERE run = ? AND kind = ?", (run, kind))
        edges = np.linspace(rows[0][2], min(last, end.fetchone()[0]) + 1, most + 1).astype(np.int64).tolist()
        found = (self._ask(run, kind, edge, after - 1, 1) for edge, after in itertools.pairwise(edges))
        return [row for rows in found for row in rows]

    def _ask(self, run: str, kind: str, first: int, last: int, limit: int) -> list[Row]:
        return self._db.execute(self._query, (run, kind, first, last, *self._hidden, limit)).fetchall()


def views(rows: Sequence[Row], sessions: dict[int, SessionView]) -> Iterator[MarkView]:
    """Yield marks as others see them."""
    for _, session, step, time, kind, fields in rows:
        yield MarkView(step, time, kind, _unpack_fields(fields), sessions[session].id)


def restarts(
    db: sqlite3.Connection, run: str, lineage: Lineage, sessions: dict[int, SessionView]
) -> Iterator[MarkView]:
    """Yield a mark where each session began that goes on from a former one, of the kind that says why.

    Another one follows if the session's configuration is not that of the one before.
    """
    kinds = dict(db.execute("SELECT id, mark FROM sessions WHERE run = ?", (run,)).fetchall())
    for session, step in lineage.restarts().items():
        one = sessions[session]
        yield MarkView(step, one.started_at, kinds[session], _about(one), one.id, found=True)
        former = lineage.predecessor(session)
        changed = {} if former is None else changes(sessions[former].config, one.config)
        if changed:
            yield MarkView(step, one.started_at, MarkKind.CONFIG.value, changed, one.id, found=True)


def contests(db: sqlite3.Connection, run: str, sessions: dict[int, SessionView]) -> Iterator[MarkView]:
    """Yield a mark where it was seen that two trainers write to a run at once."""
    places = {session: place for place, session in enumerate(sessions)}
    query = "SELECT time, session, rival, step FROM contests WHERE run = ?"
    seen = sorted(db.execute(query, (run,)), key=lambda row: (row[0], places[row[1]], places[row[2]]))
    for time, former, later, step in seen:
        one, rival = sessions[former], sessions[later]
        fields = _about(rival) | {f"other_{name}": value for name, value in _about(one).items()}
        yield MarkView(step, time, MarkKind.CONTESTED.value, fields, rival.id, found=True)


def _about(session: SessionView) -> dict[str, str | int | float | bool | None]:
    known = {name: text for name, text in session.environment.items() if name in ("host", "pid")}
    return {**known} if known else {"session": session.id}


def _kinds(db: sqlite3.Connection, run: str) -> Iterator[str]:
    """Yield the kinds of a run's marks, by leaps through the index, not by reading all of it."""
    kind = ""
    for _ in range(MOST_KINDS):
        query = "SELECT kind FROM marks WHERE run = ? AND kind > ? ORDER BY kind LIMIT 1"
        row = db.execute(query, (run, kind)).fetchone()
        if row is None:
            return
        kind = row[0]
        yield kind
