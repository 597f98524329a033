"""What transitions do to the alerts that people see, and to what they are told."""

import sqlite3

from rolloutwatch_contract.alerts import Change, event_id
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.state import Transition
from rolloutwatch_server.store.alert_rows import pack_values


class Changes:
    """Transitions, alerts and the outbox, in an open transaction."""

    def __init__(self, db: sqlite3.Connection, now: float) -> None:
        self._db = db
        self.now = now

    def happened(
        self,
        run: str,
        birth: int,
        rule: Rule,
        transition: Transition,
        late: bool,
        *,
        during: int | None = None,
        is_told: bool = True,
    ) -> None:
        """Keep what happened to an alert, and that somebody is to be told of it unless it is of the past.

        `during` is the step that was open, where that is not the transition's own.
        """
        at = transition.step if during is None else during
        event = self._add(run, birth, rule.name, int(rule.severity), transition, late, at, is_told)
        match transition.change:
            case Change.FIRING:
                self._fire(event, run, rule, transition, late, is_told)
            case Change.RESOLVED:
                self._resolve(run, rule.name, transition)
            case Change.FLAPPING | Change.STABLE:
                self._flap(run, rule.name, transition)
            case Change.REPEAT:
                pass

    def give_up(self, run: str, birth: int, step: int, time: float) -> None:
        """Give up what happened from a step on; an alert that began before and ended after that ends there."""
        self._db.execute("UPDATE transitions SET given_up = 1 WHERE run = ? AND during >= ?", (run, step))
        self._db.execute(
            "UPDATE alerts SET given_up = 1 WHERE id IN (SELECT event FROM transitions WHERE run = ? AND during >= ?)",
            (run, step),
        )
        reopened = self._db.execute(
            "SELECT rule, epoch, severity FROM alerts WHERE run = ? AND given_up = 0 AND resolved_step IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM transitions AS one WHERE one.run = alerts.run AND one.rule = alerts.rule "
            "AND one.epoch = alerts.epoch AND change = 'resolved' AND one.given_up = 0)",
            (run,),
        ).fetchall()
        for rule, epoch, severity in reopened:
            reason = f"the run went back to step {step}"
            end = Transition(
                change=Change.RESOLVED, epoch=epoch, step=step, time=time, reason=reason, quiet=True
            )
            self._add(run, birth, rule, severity, end, late=False, during=step, is_told=False)
            self._resolve(run, rule, end)

    def _add(
        self,
        run: str,
        birth: int,
        rule: str,
        severity: int,
        transition: Transition,
        late: bool,
        during: int,
        is_told: bool,
    ) -> str:
        """Keep a transition, and perhaps that somebody is to be told of it; return the event's id."""
        one = transition
        same = (run, rule, one.change.value, one.epoch)
        query = "SELECT count(*) FROM transitions WHERE run = ? AND rule = ? AND change = ? AND epoch = ?"
        # more than one if the run went back behind an end, and comes to another
        count = self._db.execute(query, same).fetchone()[0]
        # a run that was deleted and is there anew begins to count anew: its events are others
        event = event_id(f"{run}\n{birth}" if birth else run, rule, one.change, one.epoch, count)
        self._db.execute(
            "INSERT INTO transitions (event, run, rule, change, epoch, severity, step, time, seen_at, vals, reason, "
            "quiet, late, during, given_up) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "iif(?4 = 'resolved', coalesce((SELECT given_up FROM alerts WHERE run = ?2 AND rule = ?3 AND epoch = ?5), 0), 0))",
            (
                event, *same, severity, one.step, one.time, self.now, pack_values(one.values), one.reason,
                int(one.quiet), int(late), during,
            ),
        )  # fmt: skip
        if is_told and not one.quiet:
            self._db.execute(
                "INSERT INTO outbox (event, run, severity, late, created_at) VALUES (?, ?, ?, ?, ?)",
                (event, run, severity, int(late), self.now),
            )
        return event

    def _fire(
        self, event: str, run: str, rule: Rule, transition: Transition, late: bool, is_told: bool
    ) -> None:
        told_at = self.now if is_told and not transition.quiet else None
        self._db.execute(
            "INSERT INTO alerts (id, run, rule, epoch, severity, condition, summary, cure, guide, firing_step, firing_time, "
            "vals, flapping, late, told_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event, run, rule.name, transition.epoch, int(rule.severity), rule.when.text, rule.summary, rule.cure,
                rule.guide, transition.step, transition.time, pack_values(transition.values), int(transition.quiet),
                int(late), told_at,
            ),
        )  # fmt: skip

    def _resolve(self, run: str, rule: str, transition: Transition) -> None:
        # one that the run went back behind may have begun behind where it ends
        self._db.execute(
            "UPDATE alerts SET resolved_step = max(?, firing_step), resolved_time = max(?, firing_time), reason = ? "
            "WHERE run = ? AND rule = ? AND epoch = ?",
            (transition.step, transition.time, transition.reason, run, rule, transition.epoch),
        )

    def _flap(self, run: str, rule: str, transition: Transition) -> None:
        flapping = int(transition.change is Change.FLAPPING)
        self._db.execute(
            "UPDATE alerts SET flapping = ?1, told_at = ?2 WHERE run = ?3 AND rule = ?4 AND epoch = ?5",
            (flapping, self.now, run, rule, transition.epoch),
        )
