"""Runs that were never judged while they went on: imported ones, and those of an archive that is older than its rules.

They are judged once, by the rules in force, when nobody is at work on them; nobody is told of what is found.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Memory
from rolloutwatch_server.alerts.notes import Began, OtherConfig, ReferenceRun, RunEnded
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.recorded import Happened
from rolloutwatch_server.store.alert_book import AlertBook
from rolloutwatch_server.store.judged import shown_pieces
from rolloutwatch_server.store.portions import next_step, read_history

STEPS_OF_A_BITE = 1024


class Past:
    """A run of the past that is being judged, in bites; nothing is written before the last one."""

    def __init__(
        self,
        run: str,
        version: int,
        plan: Plan,
        history: object,
        reference: ReferenceRun,
        configured: Sequence[int],
    ) -> None:
        self.run = run
        self._version = version
        self._history = history
        self._reference = reference
        self._configured = configured
        self._alerts = RunAlerts(
            plan, memory=Memory(configured=tuple(configured)), reference=reference.values
        )
        self._metrics = {metric for metrics in plan.metrics_of for metric in metrics}
        self._happened: list[Happened] = []
        self._next = 0

    def bite(self, db: sqlite3.Connection) -> bool | None:
        """Judge some more steps; tell whether there are more, None if the run is not what it was when this began."""
        if read_history(db, self.run) != self._history:
            return None
        begin = next_step(db, self.run, self._next)
        if begin is None:
            return False
        last = begin + STEPS_OF_A_BITE - 1
        for piece in shown_pieces(db, self.run, self._metrics, begin, last, ()):
            self._happened += self._alerts.feed(piece).transitions
        self._next = last + 1
        return True

    def write(self, db: sqlite3.Connection, book: AlertBook) -> bool:
        """Keep what was found; tell whether that was so: not of a run that somebody has come to work on meanwhile."""
        if book.run(self.run) is not None or read_history(db, self.run) != self._history:
            return False
        row = book.new_run(self.run)
        (ended,) = db.execute("SELECT updated_at FROM runs WHERE id = ?", (self.run,)).fetchone()
        self._happened += self._alerts.end(ended).transitions
        row.rule_set, row.ended = self._version, True
        book.note(self.run, Began(-1, book.now, self._version, -1, self._reference))
        for step in self._configured:
            book.note(self.run, OtherConfig(step, ended))
        book.note(self.run, RunEnded(self._alerts.open_step, ended))
        for rule, transition in self._happened:
            book.happened(self.run, row.birth, rule, transition, late=False, is_told=False)
        book.save_states(self.run, self._alerts.states)
        book.save_run(self.run, row, self._alerts.memory())
        return True


def unjudged_run(db: sqlite3.Connection, states: Mapping[str, RunState]) -> str | None:
    """Return a run that was never judged and that nobody is at work on, the newest one; None if there is none."""
    query = (
        "SELECT id FROM runs WHERE last_step IS NOT NULL AND id NOT IN (SELECT run FROM alert_runs) "
        "ORDER BY updated_at DESC"
    )
    return next((run for (run,) in db.execute(query) if states.get(run) is not RunState.LIVE), None)
