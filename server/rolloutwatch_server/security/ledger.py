"""Sessions and login links, in a private file of their own beside the archive.

Of the random secrets only digests are kept: who reads the file cannot log in by it.
It is not in the archive, so that a backup of the archive lets nobody in.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rolloutwatch_server.security.roles import Role
from rolloutwatch_server.security.secret import OTHERS, AccessError, Secret, digest, new_secret

FILE = "access.db"
VERSION = 1
SECONDS_TO_WAIT_FOR_OTHERS = 5.0
_TABLES = """
CREATE TABLE IF NOT EXISTS about (instance TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, role INTEGER NOT NULL, proof TEXT NOT NULL, expires REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (id BLOB PRIMARY KEY, role INTEGER NOT NULL, expires REAL NOT NULL) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Session:
    """Who has logged in, until when (seconds since 1970), and what showed it: the session lasts no longer than that."""

    name: str
    role: Role
    proof: str
    expires: float


class Ledger:
    """The file; may be open in several processes and used by several threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        try:
            _make_private(path)
            self._reader, self._writer = (self._connect() for _ in range(2))
            with self._writing() as connection:
                self.instance = _prepare(connection)
        except (OSError, sqlite3.Error) as error:
            raise AccessError(
                f"{path} cannot be used: {error}. Without it everybody logs in anew: move it away if it is broken."
            ) from None

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()
        with self._lock:
            self._writer.close()

    def begin(self, name: str, role: Role, proof: str, seconds: float) -> Secret:
        """Return the secret of a new session."""
        secret = new_secret()
        now = self._clock()
        with self._writing() as connection:
            for table in ("sessions", "links"):
                connection.execute(f"DELETE FROM {table} WHERE expires <= ?", (now,))
            row = (digest(secret), name, int(role), proof, now + seconds)
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", row)
        return Secret(secret)

    def session(self, secret: str) -> Session | None:
        """Return a session that has not expired; for the event loop, which waits for nobody who writes."""
        found = self._reader.execute(
            "SELECT name, role, proof, expires FROM sessions WHERE id = ?", (digest(secret),)
        ).fetchone()
        if found is None or found[3] <= self._clock():
            return None
        return Session(found[0], Role(found[1]), found[2], found[3])

    def end(self, secret: str) -> None:
        """End a session."""
        with self._writing() as connection:
            connection.execute("DELETE FROM sessions WHERE id = ?", (digest(secret),))

    def end_all(self, name: str | None = None) -> int:
        """End the sessions of a name, or all of them and the links with them; returns how many sessions."""
        with self._writing() as connection:
            if name is not None:
                return connection.execute("DELETE FROM sessions WHERE name = ?", (name,)).rowcount
            connection.execute("DELETE FROM links")
            return connection.execute("DELETE FROM sessions").rowcount

    def new_link(self, role: Role, seconds: float) -> Secret:
        """Return the secret of a new link, which lets one browser in, once."""
        secret = new_secret()
        with self._writing() as connection:
            row = (digest(secret), int(role), self._clock() + seconds)
            connection.execute("INSERT INTO links VALUES (?, ?, ?)", row)
        return Secret(secret)

    def link(self, secret: str) -> Role | None:
        """Return what a link gives, without using it up; None if it is used, expired, or none."""
        row = self._reader.execute(
            "SELECT role, expires FROM links WHERE id = ?", (digest(secret),)
        ).fetchone()
        return self._valid(row)

    def use_link(self, secret: str) -> Role | None:
        """Use a link up; None if it is used, expired, or none. Of several who try at once, one succeeds."""
        with self._writing() as connection:
            row = connection.execute(
                "DELETE FROM links WHERE id = ? RETURNING role, expires", (digest(secret),)
            ).fetchone()
        return self._valid(row)

    def _valid(self, row: tuple[int, float] | None) -> Role | None:
        return None if row is None or row[1] <= self._clock() else Role(row[0])

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, timeout=SECONDS_TO_WAIT_FOR_OTHERS
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # a logout that the power takes back would let somebody in again
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")


def _make_private(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(descriptor).st_mode & OTHERS:
            raise AccessError(f"{path} can be read by others: expected mode 0600. Run: chmod 600 {path}")
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection) -> str:
    """Make the tables if there are none; return a name that this file alone has."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"it has version {version}, expected {VERSION}")
    for statement in filter(str.strip, _TABLES.split(";")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    if connection.execute("SELECT count(*) FROM about").fetchone()[0] == 0:
        connection.execute("INSERT INTO about VALUES (?)", (secrets.token_hex(4),))
    return str(connection.execute("SELECT instance FROM about").fetchone()[0])
