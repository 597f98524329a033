"""The frames of TensorBoard's event files: length, its checksum, data, its checksum; checksums are masked CRC-32C."""

import struct
from collections.abc import Iterator

from rolloutwatch_server.imports.files import Input
from rolloutwatch_server.imports.past import Caution, Skipped
from rolloutwatch_server.imports.refusal import refusal

MOST_BYTES = 1024 * 1024  # of a frame that is looked into; what is longer is a picture or a graph, no scalar
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_TABLE = _table()


def masked_crc(data: bytes) -> int:
    """Return the CRC-32C of data, turned and shifted as TensorFlow does it."""
    crc = 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frames(file: Input) -> Iterator[tuple[int, bytes] | Skipped | Caution]:
    """Yield where each frame stands and what it holds; a tail that was never written to its end is a warning."""
    while file.left:
        at = file.offset
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            yield _cut(file, at)
            return
        length, crc = _HEAD.unpack(head)
        if masked_crc(head[:8]) != crc:
            raise refusal(
                file.path,
                f"byte {at}",
                "a length with its checksum",
                f"a checksum that is not that of {length}",
            )
        if length + _TAIL.size > file.left:
            yield _cut(file, at)
            return
        if length > MOST_BYTES:
            file.skip(length + _TAIL.size)
            yield Skipped("events too long to be scalars")
            continue
        data, tail = file.read(length), file.read(_TAIL.size)
        if len(tail) < _TAIL.size:
            yield _cut(file, at)
            return
        if masked_crc(data) != _TAIL.unpack(tail)[0]:
            raise refusal(
                file.path, f"byte {at}", "an event with its checksum", "another checksum: the file is damaged"
            )
        yield at, data


def _cut(file: Input, at: int) -> Caution:
    return Caution(
        f"{file.path.name!a} is cut: its last event, {file.size - at} bytes from byte {at} on, was never written to its end."
    )
