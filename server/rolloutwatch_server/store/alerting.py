"""Alerts, and what people say of them: seen, silenced; and the rules in force."""

import itertools
import sqlite3

import msgspec

from rolloutwatch_contract.alerts import AlertView, FiringAlerts
from rolloutwatch_contract.protocol import SilenceView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts.notes import ReferenceRun
from rolloutwatch_server.store.alert_actions import (
    Action,
    PastSilence,
    What,
    acknowledged,
    expire,
    note_action,
    read_actions,
    read_past_silences,
)
from rolloutwatch_server.store.alert_rows import (
    FIRING,
    TransitionView,
    firing_alert,
    read_alerts,
    read_silences,
    read_transitions,
)
from rolloutwatch_server.store.judged import read_compared_with
from rolloutwatch_server.store.outgoing import Outgoing

STATES = {"firing": FIRING, "past": f"NOT ({FIRING})", "all": "1"}
FOR_EVER = 1e15  # seconds since 1970


class AlertHasEnded(RuntimeError):
    """Nobody can look after an alert that does not fire any more; the message says when it ended."""

    def __init__(self, alert: AlertView) -> None:
        since = (
            "was given up, because the run went back behind it"
            if alert.given_up
            else f"ended at step {alert.resolved_step}"
        )
        super().__init__(
            f"the alert {alert.rule} of {alert.run} {since}: only one that fires can be acknowledged, or that be taken back."
        )


