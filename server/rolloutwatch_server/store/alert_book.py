"""What the engine reads of alerts and writes, in the transaction of the records that make it."""

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
import numpy as np

from rolloutwatch_contract.alerts import Change, event_id
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.book import RunRow
from rolloutwatch_server.alerts.feed import Memory, Piece
from rolloutwatch_server.alerts.notes import (
    TIME,
    FeedNote,
    LateFigures,
    ReferenceRun,
    Was,
    kind_of,
    pack_note,
)
from rolloutwatch_server.alerts.overlaps import Figure, Figures
from rolloutwatch_server.alerts.recorded import pieces_alone
from rolloutwatch_server.alerts.state import AlertState
from rolloutwatch_server.store.alert_actions import expire
from rolloutwatch_server.store.alert_changes import Changes
from rolloutwatch_server.store.alert_rows import FIRING, RuleSetView
from rolloutwatch_server.store.columns import Shown
from rolloutwatch_server.store.continuation import SECONDS_UNTIL_STALLED
from rolloutwatch_server.store.database import StoreError
from rolloutwatch_server.store.judged import noted_steps, read_compared_with, read_notes, shown_pieces
from rolloutwatch_server.store.lineage import Lineage
from rolloutwatch_server.store.reference import read_reference, reference_of

_state = msgspec.msgpack.Decoder(AlertState).decode
_memory = msgspec.msgpack.Decoder(Memory).decode
_pack = msgspec.msgpack.Encoder().encode


class Documents:
    """The rules of each version, read once."""

    def __init__(self) -> None:
        self._rules: dict[int, tuple[Rule, ...]] = {}

    def rules_of(self, db: sqlite3.Connection, version: int) -> tuple[Rule, ...]:
        """Return the rules of a version; LookupError if there is none."""
        if version not in self._rules:
            row = db.execute("SELECT document FROM rule_sets WHERE id = ?", (version,)).fetchone()
            if row is None:
                raise LookupError(f"there are no rules of version {version}.")
            self._rules[version] = parse_rules(row[0], f"rules of version {version}", None).rules
        return self._rules[version]


