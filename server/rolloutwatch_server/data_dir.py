"""The data dir as commands beside `serve` find it: whose it is, and where its server is."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import ARCHIVE

ANNOUNCEMENT = "server.json"
LOCK = "lock"
IMPORT = ".import-"  # what the names of archive files begin with that are on their way in

_SETTING = next(setting for setting in SETTINGS if setting.name == "data_dir")


class NoDataDir(RuntimeError):
    """A data dir cannot be used; the message says why, and what to do."""


def named(option: str | None) -> Path:
    """Return the data dir that an option names, or else the environment, or else the default."""
    text = option or os.environ.get(_SETTING.variable)
    return Path(text) if text else Path(_SETTING.default)


def archive_of(data_dir: Path) -> Path:
    """Return the file of the archive; NoDataDir if there is none."""
    path = data_dir / ARCHIVE
    if not path.is_file():
        raise NoDataDir(
            f"--data-dir {data_dir} has no {ARCHIVE}: name the folder that the server was started with."
        )
    return path


def make_private(data_dir: Path) -> None:
    """Make a data dir that only its owner can enter, if there is none; one that is there keeps its mode."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    data_dir.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def owned(data_dir: Path) -> Iterator[bool]:
    """Hold the data dir so that no server starts on it; yields False if somebody else holds it."""
    try:
        make_private(data_dir)
        lock = (data_dir / LOCK).open("a+")
    except OSError as error:
        raise NoDataDir(
            f"--data-dir {data_dir} cannot be used: {error}. Name a folder you may write to."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield True


def holder_of(data_dir: Path) -> str:
    """Return the id of the process that holds a data dir, "" if it has not said."""
    return (data_dir / LOCK).read_text().strip()


def server_of(data_dir: Path) -> str:
    """Return where programs on this host find the server that holds a data dir; NoDataDir if it has not said."""
    try:
        told = json.loads((data_dir / ANNOUNCEMENT).read_text())
        return str(told["local_url"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise NoDataDir(
            f"--data-dir {data_dir} is in use by a process that is no server that is ready: "
            "wait until it has ended or has started, and try again."
        ) from error


def clear(data_dir: Path) -> None:
    """Take away what killed imports left; for whoever holds the data dir, and has begun none yet."""
    for path in data_dir.glob(f"{IMPORT}*"):
        with contextlib.suppress(OSError):
            path.unlink()
