"""What there is to look at again and again: runs that are judged, and what has happened to alerts since the last time."""

import msgspec

from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.store.alert_book import DEFAULT, read_rule_set
from rolloutwatch_server.store.alert_rows import RuleSetView, TransitionView, read_transitions
from rolloutwatch_server.store.ruling import Ruling


class JudgedRun(msgspec.Struct, frozen=True):
    """A run that has not ended: the last step that was judged, and when figures came last, by the server's clock."""

    run: str
    open_step: int
    heard_at: float


class Stands(msgspec.Struct, frozen=True):
    """How rules stand on a run: the phases of those that do not stand as at the beginning, and the metrics that came."""

    phases: dict[str, str]
    came: frozenset[str]


class Watching(Ruling):
    """The part of the store that is read by the clock."""

    def now(self) -> float:
        """Return the time by the archive's clock, in seconds since 1970."""
        return self._clock()

    def judged_runs(self) -> list[JudgedRun]:
        """Return the runs that have not ended and of which a step was judged."""
        query = (
            "SELECT run, open_step, coalesce(heard_at, 0.0) FROM alert_runs "
            "WHERE ended = 0 AND open_step IS NOT NULL ORDER BY run"
        )
        with self._database.read() as db:
            return [JudgedRun(*row) for row in db.execute(query)]

    def ended_runs(self, since: float) -> list[str]:
        """Return the runs that have ended and of which figures came at a time or later."""
        query = "SELECT run FROM alert_runs WHERE ended = 1 AND open_step IS NOT NULL AND heard_at >= ? ORDER BY run"
        with self._database.read() as db:
            return [run for (run,) in db.execute(query, (since,))]

    def last_transition(self) -> int:
        """Return the number of the newest transition, 0 if there is none."""
        with self._database.read() as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM transitions").fetchone()[0])

    def transitions_after(self, number: int, limit: int) -> list[tuple[int, str, TransitionView]]:
        """Return what has happened since the transition of a number, the newest `limit` of it, in order.

        Each comes with its number, and the id of its alert.
        """
        newest = "WHERE id > ?1 ORDER BY id DESC LIMIT ?2"
        with self._database.read() as db:
            numbers = db.execute(
                "SELECT id, (SELECT alerts.id FROM alerts WHERE (alerts.run, alerts.rule, alerts.epoch) = "
                f"(transitions.run, transitions.rule, transitions.epoch)) FROM transitions {newest}",
                (number, limit),
            ).fetchall()
            found = list(read_transitions(db, newest, (number, limit)))
        return [(at, alert or "", one) for (at, alert), one in zip(numbers, found, strict=True)][::-1]

    def rules_in_force(self) -> tuple[RuleSetView, tuple[Rule, ...]]:
        """Return the rules in force, as they were written and as they are read; the default ones are those of this version."""
        with self._database.read() as db:
            one = read_rule_set(db)
            if one.origin != DEFAULT:
                return one, self._documents.rules_of(db, one.version)
        return msgspec.structs.replace(one, document=DEFAULT_DOCUMENT), DEFAULT_RULES

    def stands(self, run: str) -> Stands:
        """Return how rules stand on a run."""
        with self._database.read() as db:
            book = self._book(db)
            row, states = book.run(run), book.states(run)
        phases = {rule: state.phase.value for rule, state in states.items()}
        return Stands(phases, frozenset() if row is None else frozenset(row.memory.last))
