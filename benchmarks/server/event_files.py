"""Write a run as TensorBoard's event files, many steps at once: its own writer takes minutes for 100,000 steps."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rolloutwatch_server.imports.tfrecord import masked_crc

NAME = "events.out.tfevents.0000000000.bench"
VERSION = b"\x1a\x0dbrain.Event:2"  # field 3 of the first event
STEPS_AT_ONCE = 10_000
SEVEN_BITS = 7
POLYNOMIAL = 0x82F63B78

Bytes = npt.NDArray[np.uint8]


def write(folder: Path, columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
    """Write scalars by name, a value of each for each step from 0 on; all of a step stand in one event."""
    folder.mkdir(parents=True)
    steps = min(map(len, columns.values()))
    with (folder / NAME).open("wb") as file:
        head = struct.pack("<Q", len(VERSION))
        file.write(head + _crc(head) + VERSION + _crc(VERSION))
        for part in _parts(steps):
            values = np.stack([column[part.start : part.stop] for column in columns.values()], axis=1)
            file.write(_events(part, list(columns), values).tobytes())


def _parts(steps: int) -> Iterator[range]:
    """Yield steps whose number takes as many bytes, so that their events are equally long."""
    first = 0
    while first < steps:
        fits = 1 << SEVEN_BITS * _width(first)
        yield range(first, min(steps, fits, first + STEPS_AT_ONCE))
        first = min(steps, fits, first + STEPS_AT_ONCE)


def _events(steps: range, names: list[str], values: npt.NDArray[np.float64]) -> Bytes:
    """Return the framed events of some steps, one a row."""
    of = np.arange(steps.start, steps.stop)
    summary = [_column(part, len(of)) for part in _varint(sum(map(len, map(_scalar, names))))]
    rows = [
        _column(0x09, len(of)), _bytes(of, "<f8"),
        _column(0x10, len(of)), *_step(of, _width(steps.start)),
        _column(0x2A, len(of)), *summary,
    ]  # fmt: skip
    for name, column in zip(names, values.T, strict=True):
        rows += [np.tile(np.frombuffer(_scalar(name)[:-4], np.uint8), (len(of), 1)), _bytes(column, "<f4")]
    data = np.concatenate(rows, axis=1)
    length = struct.pack("<Q", data.shape[1])
    head = np.tile(np.frombuffer(length + _crc(length), np.uint8), (len(of), 1))
    return np.concatenate([head, data, _bytes(_masked_crcs(data), "<u4")], axis=1)


def _scalar(name: str) -> bytes:
    """Return field 1 of a summary: a value of 0 with its name."""
    tag = name.encode()
    inner = b"\x0a" + bytes(_varint(len(tag))) + tag + b"\x15" + bytes(4)
    return b"\x0a" + bytes(_varint(len(inner))) + inner


def _step(of: npt.NDArray[np.int64], width: int) -> list[Bytes]:
    """Return numbers as varints of so many bytes."""
    parts = [of >> SEVEN_BITS * at & 0x7F | (0x80 if at < width - 1 else 0) for at in range(width)]
    return [part.astype(np.uint8)[:, None] for part in parts]


def _varint(number: int) -> list[int]:
    return [int(part[0, 0]) for part in _step(np.array([number]), _width(number))]


def _width(number: int) -> int:
    return max(1, -(-number.bit_length() // SEVEN_BITS))


def _column(byte: int, rows: int) -> Bytes:
    return np.full((rows, 1), byte, np.uint8)


def _bytes(values: npt.NDArray[np.generic], kind: str) -> Bytes:
    return np.ascontiguousarray(values.astype(kind)[:, None]).view(np.uint8)


def _crc(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc(data))


def _masked_crcs(rows: Bytes) -> npt.NDArray[np.uint32]:
    """Return the checksum of each row, as `masked_crc` makes it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(POLYNOMIAL), table >> 1)
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for byte in np.ascontiguousarray(rows.T):
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= np.uint32(0xFFFFFFFF)
    return (crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)
