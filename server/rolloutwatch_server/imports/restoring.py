"""From an archive file into the archive."""

from pathlib import Path

import msgspec

from rolloutwatch_contract.keys import run_id, split_run_id
from rolloutwatch_server.imports.archive_file import ArchiveFile
from rolloutwatch_server.imports.files import Input, Progress, no_progress
from rolloutwatch_server.store import Store


class Restored(msgspec.Struct, frozen=True):
    """A run that was read: whether it is new to the archive, or stood in it already, and how much it is."""

    run: str
    new: bool
    sessions: int
    records: int


def restore(
    store: Store,
    path: Path,
    *,
    project: str | None = None,
    run: str | None = None,
    progress: Progress = no_progress,
    called: str | None = None,
) -> Restored:
    """Bring the run of an archive file into the archive, under another project or name if one is given.

    CannotImport if the file is none, Conflict if the archive has another run of that id; nothing has happened then.
    """
    with Input(path, progress, called=called) as file, store.restoration() as restoration:
        archived = ArchiveFile(file)
        own_project, own_run = split_run_id(archived.head.run)
        target = run_id(project or own_project, run or own_run)
        facts = archived.restore(restoration)
        return Restored(target, restoration.commit(target, facts), archived.sessions, archived.records)
