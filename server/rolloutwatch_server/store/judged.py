"""What is read to judge a run again: its notes, and its shown figures step by step."""

import math
import sqlite3
from collections.abc import Collection, Iterable, Iterator

import msgspec
import numpy as np

from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.notes import FeedNote, unpack_note
from rolloutwatch_server.alerts.recorded import ANY
from rolloutwatch_server.store.columns import Shown
from rolloutwatch_server.store.portions import next_step

STEPS_AT_ONCE = 4096
STEPS_LOOKED_AT = 1000
STEPS_COUNTED = 21  # the last of these


def read_notes(
    db: sqlite3.Connection, run: str, kind: type[msgspec.Struct] | None = None
) -> Iterator[FeedNote]:
    """Yield the notes of a run, or those of a kind, in the order in which they were made."""
    where, values = (" AND kind = ?", (run, kind.__struct_config__.tag)) if kind else ("", (run,))
    for (content,) in db.execute(f"SELECT content FROM feed_notes WHERE run = ?{where} ORDER BY id", values):
        yield unpack_note(content)


def shown_pieces(
    db: sqlite3.Connection, run: str, metrics: Collection[str], first: int, last: int
) -> Iterator[Piece]:
    """Yield what is shown of each step, the figures named alone; others are there as ANY, since they make a step too."""
    names = [name for (name,) in db.execute("SELECT DISTINCT metric FROM beginnings WHERE run = ?", (run,))]
    time = 0.0
    while first <= last:
        begin = next_step(db, run, first)
        if begin is None or begin > last:
            return
        end = min(last, begin + STEPS_AT_ONCE - 1)
        for piece in _pieces(Shown(db, run, begin, end), names, set(metrics)):
            # a step of which nobody knows when it was made was made when the one before it was
            time = piece.time if math.isfinite(piece.time) else time
            yield Piece(piece.step, time, piece.session, piece.metrics)
        first = end + 1


def _pieces(shown: Shown, names: Collection[str], wanted: Collection[str]) -> Iterable[Piece]:
    found: dict[int, dict[str, float]] = {}
    others: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for name in names:
        series = shown.series(name)
        if name not in wanted:
            others.append(series.step)
            continue
        for step, value in zip(series.step.tolist(), series.value.tolist(), strict=True):
            figures = found.get(step)
            if figures is None:
                found[step] = {name: value}
            else:
                figures[name] = value
    for step in np.unique(np.concatenate(others)).tolist() if others else ():
        found.setdefault(step, {ANY: 0.0})
    times = shown.earliest_times()
    made = dict(zip(times.step.tolist(), times.value.tolist(), strict=True))
    return [Piece(step, made.get(step, math.nan), 0, figures) for step, figures in sorted(found.items())]


def seconds_per_step(db: sqlite3.Connection, run: str, last: int) -> float:
    """Return how long the last steps of a run took, as their median; 0 where that is not known."""
    times = Shown(db, run, max(0, last - STEPS_LOOKED_AT), last).times().value[-STEPS_COUNTED:]
    taken = np.diff(times[np.isfinite(times)])
    return float(max(np.median(taken), 0.0)) if len(taken) else 0.0
