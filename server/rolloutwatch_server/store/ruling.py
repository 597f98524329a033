"""The rules in force, and what the clock does to alerts."""

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_server.store.alert_book import read_rule_set, tell_again
from rolloutwatch_server.store.alert_rows import FIRING, RuleSetView, SilenceView, read_alerts
from rolloutwatch_server.store.alerting import Alerting


class RulesChanged(RuntimeError):
    """Somebody else has saved rules meanwhile; `version` is that of the rules in force."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the rules in force are version {version} by now: read them again before you save.")
        self.version = version


class Ruling(Alerting):
    """The part of the store that knows rules, and what is due by the clock."""

    def rule_set(self) -> RuleSetView:
        """Return the rules in force as written, the default ones if none were ever saved."""
        with self._database.read() as db:
            return read_rule_set(db)

    def known_metrics(self) -> frozenset[str]:
        """Return the names of all figures that any run has."""
        with self._database.read() as db:
            return frozenset(metric for (metric,) in db.execute("SELECT DISTINCT metric FROM beginnings"))

    def save_rule_set(
        self, document: str, origin: str, author: str, expected_version: int | None = None
    ) -> int:
        """Put rules in force, from the next record on, and end the alerts of those that change; return their version.

        RuleError: they cannot be what is written. RulesChanged: not `expected_version` is in force any more.
        Either way nothing happened.
        """
        with self._database.write() as db:
            version = read_rule_set(db).version
            if expected_version not in (None, version):
                raise RulesChanged(version)
            query = "INSERT INTO rule_sets (time, author, origin, document) VALUES (?, ?, ?, ?) RETURNING id"
            (saved,) = db.execute(query, (self._clock(), author, origin, document)).fetchone()
        return int(saved)

    def tell_again(self, alert: str) -> bool:
        """Let people be told once more of an alert that fires; tell whether it does.

        It is not acknowledged any more, if it was for a time that is over.
        """
        now = self._clock()
        with self._database.write() as db:
            run = tell_again(db, alert, now)
        if run is not None:
            self._alert_news.note(run)
        return run is not None

    def alerts_told_before(self, time: float) -> list[AlertView]:
        """Return alerts that fire and that people were last told of before `time`, neither acknowledged nor silenced."""
        tail = (
            f"WHERE {FIRING} AND flapping = 0 AND told_at < ?1 AND (acknowledged_by = '' OR acknowledged_until <= ?2) "
            "ORDER BY told_at"
        )
        with self._database.read() as db:
            found = read_alerts(db, self._clock(), tail, (time, self._clock()))
        return [one for one in found if one.silenced_until is None]

    def expired_acknowledgements(self) -> list[AlertView]:
        """Return alerts that fire and were acknowledged until a time that is over."""
        tail = f"WHERE {FIRING} AND acknowledged_by != '' AND acknowledged_until <= ?"
        with self._database.read() as db:
            return read_alerts(db, self._clock(), tail, (self._clock(),))

    def end_silences(self) -> list[AlertView]:
        """Let go of the silences that are over; return the alerts they covered that fire and nothing silences now."""
        now = self._clock()
        with self._database.read() as db:  # as almost always
            if db.execute("SELECT 1 FROM silences WHERE until <= ?", (now,)).fetchone() is None:
                return []
        with self._database.write() as db:
            query = "DELETE FROM silences WHERE until <= ? RETURNING id, run, rule, until, author, reason, created_at"
            over = [SilenceView(*row) for row in db.execute(query, (now,)).fetchall()]
            firing = read_alerts(db, now, f"WHERE {FIRING} ORDER BY rowid")
        self._note_silenced(*over)
        return [
            one
            for one in firing
            if one.silenced_until is None and any(silence.covers(one.run, one.rule) for silence in over)
        ]
