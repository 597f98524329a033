"""What is read to judge a run again: its notes, and its shown figures step by step."""

import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.conditions import by_clock
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.notes import (
    Began,
    FeedNote,
    LateFigures,
    OtherRules,
    ReferenceRun,
    Was,
    unpack_note,
)
from rolloutwatch_server.alerts.recorded import ANY
from rolloutwatch_server.alerts.state import Transition
from rolloutwatch_server.store.alert_rows import read_transitions
from rolloutwatch_server.store.columns import Shown
from rolloutwatch_server.store.portions import next_step

Steps = npt.NDArray[np.int64]

STEPS_AT_ONCE = 4096


def read_notes(
    db: sqlite3.Connection, run: str, kind: type[msgspec.Struct] | None = None, first: int = -1
) -> Iterator[FeedNote]:
    """Yield the notes of a run from a step on, or those of a kind, in the order in which they were made."""
    tag = None if kind is None else kind.__struct_config__.tag
    query = "SELECT content FROM feed_notes WHERE run = ?1 AND step >= ?2 AND (?3 IS NULL OR kind = ?3) ORDER BY id"
    for (content,) in db.execute(query, (run, first, tag)):
        yield unpack_note(content)


def read_compared_with(db: sqlite3.Connection, run: str) -> ReferenceRun:
    """Return what a run is compared with since it last began to be judged."""
    query = "SELECT content FROM feed_notes WHERE run = ? AND kind = 'began' ORDER BY id DESC LIMIT 1"
    row = db.execute(query, (run,)).fetchone()
    note = None if row is None else unpack_note(row[0])
    return note.reference if isinstance(note, Began) else ReferenceRun()


def noted_steps(notes: Iterable[FeedNote]) -> set[int]:
    """Return the steps of which not all that is shown was judged, or otherwise."""
    return {note.step for note in notes if isinstance(note, Was | LateFigures)}


def shown_pieces(
    db: sqlite3.Connection,
    run: str,
    metrics: Collection[str],
    first: int,
    last: int,
    noted: Collection[int],
) -> Iterator[Piece]:
    """Yield what is shown of each step, the figures named alone; others are there as ANY, since they make a step too.

    Of the steps `noted` all figures are there.
    """
    exact = np.array(sorted(noted), dtype=np.int64)
    names = [name for (name,) in db.execute("SELECT DISTINCT metric FROM beginnings WHERE run = ?", (run,))]
    time = 0.0
    while first <= last:
        begin = next_step(db, run, first)
        if begin is None or begin > last:
            return
        end = min(last, begin + STEPS_AT_ONCE - 1)
        for piece in _pieces(Shown(db, run, begin, end), names, set(metrics), exact):
            # a step of which nobody knows when it was made was made when the one before it was
            time = piece.time if math.isfinite(piece.time) else time
            yield msgspec.structs.replace(piece, time=time)
        first = end + 1


def _pieces(shown: Shown, names: Collection[str], wanted: Collection[str], exact: Steps) -> Iterable[Piece]:
    found: dict[int, tuple[dict[str, float], dict[str, int]]] = {}
    others: list[Steps] = []
    for name in names:
        series, sessions = shown.spoken(name)
        if name not in wanted:
            is_exact = np.isin(series.step, exact)
            others.append(series.step[~is_exact])
            series, sessions = Series(series.step[is_exact], series.value[is_exact]), sessions[is_exact]
        rows = zip(series.step.tolist(), series.value.tolist(), sessions.tolist(), strict=True)
        for step, value, session in rows:
            known = found.get(step)
            if known is None:
                found[step] = {name: value}, {name: session}
            else:
                known[0][name], known[1][name] = value, session
    for step in np.unique(np.concatenate(others)).tolist() if others else ():
        found.setdefault(step, ({ANY: 0.0}, {}))
    times = shown.earliest_times()
    made = dict(zip(times.step.tolist(), times.value.tolist(), strict=True))
    return [
        Piece(step, made.get(step, math.nan), 0, figures, speakers)
        for step, (figures, speakers) in sorted(found.items())
    ]


class Judged:
    """A run as it was judged, and what was recorded of that, at one moment of the archive."""

    def __init__(self, db: sqlite3.Connection, run: str, rules_of: Callable[[int], tuple[Rule, ...]]) -> None:
        self._db = db
        self.run = run
        self._rules_of = rules_of
        self.notes = list(read_notes(db, run))

    @property
    def versions(self) -> list[int]:
        """The versions of the rules by which it was judged, in order."""
        return [note.rule_set for note in self.notes if isinstance(note, Began | OtherRules)]

    def rules_of(self, version: int) -> tuple[Rule, ...]:
        """Return those rules of a version that watch the run."""
        return tuple(rule for rule in self._rules_of(version) if rule.applies_to(self.run))

    def pieces(self, metrics: Collection[str], last: int = MAX_STEP) -> Iterator[Piece]:
        """Yield what is shown of each step, for `recorded.replay`, up to a step."""
        return shown_pieces(self._db, self.run, metrics, 0, last, noted_steps(self.notes))

    def by_clock(self) -> dict[tuple[str, int], Rule]:
        """Return the alerts that the clock judged, each by rule and epoch, with the rule as it was then."""
        rules = {
            (rule.name, rule.when.text): rule
            for version in self.versions
            for rule in self.rules_of(version)
            if by_clock(rule.when.node)
        }
        rows = self._db.execute("SELECT rule, epoch, condition FROM alerts WHERE run = ?", (self.run,))
        return {(rule, epoch): rules[rule, text] for rule, epoch, text in rows if (rule, text) in rules}

    def recorded(self) -> list[tuple[str, Transition]]:
        """Return what happened to alerts, given up things left out, each with the name of its rule."""
        tail = "WHERE run = ? AND given_up = 0 ORDER BY id"
        return [
            (
                one.rule,
                Transition(
                    change=one.change, epoch=one.epoch, step=one.step, time=one.time, values=one.values,
                    reason=one.reason, quiet=one.quiet,
                ),
            )
            for one in read_transitions(self._db, tail, (self.run,))
        ]  # fmt: skip
