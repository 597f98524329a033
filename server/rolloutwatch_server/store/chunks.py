"""Columns on disk: one session, one metric, a range of steps, with a checksum.

A column of what has just been folded is short; where enough of them stand in a row they are merged into a long one.
A long one costs 8 bytes a value and next to nothing else, and a run of a million steps is sixty of them.
"""

import functools
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.store.database import DamagedArchive

LONG = 16_384  # values of a column that is not merged any more
TIMES = ""  # stands for the metric where a column holds when the figures of its steps were made


class Column(NamedTuple):
    """Values from step `first` on, at `steps`, or one at each step where that is None."""

    first: int
    steps: npt.NDArray[np.int64] | None
    values: npt.NDArray[np.float64]

    @classmethod
    def of(cls, steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> "Column":
        """Return values at steps, ascending or not."""
        first = int(steps[0])
        consecutive = bool((steps == np.arange(first, first + len(steps))).all())
        return cls(first, None if consecutive else steps, values)

    @property
    def series(self) -> Series:
        """Return the values with their steps."""
        steps = _consecutive(self.first, len(self.values)) if self.steps is None else self.steps
        return Series(steps, self.values)


def write_chunk(db: sqlite3.Connection, run: str, session: int, metric: str, series: Series) -> None:
    """Keep a column, which speaks before those that are there already."""
    steps, values = _pack_steps(series.step), series.value.astype("<f8", copy=False).tobytes()
    db.execute(
        "INSERT INTO chunks (run, session, metric, first_step, last_step, steps, vals, crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (run, session, metric, int(series.step[0]), int(series.step[-1]), steps, values, _crc(steps, values)),
    )


def read_chunks(
    db: sqlite3.Connection, run: str, metric: str, first: int, last: int
) -> dict[int, list[Column]]:
    """Return the columns that hold steps from `first` to `last`, by session, the one that speaks being the last.

    DamagedArchive: a column is not what was written.
    """
    rows = db.execute(
        "SELECT id, session, first_step, last_step, steps, vals, crc FROM chunks "
        "WHERE run = ? AND metric = ? AND last_step >= ? AND first_step <= ?",
        (run, metric, first, last),
    )
    chunks: dict[int, list[Column]] = {}
    # sorted here: SQLite would copy every value for it
    for number, session, *row in sorted(rows):
        chunks.setdefault(session, []).append(_unpack(number, *row))
    return chunks


def merge_chunks(db: sqlite3.Connection, run: str, session: int, metric: str) -> None:
    """Make one long column of the short ones at a series' end, if they are enough."""
    query = "SELECT id, length(vals) / 8 FROM chunks WHERE run = ? AND metric = ? AND session = ? ORDER BY id DESC"
    short = _short_ones(db.execute(query, (run, metric, session)))
    if sum(short.values()) < LONG:
        return
    ids = sorted(short)
    marks = ", ".join("?" * len(ids))
    query = (
        f"SELECT id, first_step, last_step, steps, vals, crc FROM chunks WHERE id IN ({marks}) ORDER BY id"
    )
    merged = unite([_unpack(*row) for row in db.execute(query, ids)], first_speaks=metric == TIMES)
    db.execute(f"DELETE FROM chunks WHERE id IN ({marks})", ids)
    write_chunk(db, run, session, metric, merged)


def unite(columns: Sequence[Column], *, first_speaks: bool = False) -> Series:
    """Make one series of columns, each with a step once; where several have one, the last speaks, or the first one."""
    behind = columns[0].first
    for column in columns:
        if column.steps is not None or column.first != behind:
            return join([one.series for one in (reversed(columns) if first_speaks else columns)])
        behind += len(column.values)
    # as almost always: one after the other, a value at each step
    return Column(columns[0].first, None, np.concatenate([column.values for column in columns])).series


def join(parts: Sequence[Series]) -> Series:
    """Make one series of several; where several have a step, the last one speaks."""
    if not parts:
        return Series(np.array([], dtype=np.int64), np.array([], dtype=np.float64))
    if len(parts) == 1:
        return latest(parts[0].step, parts[0].value)
    return latest(
        np.concatenate([part.step for part in parts]), np.concatenate([part.value for part in parts])
    )


def latest(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Series:
    """Sort by step; of values that came for the same step the last one stays."""
    if len(steps) > 1 and not (steps[1:] > steps[:-1]).all():
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
        last_of_step = np.append(np.diff(steps) > 0, True)
        steps, values = steps[last_of_step], values[last_of_step]
    return Series(steps, values)


@functools.lru_cache(maxsize=1)
def _consecutive(first: int, count: int) -> npt.NDArray[np.int64]:
    """Return as many steps from `first` on, which nobody may change: all figures of a run have the same ones."""
    steps = np.arange(first, first + count)
    steps.setflags(write=False)
    return steps


def _short_ones(newest_first: Iterable[tuple[int, int]]) -> dict[int, int]:
    short = {}
    for number, length in newest_first:
        if length >= LONG:
            break
        short[number] = length
    return short


def _unpack(
    number: int, first_step: int, last_step: int, steps: bytes | None, values: bytes, crc: int | None
) -> Column:
    if (steps is not None and len(steps) != len(values)) or (
        steps is None and last_step - first_step != len(values) // 8 - 1
    ):
        raise DamagedArchive(f"column {number} is not what was written: it has another number of values.")
    if crc is not None and crc != _crc(steps, values):
        raise DamagedArchive(f"column {number} is not what was written: its checksum is wrong.")
    return Column(
        first_step,
        None if steps is None else np.frombuffer(steps, dtype="<i8"),
        np.frombuffer(values, dtype="<f8"),
    )


def _pack_steps(steps: npt.NDArray[np.int64]) -> bytes | None:
    """Return None for consecutive steps, which the first one and the number of values tell already."""
    consecutive = int(steps[-1] - steps[0]) == len(steps) - 1
    return None if consecutive else steps.astype("<i8", copy=False).tobytes()


def _crc(steps: bytes | None, values: bytes) -> int:
    return zlib.crc32(values, zlib.crc32(steps or b""))
