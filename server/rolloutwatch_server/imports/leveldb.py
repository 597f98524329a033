"""The frames of wandb's offline files: a log as LevelDB writes it, records cut to fit in blocks of 32 KiB."""

import struct
import zlib
from collections.abc import Iterator

from rolloutwatch_server.imports.files import Input
from rolloutwatch_server.imports.past import Caution, Skipped
from rolloutwatch_server.imports.refusal import refusal

MAGIC = b":W&B\xe1\xbe"
VERSION = 0
BLOCK = 32 * 1024
MOST_BYTES = 1024 * 1024  # of a record that is looked into
_HEAD = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CRCS = {kind: zlib.crc32(bytes([kind])) for kind in (_FULL, _FIRST, _MIDDLE, _LAST)}


def records(file: Input) -> Iterator[tuple[int, bytes] | Skipped | Caution]:
    """Yield where each record begins and its bytes; a tail that was never written to its end is a warning."""
    _check_header(file)
    parts: list[bytes] = []
    begin = size = 0
    for part in _parts(file):
        if isinstance(part, Caution):
            yield part
            return
        at, kind, data = part
        if (kind in (_FULL, _FIRST)) != (not parts):
            raise refusal(
                file.path, f"byte {at}", "parts of a record in their order", f"a part of kind {kind}"
            )
        if not parts:
            begin, size = at, 0
        size += len(data)
        # of a long record its beginning is kept, which tells that there is one, and no more
        parts.append(data if size <= MOST_BYTES else b"")
        if kind in (_FULL, _LAST):
            yield (
                (begin, b"".join(parts)) if size <= MOST_BYTES else Skipped("records of more than a megabyte")
            )
            parts = []
    if parts:
        yield _cut(file, begin)


def _check_header(file: Input) -> None:
    head = file.read(7)
    if head[:6] != MAGIC:
        raise refusal(file.path, "byte 0", f"{MAGIC!r}, as wandb begins a file", repr(head[:6]))
    if head[6:] != bytes([VERSION]):
        raise refusal(file.path, "byte 6", f"version {VERSION} of wandb's files", head[6:].hex() or "nothing")


def _parts(file: Input) -> Iterator[tuple[int, int, bytes] | Caution]:
    while file.left:
        rest = BLOCK - file.offset % BLOCK
        if rest < _HEAD.size:
            file.read(rest)
            continue
        at = file.offset
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            yield _cut(file, at)
            return
        crc, length, kind = _HEAD.unpack(head)
        if kind not in _CRCS or length > rest - _HEAD.size:
            raise refusal(file.path, f"byte {at}", "a part of a record", f"kind {kind} of {length} bytes")
        data = file.read(length)
        if len(data) < length:
            yield _cut(file, at)
            return
        if zlib.crc32(data, _CRCS[kind]) != crc:
            raise refusal(
                file.path, f"byte {at}", "a record with its checksum", "another checksum: the file is damaged"
            )
        yield at, kind, data


def _cut(file: Input, at: int) -> Caution:
    return Caution(
        f"{file.path.name!a} is cut: its last record, {file.size - at} bytes from byte {at} on, was never written to its end."
    )
