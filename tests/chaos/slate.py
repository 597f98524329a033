"""Numbers that a trainer and whoever watches it share: what was written stands there though the trainer is killed."""

import enum
import mmap
import struct
from pathlib import Path


class Line(enum.IntEnum):
    """What stands where."""

    ALLOWED = 0  # up to which step the trainer may go
    DONE = 1  # how many steps it has done
    WRITTEN = 2  # how many of them are known to have left the queue
    ARCHIVED = 3  # how many records the server has, as it said
    REFUSED = 4  # 1 while Redis says that it is full


class Slate:
    """Integers in a file, in the memory of every process that has it open."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(8 * len(Line)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8 * len(Line))

    def __getitem__(self, line: Line) -> int:
        return int(struct.unpack_from("<q", self._memory, 8 * line)[0])

    def __setitem__(self, line: Line, number: int) -> None:
        struct.pack_into("<q", self._memory, 8 * line, number)
