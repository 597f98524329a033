"""Series as they are kept, columns and rows of recent steps, and how they become one again."""

import math
import sqlite3
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.store.checksum import check
from rolloutwatch_server.store.chunks import (
    TIMES,
    Column,
    join,
    latest,
    merge_chunks,
    read_chunks,
    unite,
    write_chunk,
)
from rolloutwatch_server.store.database import DamagedArchive
from rolloutwatch_server.store.deletion import dead_sessions
from rolloutwatch_server.store.lineage import Lineage

unpack_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode

Row = tuple[int, int, float, Mapping[str, float]]  # session, step, time, metrics
Rows = Sequence[Row]  # as they arrived
Parts = dict[int, Series]  # by session


def fold(db: sqlite3.Connection, run: str) -> None:
    """Make columns of the rows of a run."""
    newest = db.execute("SELECT max(id) FROM recent WHERE run = ?", (run,)).fetchone()[0]
    if newest is None:
        return
    columns: dict[tuple[int, str], tuple[list[int], list[float]]] = {}
    rows = read_rows(db, run, 0, 2**62)
    for session, step, _, metrics in rows:
        for metric, value in metrics.items():
            steps, values = columns.setdefault((session, metric), ([], []))
            steps.append(step)
            values.append(value)
    for session, times in _times(rows).items():
        columns[session, TIMES] = list(times), list(times.values())
    for (session, metric), (steps, values) in columns.items():
        series = latest(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
        write_chunk(db, run, session, metric, series)
        merge_chunks(db, run, session, metric)
    db.execute("DELETE FROM recent WHERE run = ? AND id <= ?", (run, newest))


def read_rows(db: sqlite3.Connection, run: str, first: int, last: int) -> Rows:
    """Return the rows of a run that are no columns yet."""
    rows = db.execute(
        "SELECT session, step, time, metrics, crc FROM recent WHERE run = ? AND step BETWEEN ? AND ? ORDER BY id",
        (run, first, last),
    )
    return [_row(*row) for row in rows]


def read_parts(db: sqlite3.Connection, rows: Rows, run: str, metric: str, first: int, last: int) -> Parts:
    """Return what each session brought of a metric, given up or not; more than from `first` to `last` may be there."""
    parts = read_chunks(db, run, metric, first, last)
    for session, tail in _tails(rows, metric).items():
        parts.setdefault(session, []).append(tail)
    return {session: unite(of_one, first_speaks=metric == TIMES) for session, of_one in parts.items()}


def last_step_of(db: sqlite3.Connection, run: str, session: int) -> int:
    """Return the last step of a session, -1 if it has none."""
    row = db.execute(
        "SELECT max(coalesce((SELECT max(last_step) FROM chunks WHERE run = ?1 AND session = ?2), -1), "
        "coalesce((SELECT max(step) FROM recent WHERE run = ?1 AND session = ?2), -1))",
        (run, session),
    )
    return int(row.fetchone()[0])


class Shown:
    """What is shown of a run from step `first` to step `last`: of each step what the session has that speaks for it."""

    def __init__(self, db: sqlite3.Connection, run: str, first: int, last: int) -> None:
        self._db = db
        self._run = run
        self._range = first, last
        self._lineage = Lineage.read(db, run)
        self._rows = read_rows(db, run, first, last)
        self._parts_of_times: Parts | None = None

    def series(self, metric: str, *, timed: bool = False) -> Series:
        """Return a metric, `timed` with when each figure was made."""
        parts = self._taken(metric)
        series = self._join(parts)
        if not timed:
            return series
        times = {session: Series(part.step, self._times_of(session, part)) for session, part in parts.items()}
        return Series(series.step, series.value, self._join(times).value)

    def spoken(self, metric: str) -> tuple[Series, npt.NDArray[np.int64]]:
        """Return a metric, and of each figure the session that brought it."""
        parts = self._taken(metric)
        sessions = {
            session: Series(part.step, np.full(len(part.step), float(session)))
            for session, part in parts.items()
        }
        return self._join(parts), self._join(sessions).value.astype(np.int64)

    def times(self) -> Series:
        """Return when the figures of each step were made, NaN where that is not known."""
        ends = self._lineage.end_of_marks
        return self._join({session: _until(part, ends(session)) for session, part in self._times().items()})

    def earliest_times(self) -> Series:
        """Return when the first of the shown figures of each step were made, whichever session they are of."""
        parts = [self._times_shown(session, part) for session, part in self._times().items()]
        if not parts:
            return self._join({})
        step = np.concatenate([part.step for part in parts])
        value = np.concatenate([part.value for part in parts])
        order = np.lexsort((-value, step))  # of one step the earliest is the last
        first, last = self._range
        series = latest(step[order], value[order])
        begin, end = np.searchsorted(series.step, [first, last + 1])
        return Series(series.step[begin:end], series.value[begin:end])

    def _times_shown(self, session: int, times: Series) -> Series:
        """Return those of a session's times at whose steps any figure of it is shown."""
        ends = self._lineage.ends(session)
        all_speak, none_speaks = min(ends.values(), default=math.inf), max(ends.values(), default=math.inf)
        if all_speak == none_speaks:
            return _until(times, all_speak)
        steps = [
            _until(part, end).step
            for metric, end in ends.items()
            if end > all_speak and (part := self._parts(metric).get(session)) is not None
        ]
        is_shown = (times.step < all_speak) | np.isin(times.step, np.concatenate(steps) if steps else [])
        return Series(times.step[is_shown], times.value[is_shown])

    def _taken(self, metric: str) -> Parts:
        """Return of each session what others did not take from it."""
        return {
            session: _until(part, self._lineage.end(session, metric))
            for session, part in self._parts(metric).items()
        }

    def _parts(self, metric: str) -> Parts:
        parts = read_parts(self._db, self._rows, self._run, metric, *self._range)
        if strange := parts.keys() - set(self._lineage.order):
            if not strange <= set(dead_sessions(self._db, self._run)):
                raise DamagedArchive(f"a column of {self._run} is of a session that is not there")
            parts = {session: part for session, part in parts.items() if session not in strange}
        return parts

    def _times(self) -> Parts:
        if self._parts_of_times is None:
            self._parts_of_times = self._parts(TIMES)
        return self._parts_of_times

    def _times_of(self, session: int, part: Series) -> npt.NDArray[np.float64]:
        times = self._times().get(session)
        if times is None:
            return np.full(len(part.step), np.nan)
        if len(times.step) == len(part.step) and (times.step == part.step).all():
            return times.value
        places = np.searchsorted(times.step, part.step).clip(max=len(times.step) - 1)
        return np.where(times.step[places] == part.step, times.value[places], np.nan)

    def _join(self, parts: Parts) -> Series:
        ordered = [parts[session] for session in self._lineage.order if session in parts]
        series = ordered[0] if len(ordered) == 1 else join(ordered)
        first, last = self._range
        begin, end = np.searchsorted(series.step, [first, last + 1])
        return Series(series.step[begin:end], series.value[begin:end])


def _tails(rows: Rows, metric: str) -> dict[int, Column]:
    if metric == TIMES:
        return {
            session: _column(list(times), list(times.values())) for session, times in _times(rows).items()
        }
    found: dict[int, tuple[list[int], list[float]]] = {}
    for session, step, _, metrics in rows:
        if metric in metrics:
            steps, values = found.setdefault(session, ([], []))
            steps.append(step)
            values.append(metrics[metric])
    return {session: _column(*column) for session, column in found.items()}


def _column(steps: list[int], values: list[float]) -> Column:
    return Column.of(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))


def _times(rows: Rows) -> dict[int, dict[int, float]]:
    """Return by session when each step was made: when its first record was, whatever came of it later."""
    times: dict[int, dict[int, float]] = {}
    for session, step, time, _ in rows:
        times.setdefault(session, {}).setdefault(step, time)
    return times


def _row(session: int, step: int, time: float, packed: bytes, crc: int | None) -> Row:
    check("a record", crc, session, step, time, packed)
    return session, step, time, unpack_metrics(packed)


def _until(series: Series, end: float) -> Series:
    count = len(series.step) if end == math.inf else int(np.searchsorted(series.step, end))
    return Series(series.step[:count], series.value[:count])
