"""Everything that came of one step, session by session, also of one that another session has done again."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
import zstandard

from rolloutwatch_contract import Array, SequenceTokens, StepRecord
from rolloutwatch_server.store.chunks import TIMES
from rolloutwatch_server.store.columns import read_parts, read_rows
from rolloutwatch_server.store.database import DamagedArchive
from rolloutwatch_server.store.lineage import Lineage

COLUMNS = "histogram, sequences, sample_ids, groups, tokens"
_UPDATES = ", ".join(
    [
        "histogram = coalesce(excluded.histogram, histogram)",
        *(
            f"{name} = iif(excluded.sequences IS NULL, coalesce(excluded.{name}, {name}), excluded.{name})"
            for name in ("sequences", "sample_ids", "groups", "tokens")
        ),
    ]
)


class StepTables(msgspec.Struct, frozen=True):
    """What goes along with a step beside its figures, as `StepRecord` has it."""

    histogram: Array | None = None
    sequences: Array | None = None
    sample_ids: Array | None = None
    groups: tuple[str, ...] = ()
    tokens: tuple[SequenceTokens, ...] = ()


class Attempt(msgspec.Struct, frozen=True):
    """What one session brought of a step."""

    session: str
    metrics: dict[str, float]
    tables: StepTables


def write_tables(db: sqlite3.Connection, run: str, session: int, record: StepRecord) -> None:
    """Keep what goes along with a step, if anything does, beside what an earlier record of the step brought.

    What tells of sequences belongs together: new sequences take the place of all of it.
    """
    parts = [record.histogram, record.sequences, record.sample_ids, record.groups, record.tokens]
    if any(part is not None and part != () for part in parts):
        db.execute(
            f"INSERT INTO step_tables (run, step, session, time, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            f"ON CONFLICT (run, step, session) DO UPDATE SET time = excluded.time, {_UPDATES}",
            (run, record.step, session, record.time, *(_pack(part) for part in parts)),
        )


def read_attempts(
    db: sqlite3.Connection, run: str, step: int
) -> dict[int, tuple[dict[str, float], StepTables]]:
    """Return figures and tables of a step by session, the session that started last being the last."""
    metrics: dict[int, dict[str, float]] = {}
    rows = read_rows(db, run, step, step)
    names = db.execute(
        "SELECT DISTINCT metric FROM beginnings WHERE run = ? AND first_step <= ?", (run, step)
    )
    for (metric,) in names.fetchall():
        for session, series in read_parts(db, rows, run, metric, step, step).items():
            for value in series.value[series.step == step].tolist():
                metrics.setdefault(session, {})[metric] = value
    for session, series in read_parts(db, rows, run, TIMES, step, step).items():
        if step in series.step:  # a record without figures
            metrics.setdefault(session, {})
    tables = read_tables(db, run, step)
    return {
        session: (metrics.get(session, {}), tables.get(session, StepTables()))
        for session in Lineage.read(db, run).order
        if session in metrics or session in tables
    }


def read_tables(db: sqlite3.Connection, run: str, step: int) -> dict[int, StepTables]:
    """Return what goes along with a step, by session."""
    rows = db.execute(f"SELECT session, {COLUMNS} FROM step_tables WHERE run = ? AND step = ?", (run, step))
    return {session: unpack_tables(packed) for session, *packed in rows}


def unpack_tables(packed: Sequence[bytes | None]) -> StepTables:
    """Return tables of the values of COLUMNS; DamagedArchive: they are not what was written."""
    try:
        present = {
            name: msgspec.msgpack.decode(zstandard.decompress(part))
            for name, part in zip(StepTables.__struct_fields__, packed, strict=True)
            if part is not None
        }
        return msgspec.convert(present, StepTables)
    except (zstandard.ZstdError, msgspec.MsgspecError, TypeError, ValueError) as error:
        raise DamagedArchive(f"what goes along with a step is not what was written ({error})") from error


def _pack(part: Any) -> bytes | None:
    return None if part is None or part == () else _compressor().compress(msgspec.msgpack.encode(part))


def _compressor() -> zstandard.ZstdCompressor:
    """Return what adds a sum, by which damage is noticed when it is read."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True)