class Alerting(Outgoing):
    """The part of the store that knows alerts. Times are seconds since 1970, `until` None is for ever."""

    def alerts(
        self,
        *,
        state: str = "firing",
        run: str | None = None,
        rule: str | None = None,
        severity: Severity | None = None,
        from_time: float | None = None,
        to_time: float | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[AlertView]:
        """Return alerts that fire, past ones, or all there ever were, the newest first; `before` is the last one seen so far.

        With times those that began from the one on and before the other.
        """
        where = [STATES[state]]
        for column, value in (("run", run), ("rule", rule)):
            where += [f"{column} = :{column}"] if value is not None else []
        where += ["severity = :severity"] if severity is not None else []
        where += ["firing_time >= :from_time"] if from_time is not None else []
        where += ["firing_time < :to_time"] if to_time is not None else []
        where += ["rowid < (SELECT rowid FROM alerts WHERE id = :before)"] if before is not None else []
        tail = f"WHERE {' AND '.join(where)} ORDER BY rowid DESC LIMIT :limit"
        values = {
            "run": run, "rule": rule, "before": before, "limit": limit, "from_time": from_time, "to_time": to_time,
            "severity": None if severity is None else int(severity),
        }  # fmt: skip
        with self._database.read() as db:
            return read_alerts(db, self._clock(), tail, values)

    def alert(self, alert: str) -> AlertView | None:
        """Return one alert, None if there is none of that id."""
        with self._database.read() as db:
            return _read(db, alert, self._clock())

    def alerts_at(self, run: str, step: int) -> list[AlertView]:
        """Return the alerts that stand after a step, as recorded, the one that began first being the first."""
        tail = (
            "WHERE run = ?1 AND firing_step <= ?2 AND given_up = 0 AND (resolved_step IS NULL OR resolved_step > ?2) "
            "ORDER BY firing_step, rowid"
        )
        with self._database.read() as db:
            return read_alerts(db, self._clock(), tail, (run, step))

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with since it began to be judged."""
        with self._database.read() as db:
            return read_compared_with(db, run)

    def firing(self, run: str) -> FiringAlerts | None:
        """Return what a trainer is told of the alerts of its run; None if no step of it was judged yet."""
        with self._database.read() as db:
            row = db.execute(
                "SELECT open_step, heard_at FROM alert_runs WHERE run = ? AND open_step IS NOT NULL", (run,)
            ).fetchone()
            if row is None:
                return None
            found = read_alerts(
                db, self._clock(), f"WHERE run = ? AND {FIRING} ORDER BY firing_step, rowid", (run,)
            )
        return FiringAlerts(step=row[0], time=row[1] or 0.0, alerts=tuple(map(firing_alert, found)))

    def transitions(
        self,
        run: str | None = None,
        *,
        rule: str | None = None,
        alert: str | None = None,
        from_step: int = 0,
        to_step: int = 2**62,
        limit: int = 1000,
    ) -> list[TransitionView]:
        """Return what happened to the alerts of a run, of one rule or of one alert, in the order in which it happened."""
        where = ["step BETWEEN :first AND :last"]
        for column, value in (("run", run), ("rule", rule)):
            where += [f"{column} = :{column}"] if value is not None else []
        if alert is not None:
            where.append("(run, rule, epoch) = (SELECT run, rule, epoch FROM alerts WHERE id = :alert)")
        tail = f"WHERE {' AND '.join(where)} ORDER BY id LIMIT :limit"
        values = {
            "run": run,
            "rule": rule,
            "alert": alert,
            "first": from_step,
            "last": to_step,
            "limit": limit,
        }
        with self._database.read() as db:
            return list(read_transitions(db, tail, values))

    @property
    def alert_changes(self) -> int:
        """Return a number that grows with every change of any alert, and is larger for a server that begins anew."""
        return self._alert_news.changes

    def runs_with_changed_alerts(self, since: int) -> set[str]:
        """Return the runs whose alerts have changed after so many changes; all that have any where that is not known."""
        changed = self._alert_news.since(since)
        if changed is not None:
            return changed
        with self._database.read() as db:
            return {run for (run,) in db.execute("SELECT DISTINCT run FROM alerts")}

    def acknowledge(
        self, alert: str, by: str, until: float | None = None, note: str = ""
    ) -> AlertView | None:
        """Note that somebody has seen an alert and looks after it; None if there is none of that id.

        AlertHasEnded: it does not fire any more, and stays as it is.
        """
        action = Action(
            time=self._clock(), what=What.ACKNOWLEDGED, by=by, until=until, note=note, run="", rule=""
        )
        return self._act(alert, action)

    def unacknowledge(self, alert: str, by: str = "") -> AlertView | None:
        """Take back that somebody has seen an alert; None if there is none of that id.

        AlertHasEnded: it does not fire any more, and stays as it is.
        """
        return self._act(alert, Action(time=self._clock(), what=What.TAKEN_BACK, by=by, run="", rule=""))

    def _act(self, alert: str, action: Action) -> AlertView | None:
        with self._database.write() as db:
            found = _read(db, alert, action.time)
            if found is None:
                return None
            if found.resolved_step is not None or found.given_up:
                raise AlertHasEnded(found)
            expire(db, alert, action.time)
            is_acknowledged = action.what is What.ACKNOWLEDGED
            if is_acknowledged or found.acknowledged_by:
                action = msgspec.structs.replace(action, run=found.run, rule=found.rule)
                note_action(db, action, alert)
                acknowledged(db, alert, action.by if is_acknowledged else "", action.until, action.note)
            found = _read(db, alert, action.time)
        self._alert_news.note(*([found.run] if found is not None else []))
        return found

    def actions(self, alert: AlertView) -> list[Action]:
        """Return what people have done to an alert, in the order in which they did."""
        with self._database.read() as db:
            return read_actions(db, alert, self._clock())

    def silence(self, run: str, rule: str, until: float | None, by: str, reason: str = "") -> int:
        """Let nobody be told of alerts of runs and rules that match two patterns; return the silence's id."""
        now, end = self._clock(), FOR_EVER if until is None else until
        row = (run, rule, end, by, reason, now)
        with self._database.write() as db:
            query = "INSERT INTO silences (run, rule, until, author, reason, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
            number = int(db.execute(query, row).fetchone()[0])
            what = What.SILENCED
            note_action(
                db,
                Action(
                    time=now, what=what, by=by, until=end, note=reason, run=run, rule=rule, silence=number
                ),
            )
        self._note_silenced(SilenceView(number, *row))
        return number

    def silences(self) -> list[SilenceView]:
        """Return the silences that are not over, the newest first."""
        with self._database.read() as db:
            return read_silences(db, self._clock())

    def past_silences(self, limit: int = 1000, before: int | None = None) -> list[PastSilence]:
        """Return all silences there ever were, the newest first; `before` is the id of the last one seen so far."""
        with self._database.read() as db:
            return read_past_silences(db, self._clock(), limit, before)

    def unsilence(self, silence: int, by: str = "") -> bool:
        """End a silence; tell whether there was one of that id. `end_silences` then does what is due."""
        now = self._clock()
        with self._database.write() as db:
            query = (
                "UPDATE silences SET until = ?1 WHERE id = ?2 AND until > ?1 "
                "RETURNING id, run, rule, until, author, reason, created_at"
            )
            row = db.execute(query, (now, silence)).fetchone()
            if row is not None:
                _, run, rule, *_ = row
                what = What.SILENCE_TAKEN_BACK
                note_action(db, Action(time=now, what=what, by=by, run=run, rule=rule, silence=silence))
        if row is not None:
            self._note_silenced(SilenceView(*row))
        return row is not None

    def _note_silenced(self, *silences: SilenceView) -> None:
        with self._database.read() as db:
            firing = db.execute(f"SELECT DISTINCT run, rule FROM alerts WHERE {FIRING}").fetchall()
        runs = {run for (run, rule), one in itertools.product(firing, silences) if one.covers(run, rule)}
        self._alert_news.note(*sorted(runs))


def _read(db: sqlite3.Connection, alert: str, now: float) -> AlertView | None:
    return next(iter(read_alerts(db, now, "WHERE id = ?", (alert,))), None)
