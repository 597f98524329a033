"""How records stand in a file of the spool, and how they are read back whatever has happened to it.

    record = MARK, kind (1 byte), number (8), length (4), CRC-32 of these three and of what follows (4), `length` bytes

The first record of a file is its HEAD. Where something is damaged, reading goes on at the next MARK
with which a sound record begins, so a flipped bit costs one record and not the rest of the file.
"""

import struct
import zlib
from dataclasses import dataclass, field

MARK = b"\xf5RW\x1e"
HEAD, FRAME, PART = 0, 1, 2

_FIELDS = struct.Struct("<BQI")
_CRC = struct.Struct("<I")
_BEFORE = len(MARK) + _FIELDS.size + _CRC.size
_LARGEST = 64 * 1024 * 1024  # of a record; a length beyond it is damage


@dataclass
class Contents:
    """What could be read of a file."""

    head: bytes = b""
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    part: int = 0
    damaged_bytes: int = 0
    sound_bytes: int = 0  # up to where the file was written to its last sound record


def pack(kind: int, number: int, payload: bytes) -> bytes:
    """Return a record as it stands in a file."""
    fields = _FIELDS.pack(kind, number, len(payload))
    crc = zlib.crc32(payload, zlib.crc32(fields))
    return b"".join((MARK, fields, _CRC.pack(crc), payload))


def unpack(data: bytes) -> Contents:
    """Return everything that is sound in a file's bytes; never raises. Numbers ascend: what goes back is damage."""
    contents = Contents()
    offset = 0
    while offset < len(data):
        end = _sound_record(data, offset, contents)
        if end == 0:
            following = data.find(MARK, offset + 1)
            end = following if following > 0 else len(data)
            contents.damaged_bytes += end - offset
        else:
            contents.sound_bytes = end
        offset = end
    return contents


def _sound_record(data: bytes, offset: int, contents: Contents) -> int:
    """Take the record that begins at an offset, and return where it ends; 0 if there is no sound one."""
    begin = offset + _BEFORE
    if begin > len(data) or data[offset : offset + len(MARK)] != MARK:
        return 0
    fields = data[offset + len(MARK) : begin - _CRC.size]
    kind, number, length = _FIELDS.unpack(fields)
    end = begin + length
    if length > _LARGEST or end > len(data):
        return 0
    payload = data[begin:end]
    (crc,) = _CRC.unpack_from(data, begin - _CRC.size)
    if crc != zlib.crc32(payload, zlib.crc32(fields)):
        return 0
    return end if _take(contents, kind, number, payload) else 0


def _take(contents: Contents, kind: int, number: int, payload: bytes) -> bool:
    if kind == HEAD:
        contents.head = contents.head or payload
    elif kind == PART:
        contents.part = number
    elif kind == FRAME:
        if contents.frames and number <= contents.frames[-1][0]:
            return False
        contents.frames.append((number, payload))
    return True
