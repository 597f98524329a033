"""Series as they are kept, columns of float64 and rows of recent steps, and how they become one again."""

import math
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.store.checksum import check, sum_of
from rolloutwatch_server.store.lineage import Lineage

unpack_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode

Rows = Sequence[tuple[int, int, Mapping[str, float]]]  # session, step, metrics; in order of arrival


def fold(db: sqlite3.Connection, run: str) -> None:
    """Make columns of the rows of a run."""
    rows = db.execute(
        "SELECT id, session, step, time, metrics, crc FROM recent WHERE run = ? ORDER BY id", (run,)
    ).fetchall()
    columns: dict[tuple[int, str], tuple[list[int], list[float]]] = {}
    for _, session, step, time, packed, crc in rows:
        check("a record", crc, session, step, time, packed)
        for metric, value in unpack_metrics(packed).items():
            steps, values = columns.setdefault((session, metric), ([], []))
            steps.append(step)
            values.append(value)
    for (session, metric), (steps, values) in columns.items():
        series = latest(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
        first, last = int(series.step[0]), int(series.step[-1])
        chunk = (run, session, metric, first, last, _pack_steps(series.step), series.value.tobytes())
        db.execute(
            "INSERT INTO chunks (run, session, metric, first_step, last_step, steps, vals, crc) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*chunk, sum_of(*chunk)),
        )
    if rows:
        db.execute("DELETE FROM recent WHERE run = ? AND id <= ?", (run, rows[-1][0]))


def read_rows(db: sqlite3.Connection, run: str, first: int, last: int) -> Rows:
    """Return the rows of a run that are no columns yet."""
    rows = db.execute(
        "SELECT session, step, time, metrics, crc FROM recent WHERE run = ? AND step BETWEEN ? AND ? ORDER BY id",
        (run, first, last),
    ).fetchall()
    for session, step, time, packed, crc in rows:
        check("a record", crc, session, step, time, packed)
    return [(session, step, unpack_metrics(packed)) for session, step, _, packed, _ in rows]


def read_series(
    db: sqlite3.Connection, lineage: Lineage, rows: Rows, run: str, metric: str, first: int, last: int
) -> Series:
    """Return what is shown of a metric from step `first` to step `last`."""
    parts = read_parts(db, rows, run, metric, first, last)
    shown = [_until(parts[one], lineage.end(one, metric)) for one in lineage.order if one in parts]
    series = _join(shown)
    begin, end = np.searchsorted(series.step, [first, last + 1])
    return Series(series.step[begin:end], series.value[begin:end])


def read_parts(
    db: sqlite3.Connection, rows: Rows, run: str, metric: str, first: int, last: int
) -> dict[int, Series]:
    """Return what each session brought of a metric, given up or not; more than from `first` to `last` may be there."""
    parts = _read_chunks(db, run, metric, first, last)
    for session, tail in _tails(rows, metric).items():
        parts.setdefault(session, []).append(tail)
    return {session: _join(of_one) for session, of_one in parts.items()}


def last_step_of(db: sqlite3.Connection, run: str, session: int) -> int:
    """Return the last step of a session, -1 if it has none."""
    row = db.execute(
        "SELECT max(coalesce((SELECT max(last_step) FROM chunks WHERE run = ?1 AND session = ?2), -1), "
        "coalesce((SELECT max(step) FROM recent WHERE run = ?1 AND session = ?2), -1))",
        (run, session),
    )
    return int(row.fetchone()[0])


def latest(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> Series:
    """Sort by step; of values that came for the same step the last one stays."""
    if len(steps) > 1 and not (np.diff(steps) > 0).all():
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
        last_of_step = np.append(np.diff(steps) > 0, True)
        steps, values = steps[last_of_step], values[last_of_step]
    return Series(steps, values)


def _read_chunks(
    db: sqlite3.Connection, run: str, metric: str, first: int, last: int
) -> dict[int, list[Series]]:
    rows = db.execute(
        "SELECT session, first_step, last_step, steps, vals, crc FROM chunks "
        "WHERE run = ? AND metric = ? AND last_step >= ? AND first_step <= ? ORDER BY id",
        (run, metric, first, last),
    )
    chunks: dict[int, list[Series]] = {}
    for session, first_step, last_step, steps, values, crc in rows:
        check("a chunk", crc, run, session, metric, first_step, last_step, steps, values)
        value = np.frombuffer(values, dtype="<f8")
        consecutive = steps is None
        step = (
            np.arange(first_step, first_step + len(value))
            if consecutive
            else np.frombuffer(steps, dtype="<i8")
        )
        chunks.setdefault(session, []).append(Series(step, value))
    return chunks


def _tails(rows: Rows, metric: str) -> dict[int, Series]:
    found: dict[int, tuple[list[int], list[float]]] = {}
    for session, step, metrics in rows:
        if metric in metrics:
            steps, values = found.setdefault(session, ([], []))
            steps.append(step)
            values.append(metrics[metric])
    return {
        session: Series(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
        for session, (steps, values) in found.items()
    }


def _join(parts: Sequence[Series]) -> Series:
    """Unite series; where several have a step, the last one speaks."""
    if len(parts) == 1:
        return latest(parts[0].step, parts[0].value)
    none = Series(np.array([], dtype=np.int64), np.array([], dtype=np.float64))
    return latest(
        np.concatenate([none.step, *(part.step for part in parts)]),
        np.concatenate([none.value, *(part.value for part in parts)]),
    )


def _until(series: Series, end: float) -> Series:
    count = len(series.step) if end == math.inf else int(np.searchsorted(series.step, end))
    return Series(series.step[:count], series.value[:count])


def _pack_steps(steps: npt.NDArray[np.int64]) -> bytes | None:
    """Return None for consecutive steps, which the first one and the number of values tell already."""
    consecutive = int(steps[-1] - steps[0]) == len(steps) - 1
    return None if consecutive else steps.astype("<i8", copy=False).tobytes()
