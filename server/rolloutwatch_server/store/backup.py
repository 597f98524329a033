"""A copy of the archive, of one moment of it, while a server goes on writing to it."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rolloutwatch_server.store.database import StoreError
from rolloutwatch_server.store.integrity import complaint_about
from rolloutwatch_server.store.schema import SCHEMA

PAGES_AT_ONCE = 256
ROOM_LEFT = 16 * 1024 * 1024  # bytes of the disk that a copy does not take

Tell = Callable[[int, int], None]  # pages copied, and pages in all


class Backup(msgspec.Struct, frozen=True):
    """A copy that was made and checked: where it is, its size in bytes, how many runs and steps' rows are in it."""

    path: Path
    bytes: int
    runs: int
    rows: int


def back_up(
    archive: Path, target: Path, *, replace: bool = False, tell: Tell = lambda done, all_: None
) -> Backup:
    """Copy an archive to `target`, which appears there whole and checked, or not at all.

    It is the archive of the moment in which this began. Whoever writes to the archive does not wait;
    its WAL grows meanwhile, by what is archived until the copy is made.
    StoreError says what is wrong: nothing there to copy, something there already that may not be replaced, no room,
    or a copy that is not sound.
    """
    _check_places(archive, target, replace)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _reported(f"backup of {archive} to {target} cannot be made"):
            counts = _copy(archive, unfinished, tell)
            _check_copy(unfinished, counts)
            shutil.copymode(archive, unfinished)
            _sync(unfinished)
            _check_places(archive, target, replace)
            size = unfinished.stat().st_size
            unfinished.replace(target)
            _sync(target.absolute().parent)
    finally:
        for one in (unfinished, *(Path(f"{unfinished}{end}") for end in ("-wal", "-shm", "-journal"))):
            one.unlink(missing_ok=True)
    return Backup(target, size, counts["runs"], sum(counts.values()))


def _check_places(archive: Path, target: Path, replace: bool) -> None:
    if not archive.is_file():
        raise StoreError(f"there is no archive {archive}: name the server's folder with --data-dir.")
    if target.is_dir():
        raise StoreError(f"{target} is a folder: name the file that the backup is to become.")
    if not target.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {target.absolute().parent}: make it, or name another file.")
    if target.exists() and target.samefile(archive):
        raise StoreError(f"{target} is the archive itself: name another file.")
    if target.exists() and not replace:
        raise StoreError(f"{target} is there already: name another file, or add --force to replace it.")


def _copy(archive: Path, target: Path, tell: Tell) -> dict[str, int]:
    """Copy the pages of one moment; return how many rows each table has in it."""
    with contextlib.closing(
        sqlite3.connect(f"{archive.absolute().as_uri()}?mode=rw", uri=True, timeout=10)
    ) as source:
        source.isolation_level = None
        # held until the end: without it every record that comes meanwhile would begin the copy anew
        source.execute("BEGIN")
        version = source.execute("PRAGMA user_version").fetchone()[0]
        if not 1 <= version <= SCHEMA:
            raise StoreError(
                f"{archive} has schema {version}, and is no archive of this or an older Rolloutwatch."
            )
        size = _pragma(source, "page_count") * _pragma(source, "page_size")
        room = shutil.disk_usage(target.absolute().parent).free - ROOM_LEFT
        if size > room:
            raise StoreError(
                f"a copy of {archive} takes {size:,} bytes, and {target.absolute().parent} has {max(0, room):,} left: "
                "name a file on another disk."
            )
        counts = _counts(source)
        with contextlib.closing(sqlite3.connect(target)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole before it gets its name
            source.backup(
                copy, pages=PAGES_AT_ONCE, progress=lambda _, left, pages: tell(pages - left, pages)
            )
    return counts


def _check_copy(path: Path, expected: dict[str, int]) -> None:
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as db:
        wrong = complaint_about(db)
        if wrong is None and (found := _counts(db)) != expected:
            wrong = f"it has other numbers of rows than the archive: {found} instead of {expected}"
    if wrong is not None:
        raise StoreError(
            f"the copy is not sound, and so neither may the archive be: {wrong}. An older backup is to be kept."
        )


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _reported(failure: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{failure}: {error}.") from error
