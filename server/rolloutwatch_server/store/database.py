"""One SQLite file: its tables, one connection that writes and as many that read as ever read at once."""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from rolloutwatch_server.store.schema import MIGRATIONS, SCHEMA, TABLES

MEMORY = ":memory:"


class StoreError(RuntimeError):
    """The archive cannot be opened, read or written; the message says which and why."""


class DamagedArchive(StoreError):
    """What the archive holds is not what was written to it."""


class Database:
    """The file of `path`, or memory for MEMORY, with its tables. Safe to use from any thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._lock = threading.RLock()
        self._idle_readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        with _errors(f"archive {self.path} cannot be opened"):
            self._writer = self._connect()
            try:
                self._prepare()
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Let go of the file; what was archived is on disk."""
        with self._lock:
            self._closed = True
            self._close_idle_readers()
            self._writer.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Hold the writing connection for one transaction, which an exception undoes; StoreError: nothing happened."""
        with self._lock, _errors(f"archive {self.path} cannot be written"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Hold a reading connection that sees one moment of the archive."""
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

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        # a commit is on the disk, not only in the kernel: Redis lets go of what was committed
        db.execute("PRAGMA synchronous = FULL")
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
            self._make(TABLES)
        elif version < SCHEMA:
            self._make("".join(MIGRATIONS[version] for version in range(version, SCHEMA)))

    def _make(self, tables: str) -> None:
        self._writer.executescript(f"BEGIN; {tables} PRAGMA user_version = {SCHEMA}; COMMIT;")

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


@contextlib.contextmanager
def _errors(failure: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{failure}: {error}") from error
    except DamagedArchive as error:
        raise DamagedArchive(f"{failure}: {error}") from error
