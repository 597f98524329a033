"""What the dashboard asks: the archive, and the rules in force."""

from collections.abc import Callable, Mapping, Sequence

from rolloutwatch_contract.alert_life import Moment
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.protocol import (
    GivenUpView,
    MarkView,
    RuleState,
    RulesView,
    RunDetail,
    RunSummary,
    Series,
    SilenceView,
    TargetView,
)
from rolloutwatch_contract.protocol_steps import NoStep, StepView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts.life import life
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.standing import standing
from rolloutwatch_server.diagnosing import diagnosis_of
from rolloutwatch_server.notify.events import decode
from rolloutwatch_server.step_view import step_view
from rolloutwatch_server.store import Delivery, Store
from rolloutwatch_server.store.alert_actions import as_it_was
from rolloutwatch_server.summaries import Summaries


class DashboardSource:
    """Everything that pages show, by the protocol that the dashboard asks by. Safe to use from any thread."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        notifications: Callable[[], Sequence[TargetView]] = lambda: (),
        summaries: Summaries | None = None,
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._notifications = notifications
        self._summaries = summaries or Summaries(store)

    def runs(self) -> Sequence[RunSummary]:
        """Return all runs, the most recently updated first."""
        return self._store.runs()

    def versions(self) -> Mapping[str, str]:
        """Return a word for each run that stays as long as what it has come to does."""
        return self._store.versions()

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""
        return self._store.run(run)

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
        by_time: bool = False,
    ) -> Mapping[str, Series]:
        """Return the series asked for."""
        return self._store.series(
            run, metrics, from_step=from_step, to_step=to_step, points=points, by_time=by_time
        )

    def summaries(self, run: str, metrics: Sequence[str]) -> Mapping[str, FigureSummary]:
        """Return figures of a whole run in a few numbers."""
        return self._summaries.of(run, metrics)

    def histograms(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        columns: int = 500,
        width: int = 1,
    ) -> Histograms:
        """Return the histograms of the log ratio."""
        return self._store.histograms(run, from_step=from_step, to_step=to_step, columns=columns, width=width)

    def marks(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        most: int | None = None,
    ) -> Sequence[MarkView]:
        """Return what is marked."""
        return self._store.marks(run, from_step=from_step, to_step=to_step, most=most)

    def step(self, run: str, step: int, attempt: str | None = None) -> StepView | NoStep:
        """Return all of one step but its marks."""
        detail = self._store.run(run)
        return NoStep(run=run, step=step) if detail is None else step_view(self._store, detail, step, attempt)

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
        """Return alerts that fire, past ones, or all there ever were, those that began last first."""
        return self._store.alerts(
            state=state, run=run, rule=rule, severity=severity, from_time=from_time, to_time=to_time, limit=limit,
            before=before,
        )  # fmt: skip

    def alert(self, alert: str) -> AlertView | None:
        """Return one alert, None if there is none of that id."""
        return self._store.alert(alert)

    def moments(self, alert: str) -> Sequence[Moment]:
        """Return the life of an alert in order."""
        found = self._store.alert(alert)
        return () if found is None else life(self._store, found)

    def alerts_at(self, run: str, step: int, time: float) -> Sequence[AlertView]:
        """Return the alerts that stand after a step, with what people had said of them by then."""
        found = self._store.alerts_at(run, step)
        return [as_it_was(one, self._store.actions(one), time) for one in found]

    def diagnosis(self, run: str, step: int) -> Diagnosis:
        """Return what is probably wrong at a step."""
        return diagnosis_of(self._store, run, step)

    def silences(self) -> Sequence[SilenceView]:
        """Return the silences that are not over, those that end first first."""
        return sorted(self._store.silences(), key=lambda one: one.until)

    def rules(self) -> RulesView:
        """Return the rules in force."""
        return self._rulebook.view()

    def rule_states(self, run: str) -> Sequence[RuleState]:
        """Return how each rule that watches a run stands there."""
        detail = self._store.run(run)
        return () if detail is None else standing(self._store, self._rulebook.rules(), detail)

    def broken_alerts(self) -> Mapping[str, str]:
        """Return the runs whose alerts cannot be judged."""
        return self._store.broken_alerts

    def notifications(self) -> Sequence[TargetView]:
        """Return everybody who is told of alerts."""
        return self._notifications()

    def given_up(self, limit: int = 100) -> Sequence[GivenUpView]:
        """Return messages that were given up, the newest first."""
        return [_given_up(one) for one in self._store.deliveries("dead", limit=limit)]


def _given_up(one: Delivery) -> GivenUpView:
    rules = dict.fromkeys(event.rule for event in decode(one.events).events)
    return GivenUpView(
        id=one.id,
        target=one.target,
        run=one.run,
        rules=tuple(rules),
        time=one.done_at,
        attempts=one.attempts,
        error=one.error,
    )
