"""A long run read piece by piece, so that it never stands in memory as a whole."""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_server.store.attempts import COLUMNS as TABLES
from rolloutwatch_server.store.attempts import StepTables, unpack_tables
from rolloutwatch_server.store.columns import Shown
from rolloutwatch_server.store.database import Database, StoreError
from rolloutwatch_server.store.lineage import Lineage

FURTHER = 16  # times
TABLES_AT_ONCE = 32  # steps; the tables of one are a megabyte at the most


class Portion(msgspec.Struct, frozen=True):
    """The shown figures of n steps, ascending.

    `step` int64 [n], `time` float64 [n] (seconds since 1970, NaN where not known), `values` float64 [n] for each metric;
    `present` bool [n] tells a value that came, as NaN perhaps, from none.
    """

    step: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]
    values: dict[str, npt.NDArray[np.float64]]
    present: dict[str, npt.NDArray[np.bool_]]


class Resumed(StoreError):
    """A run was resumed, or deleted, while it was read: what was read first is not shown any more."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run} was resumed from an earlier step, or deleted, while it was read: read it again from the beginning."
        )


def read_portions(
    database: Database, run: str, metrics: Sequence[str], first: int, last: int, steps: int, bare: bool
) -> Iterator[Portion]:
    """Yield the figures of steps `first` to `last`, with `bare` also steps that have none; Resumed: it went back."""
    history, width = None, steps
    while first <= last:
        with database.read() as db:
            history = _same_history(db, run, history)
            begin = next_step(db, run, first)
            if begin is None or begin > last:
                return
            end = min(last, begin + width - 1)
            shown = Shown(db, run, begin, end)
            times = shown.times().step
            if len(times) > steps:
                end = int(times[steps - 1])
                shown = Shown(db, run, begin, end)
            portion = _portion(shown, metrics, bare)
        count = len(portion.step)
        if count:
            yield portion
        first = end + 1
        # steps may be far apart: where few are found, the next look goes further
        width = width * FURTHER if count * FURTHER < steps else max(steps, width // FURTHER)


def read_all_tables(database: Database, run: str, first: int, last: int) -> Iterator[tuple[int, StepTables]]:
    """Yield what goes along with each of the steps `first` to `last`; Resumed: the run went back meanwhile."""
    history = None
    while first <= last:
        with database.read() as db:
            history = _same_history(db, run, history)
            query = "SELECT DISTINCT step FROM step_tables WHERE run = ? AND step BETWEEN ? AND ? ORDER BY step LIMIT ?"
            steps = [step for (step,) in db.execute(query, (run, first, last, TABLES_AT_ONCE))]
            if not steps:
                return
            found = _shown_tables(db, run, first, steps[-1])
        yield from found
        first = steps[-1] + 1


def _shown_tables(db: sqlite3.Connection, run: str, first: int, last: int) -> list[tuple[int, StepTables]]:
    lineage = Lineage.read(db, run)
    rank = {session: number for number, session in enumerate(lineage.order)}
    rows = db.execute(
        f"SELECT step, session, {TABLES} FROM step_tables WHERE run = ? AND step BETWEEN ? AND ? ORDER BY step",
        (run, first, last),
    )
    shown: dict[int, tuple[int, Sequence[bytes | None]]] = {}
    for step, session, *packed in rows:
        speaks = session in rank and step < lineage.end_of_marks(session)
        if speaks and (step not in shown or rank[shown[step][0]] < rank[session]):
            shown[step] = session, packed
    return [(step, unpack_tables(packed)) for step, (_, packed) in shown.items()]


def _portion(shown: Shown, metrics: Sequence[str], bare: bool) -> Portion:
    series = {metric: shown.series(metric) for metric in metrics}
    times = shown.times()
    steps = [times.step[: None if bare else 0], *(one.step for one in series.values())]
    step = np.unique(np.concatenate(steps))
    time = _placed(step, times.step, times.value)
    values = {metric: _placed(step, one.step, one.value) for metric, one in series.items()}
    present = {metric: np.isin(step, one.step, assume_unique=True) for metric, one in series.items()}
    return Portion(step, time, values, present)


def _placed(
    step: npt.NDArray[np.int64], at: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return values at other steps than they stand at, NaN where there is none."""
    placed = np.full(len(step), np.nan)
    if len(at):
        places = np.searchsorted(at, step).clip(max=len(at) - 1)
        there = at[places] == step
        placed[there] = values[places[there]]
    return placed


def read_history(db: sqlite3.Connection, run: str) -> object:
    """Return what is equal as long as nothing that is shown of a run is withdrawn."""
    # the first session tells a run from another one of the same id, that began when it was deleted
    first = db.execute("SELECT min(id) FROM sessions WHERE run = ?", (run,)).fetchone()[0]
    return first, Lineage.read(db, run).takeovers()


def _same_history(db: sqlite3.Connection, run: str, former: object) -> object:
    history = read_history(db, run)
    if former not in (None, history):
        raise Resumed(run)
    return history


def next_step(db: sqlite3.Connection, run: str, first: int) -> int | None:
    """Return a step that is not behind the next one there is, so that a hole in the steps is stepped over."""
    query = (
        "SELECT min(step) FROM (SELECT max(min(first_step), ?2) AS step FROM chunks WHERE run = ?1 AND last_step >= ?2 "
        "UNION ALL SELECT min(step) FROM recent WHERE run = ?1 AND step >= ?2)"
    )
    row = db.execute(query, (run, first)).fetchone()
    return None if row[0] is None else int(row[0])
