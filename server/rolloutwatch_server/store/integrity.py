"""Whether the file of an archive is sound, and what becomes of one that is not.

A small archive is read as a whole when it is opened, a large one soon after.
Once damage is seen, at the start or later, nothing is read from the archive and nothing is archived any more:
what a damaged file shows may be false, and what is written to it may be lost.
That it was seen stands in a file beside the archive, so that a server that is started anew knows it too.
"""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

READ_WHEN_OPENED = (
    256 * 1024**2
)  # bytes; which takes a tenth of a second, and seconds from a disk that is slow
TABLES_OF_ANY = frozenset({"runs", "sessions", "recent", "chunks"})  # that an archive of any schema has

_OF_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY = 0xFF  # the part of an error code that says what it is, without the details
_ENDS = ("", "-wal", "-shm", "-journal")


def is_damage(error: BaseException) -> bool:
    """Tell whether an error says that a file is not what was written to it."""
    return isinstance(error, sqlite3.Error) and (
        getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _OF_DAMAGE
    )


def complaint_about(db: sqlite3.Connection, table: str | None = None) -> str | None:
    """Read a whole file, or one table of it; return the first thing that is wrong with it, None if nothing is.

    Every page is looked at, and every index beside its table.
    """
    try:
        (first,) = db.execute(f"PRAGMA integrity_check({table or 1})").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return None if first == "ok" else str(first).replace("\n", " ")


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
