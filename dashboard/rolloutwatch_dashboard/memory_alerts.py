"""Alerts and rules in memory: the part of the fake that ships which has to do with them."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from rolloutwatch_contract.alert_life import Moment
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.protocol import (
    GivenUpView,
    Origin,
    RuleState,
    RulesView,
    SilenceView,
    TargetView,
)
from rolloutwatch_contract.severity import Severity

DEFAULT = RulesView(origin=Origin.DEFAULT, version=0, document=DEFAULT_DOCUMENT, rules=DEFAULT_RULES)


class MemoryAlerts:
    """Keeps what it is given; nothing here is judged."""

    def __init__(self) -> None:
        self._alerts: dict[str, AlertView] = {}
        self._moments: dict[str, list[Moment]] = {}
        self._diagnoses: dict[str, list[Diagnosis]] = {}
        self._silences: list[SilenceView] = []
        self._rules = DEFAULT
        self._rule_states: dict[str, tuple[RuleState, ...]] = {}
        self._broken: dict[str, str] = {}
        self._targets: tuple[TargetView, ...] = ()
        self._given_up: tuple[GivenUpView, ...] = ()

    def add_alert(self, alert: AlertView) -> None:
        """Add an alert, or change one."""
        self._alerts[alert.id] = alert

    def add_moment(self, alert: str, moment: Moment) -> None:
        """Add what happened in the life of an alert."""
        self._moments.setdefault(alert, []).append(moment)

    def add_silence(self, silence: SilenceView) -> None:
        """Add a silence."""
        self._silences.append(silence)

    def set_rules(self, rules: RulesView) -> None:
        """Put other rules in force."""
        self._rules = rules

    def set_rule_states(self, run: str, states: Sequence[RuleState]) -> None:
        """Say how rules stand on a run."""
        self._rule_states[run] = tuple(states)

    def break_alerts(self, run: str, why: str) -> None:
        """Say that the alerts of a run cannot be judged."""
        self._broken[run] = why

    def set_targets(self, *targets: TargetView) -> None:
        """Say who is told."""
        self._targets = targets

    def set_given_up(self, *messages: GivenUpView) -> None:
        """Say which messages were given up."""
        self._given_up = messages

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
    ) -> Sequence[AlertView]:
        """Return alerts, those that began last first."""
        first, last = from_time or 0.0, math.inf if to_time is None else to_time
        found = [
            one
            for one in self._alerts.values()
            if (run is None or one.run == run)
            and (rule is None or one.rule == rule)
            and (severity is None or one.severity is severity)
            and first <= one.firing_time < last
            and (state == "all" or (one.is_firing and not one.given_up) == (state == "firing"))
        ]
        found.sort(key=lambda one: -one.firing_time)
        if before is not None:
            known = [one.id for one in found]
            found = found[known.index(before) + 1 :] if before in known else []
        return found[:limit]

    def alert(self, alert: str) -> AlertView | None:
        """Return one alert."""
        return self._alerts.get(alert)

    def moments(self, alert: str) -> Sequence[Moment]:
        """Return what was added to the life of an alert, in order."""
        return sorted(self._moments.get(alert, ()), key=lambda one: one.time)

    def alerts_at(self, run: str, step: int, time: float) -> Sequence[AlertView]:
        """Return the alerts that stand after a step; what is said of them here has always been said."""
        standing = [
            one
            for one in self._alerts.values()
            if one.run == run and not one.given_up and one.firing_step <= step
            if one.resolved_step is None or one.resolved_step > step
        ]
        return sorted(standing, key=lambda one: one.firing_step)

    def add_diagnosis(self, run: str, diagnosis: Diagnosis) -> None:
        """Say what is probably wrong with a run, from the step of the diagnosis on."""
        self._diagnoses.setdefault(run, []).append(diagnosis)

    def diagnosis(self, run: str, step: int) -> Diagnosis:
        """Return what was said to be wrong last at a step or before."""
        said = [one for one in self._diagnoses.get(run, ()) if one.step <= step]
        return msgspec.structs.replace(said[-1], step=step) if said else Diagnosis(step, step)

    def silences(self) -> Sequence[SilenceView]:
        """Return the silences that are not over; here none ever is."""
        return self._silences

    def rules(self) -> RulesView:
        """Return the rules in force."""
        return self._rules

    def rule_states(self, run: str) -> Sequence[RuleState]:
        """Return how rules stand on a run."""
        return self._rule_states.get(run, ())

    def broken_alerts(self) -> Mapping[str, str]:
        """Return the runs whose alerts cannot be judged."""
        return self._broken

    def notifications(self) -> Sequence[TargetView]:
        """Return everybody who is told of alerts."""
        return self._targets

    def given_up(self, limit: int = 100) -> Sequence[GivenUpView]:
        """Return messages that were given up."""
        return self._given_up[:limit]
