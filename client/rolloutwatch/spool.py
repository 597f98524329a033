"""Records on disk, from when they are made until the server has archived them.

    <root>/sessions/<session>/lock             held while a process owns the session
    <root>/sessions/<session>/<number>.seg     records from that number on, see segments.py
    <root>/quarantine/                         damaged files, the newest ones

Redis may be away for a night, or lose what it held; the trainer may be killed.
What is in the operating system's hands survives that, and is delivered by whichever process comes next.
"""

import contextlib
import hashlib
import logging
import math
import os
import shutil
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from rolloutwatch.segments import FRAME, HEAD, PART, Contents, pack, unpack
from rolloutwatch.sink import Frame

try:
    import fcntl
except ImportError:  # on Windows, where records wait in memory alone
    _locks = None
else:
    _locks = fcntl

log = logging.getLogger("rolloutwatch")

_spools: "weakref.WeakSet[Spool]" = weakref.WeakSet()

DIR_VARIABLE = "ROLLOUTWATCH_SPOOL_DIR"
LIMIT_VARIABLE = "ROLLOUTWATCH_SPOOL_LIMIT"
DEFAULT_LIMIT = 1024**3
OFF = "off"
LOCK = "lock"
MAKING = ".making"
_FILES = "[0-9]" * 16 + ".seg"
SEGMENT_BYTES = 4 * 1024 * 1024
KEPT_IN_QUARANTINE = 16
SECONDS_TO_MAKE_A_FOLDER = 3600.0
SECONDS_TO_READ = 60.0
BYTES_OF_A_HEAD = 1024 * 1024
_FULLY_ARCHIVED_AND_WORTH_FREEING = 256 * 1024


class Head(msgspec.Struct, frozen=True):
    """Whose records a file has: what it takes to deliver them without the process that made them."""

    run: str
    session: str
    transport: str
    start: bytes = b""  # the record that every stream begins with


@dataclass
class Segment:
    """One file: the numbers it has, from `first` to `last`, and its size."""

    path: Path
    first: int
    last: int
    size: int


