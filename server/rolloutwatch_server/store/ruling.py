"""The rules in force, and what the clock does to alerts."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.conditions import metrics_of
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.store.alert_actions import silences_over
from rolloutwatch_server.store.alert_book import add_rule_set, read_rule_set, tell_again
from rolloutwatch_server.store.alert_rows import FIRING, RuleSetView, read_alerts
from rolloutwatch_server.store.alerting import Alerting
from rolloutwatch_server.store.judged import Judged


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
        """Return what rules may speak of beside the catalogue: figures that any run has, and those of the rules in force."""
        with self._database.read() as db:
            return _known_metrics(db)

    def save_rule_set(
        self, document: str, origin: str, author: str, expected_version: int | None = None
    ) -> int:
        """Put rules in force, from the next record on, and end the alerts of those that change; return their version.

        RuleError: they cannot be what is written. RulesChanged: not `expected_version` is in force any more.
        Either way nothing happened.
        """
        try:
            with self._database.write() as db:
                version = read_rule_set(db).version
                if expected_version not in (None, version):
                    raise RulesChanged(version)
                parse_rules(document, origin, _known_metrics(db))
                saved = add_rule_set(db, self._clock(), document, origin, author)
                changed = self._engine.rules_changed(self._book(db))
        except BaseException:
            self._forget()
            raise
        self._alert_news.note(*changed)
        return saved

    @contextlib.contextmanager
    def judged(self, run: str) -> Iterator[Judged]:
        """Hold one moment of the archive, in which a run can be judged again."""
        with self._database.read() as db:
            yield Judged(db, run, lambda version: self._documents.rules_of(db, version))

    @property
    def broken_alerts(self) -> Mapping[str, str]:
        """Return the runs whose alerts stand still for a mistake of the server, with what it was."""
        return dict(self._engine.broken)

    def judge_by_clock(self, run: str, silent_seconds: float, seconds_per_step: float) -> None:
        """Judge a run that nothing has come of for so long, and that usually takes so long for a step, by `silent(...)`."""
        try:
            with self._database.write() as db:
                changed = self._engine.judge_by_clock(self._book(db), run, silent_seconds, seconds_per_step)
        except BaseException:
            self._forget()
            raise
        if changed:
            self._alert_news.note(run)

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
        """Let go of the silences that are over, and let people be told of what they covered and nothing silences now.

        Return the alerts they are told of, which fire. All of it is one transaction: a crash loses none of them.
        """
        now = self._clock()
        with self._database.read() as db:  # as almost always
            if db.execute("SELECT 1 FROM silences WHERE until <= ?", (now,)).fetchone() is None:
                return []
        with self._database.write() as db:
            over = silences_over(db, now)
            heard = [
                one
                for one in read_alerts(db, now, f"WHERE {FIRING} ORDER BY rowid")
                if one.silenced_until is None and any(silence.covers(one.run, one.rule) for silence in over)
            ]
            # of what somebody looks after, or flaps, people are not told again
            told = [one for one in heard if not one.acknowledged_by and not one.flapping]
            for one in told:
                tell_again(db, one.id, now)
        self._alert_news.note(*dict.fromkeys(one.run for one in heard))
        return told


def _known_metrics(db: sqlite3.Connection) -> frozenset[str]:
    one = read_rule_set(db)
    in_force = parse_rules(one.document, f"rules of version {one.version}", None)
    came = {metric for (metric,) in db.execute("SELECT DISTINCT metric FROM beginnings")}
    return frozenset(came | _metrics_of(in_force.rules))


def _metrics_of(rules: Iterable[Rule]) -> set[str]:
    conditions = (one for rule in rules for one in (rule.when, rule.clear) if one is not None)
    return {metric for condition in conditions for metric in metrics_of(condition.node)}
