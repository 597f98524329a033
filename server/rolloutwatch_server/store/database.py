"""One SQLite file: its tables, one connection that writes and as many that read as ever read at once."""

import contextlib
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import msgspec

from rolloutwatch_server.store.integrity import (
    READ_WHEN_OPENED,
    TABLES_OF_ANY,
    complaint_about,
    is_damage,
    note_beside,
    strange_value,
)
from rolloutwatch_server.store.schema import MIGRATIONS, SCHEMA, TABLES

ARCHIVE = "archive.db"  # in the data dir
MEMORY = ":memory:"
INCREMENTAL = 2  # of PRAGMA auto_vacuum
FREE_PAGES_KEPT = 1024  # 4 MB, which the next records take
PAGES_OF_A_BITE = 256
LARGEST_IDLE_WAL = (
    64 * 1024 * 1024
)  # bytes; a backup, or a long reader, lets it grow, and it is cut down after
FIRST_BYTES = b"SQLite format 3\0"
LETTERS_OF_A_COMPLAINT = 500
CURE_OF_DAMAGE = (
    "Nothing of it is shown and nothing archived, and records wait in Redis. Stop the server; then put a backup into an "
    "empty folder as archive.db and name that with --data-dir, or start it with --quarantine, which puts the damaged "
    "archive aside and begins a new one."
)

log = logging.getLogger(__name__)


class StoreError(RuntimeError):
    """The archive cannot be opened, read or written; the message says which and why."""


class DamagedArchive(StoreError):
    """What the archive holds is not what was written to it: nothing is read from it any more, and nothing written."""


