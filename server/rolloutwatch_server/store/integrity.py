"""Whether the file of an archive is sound."""

import sqlite3


def complaint_about(db: sqlite3.Connection) -> str | None:
    """Read the whole file; return the first thing that is wrong with it, None if nothing is.

    Every page is looked at, and every index beside its table.
    """
    try:
        (first,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if first == "ok" else str(first).replace("\n", " ")