class AlertBook(Changes):
    """`alerts.book.Book` in an open transaction."""

    def __init__(self, db: sqlite3.Connection, now: float, documents: Documents) -> None:
        super().__init__(db, now)
        self._documents = documents

    def reference(self, run: str, behind: int, metrics: Collection[str]) -> ReferenceRun:
        """Return the reference run of a run's project, and the figures of it that a run is compared with behind a step."""
        name = reference_of(self._db, run)
        return ReferenceRun(name, read_reference(self._db, name, behind, metrics)) if name else ReferenceRun()

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with since it began to be judged."""
        return read_compared_with(self._db, run)

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """Hold what an exception undoes, without undoing what was before."""
        self._db.execute("SAVEPOINT judging")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO judging")
                self._db.execute("RELEASE judging")
            raise
        self._db.execute("RELEASE judging")

    def is_trouble_of_its_own(self, error: BaseException) -> bool:
        """Tell whether an error is one of the archive, and no mistake in judging."""
        return isinstance(error, sqlite3.Error | StoreError | OSError)

    def version_in_force(self) -> int:
        """Return the version of the rules in force; the default ones of this version are kept as one too."""
        one = read_rule_set(self._db)
        if one.version and not (one.origin == DEFAULT and one.document != DEFAULT_DOCUMENT):
            return one.version
        return add_rule_set(self._db, self.now, DEFAULT_DOCUMENT, DEFAULT, "")

    def rules_of(self, version: int) -> tuple[Rule, ...]:
        """Return the rules of a version."""
        return self._documents.rules_of(self._db, version)

    def run(self, run: str) -> RunRow | None:
        """Return how far a run is judged, None if nothing of it ever was."""
        row = self._db.execute(
            "SELECT came, rule_set, heard_at, skew, ended, birth, broken, open_step FROM alert_runs WHERE run = ?",
            (run,),
        ).fetchone()
        if row is None:
            return None
        came, rule_set, heard_at, skew, ended, birth, broken, step = row
        memory = Memory(step=-1 if step is None else step) if broken else _memory(came)
        return RunRow(memory, rule_set, heard_at, skew, bool(ended), birth, broken)

    def new_run(self, run: str) -> RunRow:
        """Return how a run begins to be judged: behind what is there of it already."""
        row = self._db.execute("SELECT last_step FROM runs WHERE id = ?", (run,)).fetchone()
        begun = -1 if row is None or row[0] is None else int(row[0])
        birth = self._db.execute("SELECT coalesce(max(id), 0) FROM removals WHERE run = ?", (run,)).fetchone()
        return RunRow(Memory(step=begun, begun=begun), birth=int(birth[0]))

    def states(self, run: str) -> dict[str, AlertState]:
        """Return how the rules of a run stand, by name."""
        rows = self._db.execute("SELECT rule, state FROM alert_states WHERE run = ?", (run,))
        return {rule: _state(state) for rule, state in rows}

    def save_run(self, run: str, row: RunRow, memory: Memory) -> None:
        """Keep how far a run is judged."""
        step = memory.step if memory.step >= 0 else None
        self._db.execute(
            "INSERT INTO alert_runs (run, open_step, rule_set, begun, heard_at, skew, ended, came, birth, broken) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE SET open_step = excluded.open_step, "
            "rule_set = excluded.rule_set, begun = excluded.begun, heard_at = excluded.heard_at, skew = excluded.skew, "
            "ended = excluded.ended, came = excluded.came, birth = excluded.birth, broken = excluded.broken",
            (
                run, step, row.rule_set, memory.begun, row.heard_at, row.skew, int(row.ended), _pack(memory),
                row.birth, row.broken,
            ),
        )  # fmt: skip

    def save_states(self, run: str, states: Mapping[str, AlertState]) -> None:
        """Keep how rules of a run stand that changed."""
        if not states:
            return
        self._db.executemany(
            "INSERT OR REPLACE INTO alert_states (run, rule, state) VALUES (?, ?, ?)",
            [(run, rule, _pack(state)) for rule, state in states.items()],
        )

    def note(self, run: str, note: FeedNote) -> None:
        """Keep a note; one of figures that were judged otherwise takes the place of the former one of its step."""
        kind = kind_of(note)
        if isinstance(note, Was):
            where = (run, note.step, kind)
            self._db.execute("DELETE FROM feed_notes WHERE run = ? AND step = ? AND kind = ?", where)
            if not note.figures:
                return
        self._db.execute(
            "INSERT INTO feed_notes (run, step, kind, content) VALUES (?, ?, ?, ?)",
            (run, note.step, kind, pack_note(note)),
        )

    def noted(self, run: str, first: int = 0) -> dict[int, Was]:
        """Return the notes of figures that were judged otherwise than they are shown, by step, from one on."""
        return {note.step: note for note in read_notes(self._db, run, Was, first) if isinstance(note, Was)}

    def late(self, run: str, first: int) -> set[tuple[int, str]]:
        """Return the figures of a run that were judged late, by themselves: step and metric, from a step on."""
        read = read_notes(self._db, run, LateFigures, first)
        notes = [note for note in read if isinstance(note, LateFigures)]
        return {(note.step, metric) for note in notes for metric in note.figures}

    def go_back(self, run: str, birth: int, step: int, time: float) -> None:
        """Give up what happened from a step on, and notes of figures that nobody looks at any more."""
        for one in (Was, LateFigures):
            kind = str(one.__struct_config__.tag)
            where = (run, step, kind)
            self._db.execute("DELETE FROM feed_notes WHERE run = ? AND step >= ? AND kind = ?", where)
        self.give_up(run, birth, step, time)

    def mark_broken(self, run: str, reason: str) -> None:
        """Keep that a run is not judged any more, and why."""
        self._db.execute(
            "INSERT INTO alert_runs (run, came, broken) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (run) DO UPDATE SET broken = ?3",
            (run, _pack(Memory()), reason),
        )

    def shown(self, run: str, metrics: Collection[str], first: int) -> Figures:
        """Return what is shown of metrics from a step on."""
        shown = Shown(self._db, run, first, 2**62)
        found: Figures = {}
        for metric in metrics:
            if metric == TIME:
                series = shown.earliest_times()
                sessions = np.zeros_like(series.step)
            else:
                series, sessions = shown.spoken(metric)
            rows = zip(series.step.tolist(), series.value.tolist(), sessions.tolist(), strict=True)
            found.update({(step, metric): Figure(value, session) for step, value, session in rows})
        return found

    def metrics(self, run: str) -> Collection[str]:
        """Return the metrics of a run."""
        return [
            m for (m,) in self._db.execute("SELECT DISTINCT metric FROM beginnings WHERE run = ?", (run,))
        ]

    def ranks(self, run: str) -> Mapping[int, int]:
        """Return of each session how late it started among those of its run."""
        return {session: rank for rank, session in enumerate(Lineage.read(self._db, run).order)}

    def pieces(self, run: str, metrics: Collection[str], first: int, last: int) -> Iterable[Piece]:
        """Return what was judged of a run from one step to another, in that order."""
        notes = [note for note in read_notes(self._db, run) if note.step >= first]
        shown = shown_pieces(self._db, run, metrics, first, last, noted_steps(notes))
        yield from pieces_alone(shown, notes)

    def is_alive(self, run: str) -> bool:
        """Tell whether a session of a run is at work."""
        query = "SELECT 1 FROM sessions WHERE run = ? AND outcome IS NULL AND heard_at > ? LIMIT 1"
        row = self._db.execute(query, (run, self.now - SECONDS_UNTIL_STALLED)).fetchone()
        return row is not None

    def firing(self) -> dict[str, set[str]]:
        """Return the runs that have alerts which fire, with the rules that these are of."""
        found: dict[str, set[str]] = {}
        for run, rule in self._db.execute(f"SELECT run, rule FROM alerts WHERE {FIRING} ORDER BY run"):
            found.setdefault(run, set()).add(rule)
        return found

    def rule_set_of(self, run: str) -> int:
        """Return the version of the rules that a run is judged by."""
        (version,) = self._db.execute("SELECT rule_set FROM alert_runs WHERE run = ?", (run,)).fetchone()
        return int(version)


DEFAULT = "default"  # the origin of the default rules


def add_rule_set(db: sqlite3.Connection, now: float, document: str, origin: str, author: str) -> int:
    """Keep rules as those in force; return their version."""
    query = "INSERT INTO rule_sets (time, author, origin, document) VALUES (?, ?, ?, ?) RETURNING id"
    return int(db.execute(query, (now, author, origin, document)).fetchone()[0])


def read_rule_set(db: sqlite3.Connection) -> RuleSetView:
    """Return the rules in force as written, the default ones if none were ever saved."""
    row = db.execute(
        "SELECT id, origin, author, time, document FROM rule_sets ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return RuleSetView(0, DEFAULT, "", 0.0, DEFAULT_DOCUMENT) if row is None else RuleSetView(*row)


def tell_again(db: sqlite3.Connection, alert: str, now: float) -> str | None:
    """Note that an alert still fires, for people to be told; return its run, None if it does not."""
    row = db.execute(
        f"SELECT run, rule, epoch, severity, firing_step, vals, repeats + 1 FROM alerts WHERE id = ? AND {FIRING}",
        (alert,),
    ).fetchone()
    if row is None:
        return None
    run, rule, epoch, severity, firing_step, values, count = row
    event = event_id(run, rule, Change.REPEAT, epoch, count)
    step = db.execute("SELECT max(open_step, ?) FROM alert_runs WHERE run = ?", (firing_step, run)).fetchone()
    db.execute(
        "INSERT INTO transitions (event, run, rule, change, epoch, severity, step, time, seen_at, vals, during) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?7)",
        (event, run, rule, Change.REPEAT.value, epoch, severity, step[0] if step else firing_step, now, now, values),
    )  # fmt: skip
    db.execute(
        "INSERT INTO outbox (event, run, severity, late, created_at) VALUES (?, ?, ?, 0, ?)",
        (event, run, severity, now),
    )
    db.execute(
        "UPDATE alerts SET told_at = ?, repeats = ? WHERE id = ?",
        (now, count, alert),
    )
    expire(db, alert, now)
    return str(run)