class Database:
    """The file of `path`, or memory for MEMORY, with its tables. Safe to use from any thread.

    A file of up to `read_up_to` bytes is read as a whole when it is opened.
    With `reading` nothing is made, brought up to date or written, and a server may be at work on the file meanwhile.
    """

    def __init__(
        self, path: Path | str, *, reading: bool = False, read_up_to: int = READ_WHEN_OPENED
    ) -> None:
        self.path = str(path)
        self._reading = reading
        self._read_up_to = read_up_to
        self._lock = threading.RLock()
        self._idle_readers: deque[sqlite3.Connection] = deque()
        self._closed = False
        self.damage = ""  # what was seen, once any was
        self.is_read = True  # as a whole, and found sound
        with self._reporting("opened"):
            self._refuse_a_known_one()
            self._writer = self._connect()
            try:
                self._check() if reading else self._prepare()
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
        with self._lock, self._reporting("written"):
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
        with self._reporting("read"):
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

    def shrink(self) -> bool:
        """Give some free pages back to the disk, but for those soon needed again; tell whether there are more.

        An archive that was made by an older server keeps them, and uses them again.
        """
        with self._lock, self._reporting("written"):
            if self._writer.execute("PRAGMA auto_vacuum").fetchone() != (INCREMENTAL,):
                return False
            free = int(self._writer.execute("PRAGMA freelist_count").fetchone()[0]) - FREE_PAGES_KEPT
            if free > 0:
                # a script, because a statement would be let go of after the first page
                self._writer.executescript(f"PRAGMA incremental_vacuum({min(free, PAGES_OF_A_BITE)})")
        return free > PAGES_OF_A_BITE

    def size(self, db: sqlite3.Connection) -> tuple[int, int]:
        """Return how many bytes of the file hold something, and how many are free."""
        pages, free, size = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size, free * size

    def read_as_a_whole(self) -> None:
        """Look at every page, a table at a time; DamagedArchive if something is wrong."""
        with self.read() as db:
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            with self.read() as db:
                self._refuse(complaint_about(db, name))
        self.is_read = True

    def _connect(self) -> sqlite3.Connection:
        if self._reading:
            return self._connect_to_read()
        db = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        # a commit is on the disk, not only in the kernel: Redis lets go of what was committed
        db.execute("PRAGMA synchronous = FULL")
        return db

    def _connect_to_read(self) -> sqlite3.Connection:
        file = Path(self.path).absolute()
        if not file.is_file():
            raise StoreError(f"there is no archive {self.path}: name the folder of one with --data-dir.")
        uri = f"file:{quote(str(file))}?mode=ro"
        return sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)

    def _check(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA:
            raise StoreError(
                f"archive {self.path} has schema {version}, what reads it here knows {SCHEMA}. "
                "A server of this version brings an older one up to date when it starts: rolloutwatch serve."
            )

    def _prepare(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in self._writer.execute("SELECT name FROM sqlite_master")}
        if version > SCHEMA:
            raise StoreError(
                f"archive {self.path} has schema {version}, this server knows up to {SCHEMA}: "
                "it was written by a newer Rolloutwatch. Install that version, or name another --data-dir."
            )
        if tables and (version == 0 or not tables >= TABLES_OF_ANY):
            raise StoreError(
                f"archive {self.path} is a database of something else. Move it away, or name another --data-dir."
            )
        if version > 0 and not tables:
            self._refuse(f"it has schema {version}, and no tables")
        if version == 0:
            self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only what is empty can still become so
        self._writer.execute("BEGIN IMMEDIATE")  # which a file that is read-only refuses
        self._writer.execute("ROLLBACK")
        if self._size() <= self._read_up_to:
            self._refuse(complaint_about(self._writer))
        else:
            self.is_read = False
        self._writer.execute("PRAGMA journal_mode = WAL")  # of the file, for every connection
        self._writer.execute(f"PRAGMA journal_size_limit = {LARGEST_IDLE_WAL}")
        if version == 0:
            self._make(TABLES)
        elif version < SCHEMA:
            self._make("".join(MIGRATIONS[version] for version in range(version, SCHEMA)))

    def _size(self) -> int:
        return 0 if self.path == MEMORY else Path(self.path).stat().st_size

    def _refuse_a_known_one(self) -> None:
        """Refuse a file in which damage was seen before; DamagedArchive."""
        note = note_beside(Path(self.path))
        if self.path != MEMORY and note.exists():
            self._damaged(f"{note.read_text(errors='replace').strip()} (so says {note})")

    def _refuse(self, complaint: str | None) -> None:
        if complaint is not None:
            self._damaged(complaint)

    def _damaged(self, complaint: str) -> NoReturn:
        """Read and write nothing any more, and see to it that the next server does not either; DamagedArchive."""
        if not self.damage:
            complaint = complaint[:LETTERS_OF_A_COMPLAINT].rstrip(".")
            self.damage = f"archive {self.path} is damaged: {complaint}. {CURE_OF_DAMAGE}"
            log.error("%s", self.damage)
            if self.path != MEMORY and not self._reading:
                with contextlib.suppress(
                    OSError
                ):  # a disk that takes nothing: the next server looks for itself
                    note_beside(Path(self.path)).write_text(complaint + "\n")
        raise DamagedArchive(self.damage)

    @contextlib.contextmanager
    def _reporting(self, failure: str) -> Iterator[None]:
        """Let an error be a StoreError that says what failed: to be opened, read, written."""
        if self.damage:
            raise DamagedArchive(self.damage)
        try:
            yield
        except DamagedArchive as error:
            if self.damage:
                raise
            self._damaged(str(error))
        except OSError as error:
            raise StoreError(f"archive {self.path} cannot be {failure}: {error}") from error
        except sqlite3.Error as error:
            if failure == "written":
                self._empty_the_wal()
            if is_damage(error) and not self._is_of_something_else(failure):
                self._damaged(str(error))
            raise StoreError(f"archive {self.path} cannot be {failure}: {error}") from error
        except (ValueError, TypeError, LookupError, AttributeError, msgspec.MsgspecError) as error:
            complaint = str(error) if is_damage(error) else self._strange_value()
            if complaint is None:
                raise  # a mistake of ours, and no fault of the file
            self._damaged(complaint)

    def _strange_value(self) -> str | None:
        """Return what is of another kind in the archive than it is written as, which what reads it stumbles over."""
        with self._lock:
            try:
                return strange_value(self._writer)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                return str(error) if is_damage(error) else None

    def _empty_the_wal(self) -> None:
        """Move what was committed into the file, as far as nobody reads it where it is.

        On a disk that is full the WAL cannot grow, and what it holds is the only room there is: for a deletion too.
        """
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _is_of_something_else(self, failure: str) -> bool:
        """Tell whether a file that cannot be opened does not even begin as an archive does."""
        if failure != "opened":
            return False
        with Path(self.path).open("rb") as file:
            return file.read(len(FIRST_BYTES)) != FIRST_BYTES

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
