"""Alerts, and what people say of them: seen, silenced; and the rules in force."""

import itertools

from rolloutwatch_contract.alerts import AlertView, FiringAlerts
from rolloutwatch_contract.protocol import SilenceView
from rolloutwatch_server.store.alert_rows import (
    FIRING,
    TransitionView,
    firing_alert,
    read_alerts,
    read_silences,
    read_transitions,
)
from rolloutwatch_server.store.outgoing import Outgoing

FOR_EVER = 1e15  # seconds since 1970


class Alerting(Outgoing):
    """The part of the store that knows alerts. Times are seconds since 1970, `until` None is for ever."""

    def alerts(
        self,
        *,
        state: str = "firing",
        run: str | None = None,
        rule: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[AlertView]:
        """Return alerts that fire, or all there ever were, the newest first; `before` is the last one seen so far."""
        where = [FIRING] if state == "firing" else ["1"]
        for column, value in (("run", run), ("rule", rule)):
            where += [f"{column} = :{column}"] if value is not None else []
        where += ["rowid < (SELECT rowid FROM alerts WHERE id = :before)"] if before is not None else []
        tail = f"WHERE {' AND '.join(where)} ORDER BY rowid DESC LIMIT :limit"
        values = {"run": run, "rule": rule, "before": before, "limit": limit}
        with self._database.read() as db:
            return read_alerts(db, self._clock(), tail, values)

    def alert(self, alert: str) -> AlertView | None:
        """Return one alert, None if there is none of that id."""
        with self._database.read() as db:
            return next(iter(read_alerts(db, self._clock(), "WHERE id = ?", (alert,))), None)

    def alerts_at(self, run: str, step: int) -> list[AlertView]:
        """Return the alerts that stand after a step, as recorded, the one that began first being the first."""
        tail = (
            "WHERE run = ?1 AND firing_step <= ?2 AND given_up = 0 AND (resolved_step IS NULL OR resolved_step > ?2) "
            "ORDER BY firing_step, rowid"
        )
        with self._database.read() as db:
            return read_alerts(db, self._clock(), tail, (run, step))

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
        """Note that somebody has seen an alert and looks after it; None if there is none of that id."""
        return self._flag(alert, by, until, note)

    def unacknowledge(self, alert: str) -> AlertView | None:
        """Take back that somebody has seen an alert; None if there is none of that id."""
        return self._flag(alert, "", None, "")

    def _flag(self, alert: str, by: str, until: float | None, note: str) -> AlertView | None:
        with self._database.write() as db:
            db.execute(
                "UPDATE alerts SET acknowledged_by = ?, acknowledged_until = ?, note = ? WHERE id = ?",
                (by, until, note, alert),
            )
            found = next(iter(read_alerts(db, self._clock(), "WHERE id = ?", (alert,))), None)
        if found is not None:
            self._alert_news.note(found.run)
        return found

    def silence(self, run: str, rule: str, until: float | None, by: str, reason: str = "") -> int:
        """Let nobody be told of alerts of runs and rules that match two patterns; return the silence's id."""
        row = (run, rule, FOR_EVER if until is None else until, by, reason, self._clock())
        with self._database.write() as db:
            query = "INSERT INTO silences (run, rule, until, author, reason, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id"
            (number,) = db.execute(query, row).fetchone()
        self._note_silenced(SilenceView(number, *row))
        return int(number)

    def silences(self) -> list[SilenceView]:
        """Return the silences that are not over, the newest first."""
        with self._database.read() as db:
            return read_silences(db, self._clock())

    def unsilence(self, silence: int) -> bool:
        """End a silence; tell whether there was one of that id. `end_silences` then does what is due."""
        now = self._clock()
        with self._database.write() as db:
            query = (
                "UPDATE silences SET until = ?1 WHERE id = ?2 AND until > ?1 "
                "RETURNING id, run, rule, until, author, reason, created_at"
            )
            row = db.execute(query, (now, silence)).fetchone()
        if row is not None:
            self._note_silenced(SilenceView(*row))
        return row is not None

    def _note_silenced(self, *silences: SilenceView) -> None:
        with self._database.read() as db:
            firing = db.execute(f"SELECT DISTINCT run, rule FROM alerts WHERE {FIRING}").fetchall()
        runs = {run for (run, rule), one in itertools.product(firing, silences) if one.covers(run, rule)}
        self._alert_news.note(*sorted(runs))
