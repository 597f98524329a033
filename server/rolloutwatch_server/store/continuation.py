"""When a process that goes on has to be told apart from what it did before: it gets another session.

Two reasons there are. It goes back and does steps again: both attempts are kept, and the later one is shown.
Or it survives a later session that had taken the run over: what it brings now is the newest there is.
In either case the session that it goes on in is the last one, and all that is true of a resumed run is true of it.
"""

import sqlite3
from collections.abc import Collection, Sequence

from rolloutwatch_contract import MarkKind
from rolloutwatch_server.store.columns import read_parts, read_rows
from rolloutwatch_server.store.entries import Position

SECONDS_UNTIL_STALLED = 30.0  # a client without steps still sends a heartbeat every few seconds
SECONDS_WITHOUT_ANYBODY = 10.0  # after which it was the server that was away, or Redis
MOST_CONTINUATIONS = 100  # of one process; then it is taken as it comes

_OF_PROCESS = "(stream = ?1 OR (stream > ?1 || '+' AND stream < ?1 || ','))"  # "," is what follows "+"


class Watch:
    """Since when there has been anybody to hear: a session is silent only if others could have been heard."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")

    def heard(self, now: float) -> None:
        """Note that something came."""
        if now - self._last > SECONDS_WITHOUT_ANYBODY:
            self._since = now
        self._last = now

    def are_over(self, db: sqlite3.Connection, sessions: Sequence[int], now: float) -> bool:
        """Tell whether each of these sessions has ended, or could have been heard for long and was not."""
        silent = now - SECONDS_UNTIL_STALLED
        if self._since > silent:
            silent = float("-inf")
        marks = ", ".join("?" * len(sessions))
        query = f"SELECT count(*) FROM sessions WHERE id IN ({marks}) AND outcome IS NULL AND heard_at > ?"
        return int(db.execute(query, (*sessions, silent)).fetchone()[0]) == 0


def newest_session(db: sqlite3.Connection, first_stream: str) -> int | None:
    """Return the session that a process writes to, None if it has none yet."""
    query = f"SELECT id FROM sessions WHERE {_OF_PROCESS} ORDER BY id DESC LIMIT 1"
    row = db.execute(query, (first_stream,)).fetchone()
    return None if row is None else int(row[0])


def goes_back(db: sqlite3.Connection, run: str, session: int, metrics: Collection[str], step: int) -> bool:
    """Tell whether a session has had half of these metrics at this step already, and beyond.

    What is logged late was not there yet, and what comes twice at its last step is a better figure of it.
    """
    there = _of_session(db, run, session, metrics, step, step)
    return 2 * len(there) >= len(metrics) > 0 and 2 * len(
        _of_session(db, run, session, there, step + 1, 2**62)
    ) >= len(metrics)


def _of_session(
    db: sqlite3.Connection, run: str, session: int, metrics: Collection[str], first: int, last: int
) -> list[str]:
    """Return which of these metrics a session has from step `first` to step `last`."""
    rows = read_rows(db, run, first, last)
    found = {metric: read_parts(db, rows, run, metric, first, last).get(session) for metric in metrics}
    return [
        metric
        for metric, part in found.items()
        if part is not None and ((part.step >= first) & (part.step <= last)).any()
    ]


def was_sent_before(db: sqlite3.Connection, stream: str, session: int, position: Position) -> bool:
    """Tell whether a record stands in another stream of its process too, since numbers are those of the process."""
    query = "SELECT cursor FROM streams WHERE session = ? AND stream != ?"
    return any(position <= Position.of(cursor) for (cursor,) in db.execute(query, (session, stream)))


def open_continuation(
    db: sqlite3.Connection, first_stream: str, former: int, started_at: float, kind: MarkKind
) -> int | None:
    """Let a process go on in a new session, and all its streams with it; None if it has had too many."""
    query = f"SELECT count(*) FROM sessions WHERE {_OF_PROCESS}"
    number = db.execute(query, (first_stream,)).fetchone()[0]
    if number > MOST_CONTINUATIONS:
        return None
    # what it could not deliver is counted by the process, and so in one of its sessions
    added = db.execute(
        "INSERT INTO sessions (stream, run, started_at, declared_at, heard_at, mark, dropped, told, config, environment) "
        "SELECT ?1, run, ?2, ?2 - (started_at - declared_at), heard_at, ?3, dropped, told, config, environment "
        "FROM sessions WHERE id = ?4 RETURNING id",
        (f"{first_stream}+{number}", started_at, kind.value, former),
    )
    (session,) = added.fetchone()
    db.execute(
        "UPDATE sessions SET outcome = 'finished', dropped = '{}', told = '{}' WHERE id = ?", (former,)
    )
    db.execute("UPDATE streams SET session = ? WHERE session = ?", (session, former))
    return int(session)
