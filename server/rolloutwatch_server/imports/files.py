"""A file that is read once from front to back: a real one, never more of it in memory than asked for."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from rolloutwatch_server.imports.refusal import CannotImport, refusal, shown

Progress = Callable[[int, int], None]  # bytes read, bytes in all

BYTES_AT_ONCE = 256 * 1024
MOST_BYTES_OF_A_LINE = 1024 * 1024


def no_progress(read: int, whole: int) -> None:
    """Tell nobody."""


class Input:
    """An open file, how far it is read, and whoever wants to know that.

    CannotImport for what is not a file: a link could lead anywhere, and a device or a pipe has no end.
    """

    def __init__(self, path: Path, progress: Progress = no_progress, *, called: str | None = None) -> None:
        self.path = path if called is None else Path(called)
        self.offset = 0
        self._progress = progress
        try:
            # without O_NONBLOCK opening a pipe that nobody writes to would wait for ever
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            what = "a symbolic link" if path.is_symlink() else str(error)
            raise CannotImport(
                f"{shown(str(path))}: expected a file that can be read; came {what}."
            ) from error
        self._file = os.fdopen(handle, "rb", buffering=BYTES_AT_ONCE)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            self._file.close()
            raise CannotImport(
                f"{shown(str(path))}: expected a file; came a folder, a device, a pipe or a socket."
            )
        self.size = status.st_size
        self.changed_at = status.st_mtime

    def __enter__(self) -> "Input":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def left(self) -> int:
        """Return how many bytes are still to be read, by the size that the file had when it was opened."""
        return max(self.size - self.offset, 0)

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the file."""
        data = self._file.read(count)
        self._advance(len(data))
        return data

    def skip(self, count: int) -> None:
        """Go on without reading."""
        self._file.seek(count, os.SEEK_CUR)
        self._advance(count)

    def lines(self, limit: int = MOST_BYTES_OF_A_LINE) -> Iterator[tuple[int, bytes]]:
        """Yield each line with its number, which counts from 1; a line beyond `limit` bytes is refused."""
        number = 0
        while line := self._file.readline(limit + 1):
            number += 1
            if len(line) > limit:
                raise refusal(self.path, f"line {number}", f"at most {limit} bytes in a line", "more")
            self._advance(len(line))
            yield number, line

    def _advance(self, count: int) -> None:
        before = self.offset // BYTES_AT_ONCE
        self.offset += count
        if self.offset // BYTES_AT_ONCE != before or self.offset >= self.size:
            self._progress(self.offset, self.size)
