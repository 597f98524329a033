"""What people say of a run as a whole, its tags and whether it is put away, and how one sees that a run has changed."""

import json
import sqlite3
from collections.abc import Sequence


def write_labels(db: sqlite3.Connection, run: str, tags: Sequence[str] | None, archived: bool | None) -> bool:
    """Write what is not None; tell whether there is a run of that id."""
    values = (None if tags is None else json.dumps(tags), archived, run)
    query = "UPDATE runs SET tags = coalesce(?, tags), archived = coalesce(?, archived) WHERE id = ?"
    return db.execute(query, values).rowcount > 0


def read_versions(db: sqlite3.Connection) -> dict[str, str]:
    """Return a word for each run that stays as long as what was archived for it, and what its trainers have lost."""
    # a heartbeat tells of losses, and is nothing that is archived
    query = (
        "SELECT runs.id, changes, group_concat(nullif(dropped, '{}')) FROM runs "
        "LEFT JOIN sessions ON run = runs.id GROUP BY runs.id"
    )
    return {run: f"{changes} {lost or ''}" for run, changes, lost in db.execute(query)}
