"""As much of the wire format of protocol buffers as it takes to read scalars: fields of a message, one after the other.

Nothing here knows a schema. A message that is cut or has a wire type that nobody uses raises Malformed.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, int | memoryview]  # number, wire type, value: an integer or the bytes


class Malformed(ValueError):
    """Bytes are not a message; the message says at which byte and why."""


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """Yield the fields of a message; fixed ones and those with a length as bytes."""
    view = memoryview(message)
    at, end = 0, len(view)
    while at < end:
        key, at = _varint(view, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Malformed(f"byte {at}: field number 0")
        if kind == VARINT:
            value, at = _varint(view, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, at = _varint(view, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise Malformed(f"byte {at}: wire type {kind}")
        if length > end - at:
            raise Malformed(f"byte {at}: a field of {length} bytes where {end - at} are left")
        yield number, kind, view[at : at + length]
        at += length


def varints(packed: memoryview) -> Iterator[int]:
    """Yield the integers of a packed field."""
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def signed(value: int) -> int:
    """Return an int64 of what stands for it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def double(data: memoryview) -> float:
    """Return the double that eight bytes are."""
    return float(struct.unpack("<d", data)[0])


def text(data: memoryview) -> str:
    """Return text; what is not UTF-8 is replaced."""
    return bytes(data).decode("utf-8", "replace")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view):
            raise Malformed(f"byte {at}: cut within a number")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise Malformed(f"byte {at}: a number of more than ten bytes")
