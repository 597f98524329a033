"""Whether the file of an archive is sound, and what becomes of one that is not.

A small archive is read as a whole when it is opened, a large one soon after.
Once damage is seen, at the start or later, nothing is read from the archive and nothing is archived any more:
what a damaged file shows may be false, and what is written to it may be lost.
That it was seen stands in a file beside the archive, so that a server that is started anew knows it too.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

READ_WHEN_OPENED = (
    256 * 1024**2
)  # bytes; which takes a tenth of a second, and seconds from a disk that is slow
TABLES_OF_ANY = frozenset({"runs", "sessions", "recent", "chunks"})  # that an archive of any schema has

_OF_SESSIONS = (
    ("beginnings", "session"),
    ("contests", "session"),
    ("contests", "rival"),
    ("marks", "session"),
    ("step_tables", "session"),
)
_NO_TEXT = "Could not decode to UTF-8"  # which sqlite3 says without a code
_OF_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY = 0xFF  # the part of an error code that says what it is, without the details
_ENDS = ("", "-wal", "-shm", "-journal")


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that a file is not what was written to it.

    Text that is none, JSON and packed values that are none: nothing but the archive is decoded while it is read or written.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0)
        return code & _PRIMARY in _OF_DAMAGE or _NO_TEXT in str(error)
    return isinstance(error, UnicodeDecodeError | json.JSONDecodeError | msgspec.DecodeError)


def complaint_about(db: sqlite3.Connection, table: str | None = None) -> str | None:
    """Read a whole file, or one table of it; return the first thing that is wrong with it, None if nothing is.

    Every page is looked at, every index beside its table, and every value's kind.
    """
    try:
        (first,) = db.execute(f"PRAGMA integrity_check({table or 1})").fetchone()
        return strange_value(db, table) if first == "ok" else str(first).replace("\n", " ")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        return str(error)


def strange_value(db: sqlite3.Connection, table: str | None = None) -> str | None:
    """Return where a value is not of the kind its column is of, or of a session that is not there; None if none is."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [table] if table else [name for (name,) in db.execute(query).fetchall()]
    for name in names:
        if complaint := _strange_kind(db, name):
            return complaint
    return _strange_session(db, names)


def _strange_kind(db: sqlite3.Connection, table: str) -> str | None:
    """Look once over a table; of long values only their kind is read."""
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    kinds = {
        name: {kind.lower()} if not_null or key else {kind.lower(), "null"}
        for _, name, kind, not_null, _, key in columns
        if kind  # as SQLite's own tables have none
    }
    if not kinds:
        return None
    found = ", ".join(f"typeof({name})" for name in kinds)
    wrong = " OR ".join(
        f"typeof({name}) NOT IN ({', '.join(repr(one) for one in sorted(expected))})"
        for name, expected in kinds.items()
    )
    row = db.execute(f"SELECT {found} FROM {table} WHERE {wrong} LIMIT 1").fetchone()
    if row is None:
        return None
    name, kind = next(pair for pair in zip(kinds, row, strict=True) if pair[1] not in kinds[pair[0]])
    return f"{kind} value in {table}.{name}, expected {' or '.join(sorted(kinds[name]))}"


def _strange_session(db: sqlite3.Connection, names: Sequence[str]) -> str | None:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'deletions'").fetchone():
        return None  # of an older schema, that is about to be brought up to date
    for name, column in _OF_SESSIONS:
        query = (
            f"SELECT 1 FROM {name} WHERE {column} NOT IN (SELECT id FROM sessions) "
            f"AND {column} NOT IN (SELECT session FROM deletions) LIMIT 1"
        )
        if name in names and db.execute(query).fetchone():
            return f"{name}.{column} names a session that is not there"
    return None


def note_beside(archive: Path) -> Path:
    """Return the file that says that damage was seen in an archive."""
    return archive.with_name(archive.name + ".damaged")


def quarantine(archive: Path) -> Path:
    """Put a damaged archive aside, with all that belongs to it, under a name with the time; return that of its file."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = archive.with_name(f"{archive.stem}-damaged-{stamp}{archive.suffix}")
    for end in _ENDS[1:]:  # the archive itself last: killed in between, this begins again
        if (one := Path(f"{archive}{end}")).exists():
            one.replace(f"{aside}{end}")
    if archive.exists():
        archive.replace(aside)
    note_beside(archive).unlink(missing_ok=True)
    folder = os.open(archive.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return aside


def in_quarantine(archive: Path) -> list[Path]:
    """Return the damaged archives that were put aside beside this one, the oldest first."""
    return sorted(archive.parent.glob(f"{archive.stem}-damaged-*Z{archive.suffix}"))