def root_of(named: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the folder for spools: the one that is named, here or in the environment, else the user's own.

    None if there is to be none, or the user has no home.
    """
    chosen = os.fsdecode(named) if named is not None else os.environ.get(DIR_VARIABLE, "")
    if "\0" in chosen:
        raise ValueError(f"spool_dir is {chosen!r}: expected a folder, and a name has no NUL.")
    if chosen:
        # the trainer may go to another folder
        return None if chosen.lower() == OFF else Path(chosen).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "rolloutwatch" / "spool"
    except RuntimeError:
        return None


def is_off(named: str | os.PathLike[str] | None = None) -> bool:
    """Tell whether spools are switched off, here or in the environment."""
    return (os.fsdecode(named) if named is not None else os.environ.get(DIR_VARIABLE, "")).lower() == OFF


def limit_of(named: int | None = None) -> int:
    """Return how many bytes may stand in a folder for spools; ValueError if what is named is no such number."""
    text = os.environ.get(LIMIT_VARIABLE) if named is None else named
    try:
        limit = DEFAULT_LIMIT if text in (None, "") else int(text)
    except (TypeError, ValueError):
        limit = 0
    if limit <= 0:
        where = LIMIT_VARIABLE if named is None else "spool_limit"
        raise ValueError(f"{where} is {text!r}: expected a number of bytes, such as {DEFAULT_LIMIT}.")
    return limit


def transport_of(url: str) -> str:
    """Return what tells one Redis from another, and says nothing of passwords; "" for what is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    hosts = sorted(map(_host, parts.netloc.rpartition("@")[2].lower().split(",")))
    path = f"/{parts.path.strip('/')}".removesuffix("/0")  # the database that is meant without a number
    where = f"{parts.scheme}://{','.join(hosts)}{path.rstrip('/')}"
    return hashlib.blake2b(where.encode(), digest_size=8).hexdigest()


def _host(named: str) -> str:
    """Return host and port of what may be named in more than one way."""
    host, colon, port = named.rpartition(":")
    if not colon or "]" in port:
        host, port = named, "6379"
    return f"{'127.0.0.1' if host in ('localhost', '[::1]') else host}:{port}"


class Spool:
    """The files of one session. Nothing touches the disk before the first record.

    Every method may raise OSError, after which what was written before is as it was.
    One thread appends; others may read and free, one at a time.
    """

    def __init__(self, root: Path, head: Head, limit_bytes: int = DEFAULT_LIMIT) -> None:
        self.root = root
        self.head = head
        self.limit_bytes = limit_bytes
        self.folder = root / "sessions" / head.session
        self.segments: list[Segment] = []
        self.segment_bytes = max(min(SEGMENT_BYTES, limit_bytes // 8), 4096)
        self._part = 0
        self._lock = -1
        self._file = -1
        self._unsynced = False
        self._damaged: set[Path] = set()
        self._given_up: set[Path] = set()
        self._unreadable_since = math.inf
        _spools.add(self)

    @classmethod
    def adopt(cls, folder: Path) -> "Spool | None":
        """Take over what a process left that is no more; None if it lives, or left nothing that can be read.

        OSError if it cannot be read now.
        """
        lock = _locked(folder)
        if lock < 0:
            return None
        try:
            return cls._adopt(folder, lock)
        except OSError:
            _unlock(lock)
            raise

    @classmethod
    def _adopt(cls, folder: Path, lock: int) -> "Spool | None":
        spool = cls(folder.parent.parent, Head("", folder.name, ""), sys.maxsize)
        spool.folder, spool._lock = folder, lock
        head = None
        for path in _files_of(folder):
            contents = _read(path)
            head = head or _head(contents)
            spool._find(path, contents)
        if head is None or not spool.segments:
            spool.remove()
            return None
        spool.head = head
        return spool

    @property
    def first(self) -> int:
        """Return the smallest number that is kept, 0 if there is none."""
        return self.segments[0].first if self.segments else 0

    @property
    def last(self) -> int:
        """Return the largest number that is kept, 0 if there is none."""
        return self.segments[-1].last if self.segments else 0

    @property
    def size(self) -> int:
        """Return how many bytes are kept."""
        return sum(segment.size for segment in self.segments)

    @property
    def part(self) -> int:
        """Return which stream of its session the records went into last."""
        return self._part

    def holds(self, number: int) -> bool:
        """Tell whether a number is on disk."""
        return any(segment.first <= number <= segment.last for segment in reversed(self.segments))

    def start_with(self, frame: bytes) -> None:
        """Keep the record that every stream begins with; before the first `append`."""
        self.head = msgspec.structs.replace(self.head, start=frame)

    def append(self, number: int, frame: bytes) -> None:
        """Write a record; its number is larger than those before."""
        record = pack(FRAME, number, frame)
        if self._file < 0 or self.segments[-1].size + len(record) > self.segment_bytes:
            self._roll(number)
        self._write(record)
        self.segments[-1].last = number

    def note_part(self, part: int) -> None:
        """Write down that records go into another stream of their session."""
        self._part = part
        if self._file >= 0:
            self._write(pack(PART, part, b""))

    def read(self, number: int) -> Sequence[Frame]:
        """Return the records of the file that has a number, those of it that can be read.

        A file that the disk does not give, in a minute either, is given up.
        """
        segment = next((one for one in self.segments if one.first <= number <= one.last), None)
        if segment is None or segment.path in self._given_up:
            return ()
        try:
            contents = _read(segment.path)
        except OSError:
            self._unreadable_since = min(self._unreadable_since, time.monotonic())
            if time.monotonic() - self._unreadable_since < SECONDS_TO_READ:
                raise
            self._given_up.add(segment.path)
            contents = Contents(damaged_bytes=segment.size)
        self._unreadable_since = math.inf
        if contents.damaged_bytes:
            self._damaged.add(segment.path)
        return contents.frames

    def free(self, archived: int) -> None:
        """Let go of files in which all is archived."""
        while self.segments and self.segments[0].last <= archived:
            if len(self.segments) == 1 and self._file >= 0:
                if self.segments[0].size < _FULLY_ARCHIVED_AND_WORTH_FREEING:
                    return
                self._close_file()
            self._discard(self.segments.pop(0).path)

    def drop_oldest(self) -> tuple[int, int]:
        """Let go of the oldest file though it is not archived; return which numbers it had."""
        segment = self.segments.pop(0)
        if not self.segments:
            self._close_file()
        self._discard(segment.path)
        return segment.first, segment.last

    def check(self) -> None:
        """See to it that nobody else has deleted the lock, or the files: OSError, and the next record begins anew."""
        self._keep_lock()
        if self._file >= 0 and os.fstat(self._file).st_nlink == 0:
            self._close_file()
            self.segments.clear()
            raise OSError(f"{self.folder} was deleted")

    def sync(self) -> None:
        """Have the disk keep what the operating system has. It may take long, and files may be freed meanwhile."""
        file = self._file
        if file < 0 or not self._unsynced:
            return
        self._unsynced = False
        try:
            os.fdatasync(file)
        except OSError:
            if self._file == file:
                self._unsynced = True
                raise

    def close(self) -> None:
        """Leave the files to whoever comes next."""
        with contextlib.suppress(OSError):
            self._keep_lock()
            self.sync()
        self._close_file()
        if self._lock >= 0:
            _unlock(self._lock)
            self._lock = -1

    def remove(self) -> None:
        """Delete the files: all is archived."""
        self._close_file()
        for segment in self.segments:
            self._discard(segment.path)
        self.segments.clear()
        if self._lock >= 0:  # else nothing was ever written
            with contextlib.suppress(OSError):
                (self.folder / LOCK).unlink()
                self.folder.rmdir()  # nothing of somebody else's
        self.close()

    def quarantine(self, name: str, content: bytes) -> None:
        """Keep something that could not be made into a record, for whoever looks for the reason."""
        folder = self.root / "quarantine"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / name).write_bytes(content)
        _thin_out(folder)

    def disown(self) -> None:
        """Close what a forked child has inherited; the parent's lock holds."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._file = self._lock = -1
        self.segments = []

    def _find(self, path: Path, contents: Contents) -> None:
        """Note a file that another process has written."""
        if contents.damaged_bytes:
            self._damaged.add(path)
        if not contents.frames:
            self._discard(path)
            return
        size = path.stat().st_size
        self.segments.append(Segment(path, contents.frames[0][0], contents.frames[-1][0], size))
        self._part = max(self._part, contents.part)

    def _roll(self, number: int) -> None:
        """Begin a file, and have the disk keep the one before."""
        with contextlib.suppress(OSError):
            self.sync()
        self._close_file()
        self._own_folder()
        path = self.folder / f"{number:016d}.seg"
        self._file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        self.segments.append(Segment(path, number, number - 1, 0))
        self._write(pack(HEAD, 0, msgspec.msgpack.encode(self.head)))
        if self._part:
            self._write(pack(PART, self._part, b""))

    def _write(self, record: bytes) -> None:
        segment = self.segments[-1]
        left = memoryview(record)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._undo(segment)
            raise
        segment.size += len(record)
        self._unsynced = True

    def _undo(self, segment: Segment) -> None:
        """Take back half a record; a file without a whole one is deleted, and the next record begins another file."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, segment.size)
        self._close_file()
        if segment.last < segment.first:
            self.segments.remove(segment)
            with contextlib.suppress(OSError):
                segment.path.unlink()

    def _own_folder(self) -> None:
        """Make the folder, and lock it before anybody else can see it."""
        if self._lock >= 0 and self.folder.is_dir():
            return
        making = self.folder.with_name(f".{self.folder.name}{MAKING}")
        making.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _new_lock(making)
        try:
            making.rename(self.folder)
        except OSError:
            os.close(lock)
            raise
        self._lock = _exchanged(self._lock, lock)

    def _keep_lock(self) -> None:
        """Make another lock if somebody has deleted it: without one nobody knows a folder for a session."""
        if self._lock >= 0 and os.fstat(self._lock).st_nlink == 0 and self.folder.is_dir():
            self._lock = _exchanged(self._lock, _new_lock(self.folder))

    def _close_file(self) -> None:
        if self._file >= 0:
            # forgotten first: another thread that syncs it meanwhile sees that it is gone
            file, self._file = self._file, -1
            with contextlib.suppress(OSError):
                os.close(file)

    def _discard(self, path: Path) -> None:
        """Delete a file, or put it into quarantine if it is damaged."""
        with contextlib.suppress(OSError):
            if path in self._damaged:
                self._damaged.discard(path)
                folder = self.root / "quarantine"
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.replace(folder / f"{self.folder.name}-{path.name}")
                _thin_out(folder)
            else:
                path.unlink()


def sessions_in(root: Path) -> list[Path]:
    """Return the folders of all sessions, the oldest first."""
    try:
        return sorted(
            one for one in (root / "sessions").iterdir() if one.is_dir() and not one.name.startswith(".")
        )
    except OSError:
        return []


def head_of(folder: Path) -> Head | None:
    """Return whose records a session's folder has, None if that cannot be read; the records themselves are not read."""
    with contextlib.suppress(OSError, IndexError), _files_of(folder)[0].open("rb") as file:
        return _head(unpack(file.read(BYTES_OF_A_HEAD)))
    return None


def abandoned(root: Path) -> Iterator[Path]:
    """Return the folders of sessions that nobody owns, the oldest first."""
    for folder in sessions_in(root):
        with contextlib.suppress(OSError):
            lock = _locked(folder)
            if lock >= 0:
                _unlock(lock)
                yield folder


def bytes_in(folder: Path) -> int:
    """Return the size of all files in a folder."""
    total = 0
    for where, _, names in os.walk(folder):  # which does not mind what vanishes meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(where, name)).st_size
    return total


def make_room(root: Path, limit_bytes: int) -> int:
    """Delete what the oldest abandoned sessions left until all spools together are within the limit.

    For a time in which nothing can be delivered. Returns how many records that were, which the log is told too.
    """
    _tidy_up(root)
    excess = bytes_in(root / "sessions") - limit_bytes
    lost = 0
    for folder in list(abandoned(root)) if excess > 0 else ():
        if excess <= 0:
            break
        with contextlib.suppress(OSError):
            if (spool := Spool.adopt(folder)) is not None:
                lost += spool.last - spool.first + 1
                log.warning(
                    "%d records of session %s of run %s are lost: nothing can be delivered, "
                    "and the spools in %s are beyond %d bytes. Raise spool_limit= or %s.",
                    spool.last - spool.first + 1, spool.head.session, spool.head.run, root, limit_bytes, LIMIT_VARIABLE,
                )  # fmt: skip
                excess -= spool.size
                spool.remove()
    return lost


def _tidy_up(root: Path) -> None:
    """Delete folders of processes that were killed while they made them."""
    for unfinished in (root / "sessions").glob(f".*{MAKING}"):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > SECONDS_TO_MAKE_A_FOLDER:
                shutil.rmtree(unfinished, ignore_errors=True)


def _new_lock(folder: Path) -> int:
    """Make the lock of a folder, and hold it; OSError if somebody else does."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _lock_now(lock)
    except OSError:
        os.close(lock)
        raise
    return lock


def _exchanged(old: int, new: int) -> int:
    if old >= 0:
        os.close(old)
    return new


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a session in their order, and nothing that only looks like one."""
    return sorted(path for path in folder.glob(_FILES) if path.is_file())


def _lock_now(lock: int) -> None:
    """Lock an open file for this process; OSError if another one has it, or there are no locks."""
    if _locks is None:
        raise OSError("there are no file locks on this system")
    _locks.flock(lock, _locks.LOCK_EX | _locks.LOCK_NB)


def _unlock(lock: int) -> None:
    """Let go of a lock, also where a child that was forked a moment ago has a copy of its file."""
    with contextlib.suppress(OSError):
        if _locks is not None:
            _locks.flock(lock, _locks.LOCK_UN)
    os.close(lock)


def _locked(folder: Path) -> int:
    """Lock a session's folder; return the descriptor of the lock, -1 if somebody has it, or there is none of ours.

    OSError if that cannot be known, of another user's, say.
    """
    ours = os.O_CREAT if _files_of(folder) else 0  # also if somebody has deleted the lock
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | ours, 0o600)
    except FileNotFoundError:
        return -1
    try:
        _lock_now(lock)
        if os.fstat(lock).st_ino == (folder / LOCK).stat().st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)
    return -1


def _read(path: Path) -> Contents:
    """Return what is in a file, nothing if it is gone; OSError if it cannot be read, which may pass."""
    try:
        return unpack(path.read_bytes())
    except FileNotFoundError:
        return Contents()


def _head(contents: Contents) -> Head | None:
    try:
        return msgspec.msgpack.decode(contents.head, type=Head)
    except msgspec.MsgspecError:
        return None


def _thin_out(folder: Path) -> None:
    """Delete all but the newest files."""
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in files[:-KEPT_IN_QUARANTINE]:
        path.unlink()


def _after_fork_in_child() -> None:
    for spool in list(_spools):
        spool.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
