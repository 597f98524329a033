"""Recorded runs, judged as the server judges them live: by the same code, step by step, knowing nothing of what comes."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.cases import BEGINS, LASTS, Case
from benchmarks.detection.recording import read
from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.conditions import walk
from rolloutwatch_contract.conditions.nodes import Over
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis import METRICS, Comparison, Diagnosis, diagnose, diagnosed
from rolloutwatch_contract.diagnosis.evidence import Series
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Piece
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.windows import empty_window
from rolloutwatch_server.diagnosing import BEFORE, behind

LATER = 10  # steps after the first alert, when somebody has come to look
ZSCORE, ZSCORE_WINDOW = 3.0, 30  # what wandb's automations begin with
ZSCORE_METRICS = ("mismatch_k3_kl", "mismatch_kl", "logprob_abs_diff_mean", "surprise_gap")


def looks_back(rule: Rule) -> bool:
    """Tell whether a rule judges a run against its own past."""
    return any(isinstance(part, Over) for part in walk(rule.when.node))


PLAN = Plan(DEFAULT_RULES)
STATIC = Plan([rule for rule in DEFAULT_RULES if not looks_back(rule)])


@dataclass(frozen=True)
class Found:
    """What became of a run with a fault: after how many steps it was found, and what it was called.

    `during` is of each step from the first alert to the end of the fault,
    `after` of those that follow while an alert of it still stands, a few at most.
    """

    case: Case
    delay: int | None
    by_static: bool
    by_zscore: bool
    early: int  # alerts before there was a fault
    rules: tuple[str, ...] = ()
    during: tuple[Diagnosis, ...] = ()
    after: tuple[Diagnosis, ...] = ()

    @property
    def at_once(self) -> Diagnosis | None:
        """What it was called in the step of the first alert."""
        return self.during[0] if self.during else None

    @property
    def later(self) -> Diagnosis | None:
        """What it was called LATER steps after that, or at the end of the fault if that came sooner."""
        return self.during[: LATER + 1][-1] if self.during else None


def changes(
    records: Iterable[StepRecord], plan: Plan, reference: Mapping[str, Sequence[float]] = {}
) -> Iterator[tuple[int, str, Change]]:
    """Yield what happens to the alerts of a run, beside the values of a reference run perhaps: step, rule, and what."""
    run = RunAlerts(plan, reference=reference)
    for record in records:
        fed = run.feed(Piece(record.step, record.time, 1, record.metrics))
        for rule, transition in fed.transitions:
            yield transition.step, rule.name, transition.change


def alerts(
    records: Iterable[StepRecord], plan: Plan, reference: Mapping[str, Sequence[float]] = {}
) -> Iterator[tuple[int, str]]:
    """Yield the alerts of a run as they fire: step and rule."""
    for step, rule, change in changes(records, plan, reference):
        if change is Change.FIRING:
            yield step, rule


def zscore_alarms(records: Sequence[StepRecord]) -> Iterator[int]:
    """Yield the steps at which a figure goes beyond so many standard deviations of the values before it."""
    outside = np.zeros(len(records), dtype=bool)
    for metric in ZSCORE_METRICS:
        values = np.array([record.metrics.get(metric, np.nan) for record in records])
        windows = np.lib.stride_tricks.sliding_window_view(values, ZSCORE_WINDOW)[:-1]
        std = windows.std(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            outside[ZSCORE_WINDOW:] |= np.abs(values[ZSCORE_WINDOW:] - windows.mean(axis=1)) > ZSCORE * std
    begins = outside & ~np.concatenate([[False], outside[:-1]])
    yield from (records[at].step for at in np.flatnonzero(begins).tolist())


def series_of(records: Sequence[StepRecord], onset: int) -> dict[str, Series]:
    """Return what a diagnosis is given: as many values before the onset as the server looks at."""
    records = [record for record in records if record.step >= onset - BEFORE]
    series = {}
    for metric in METRICS:
        points = [(record.step, record.metrics[metric]) for record in records if metric in record.metrics]
        if points:
            steps, values = zip(*points, strict=True)
            series[metric] = (np.array(steps, dtype=np.int64), np.array(values))
    return series


def named(records: Sequence[StepRecord], reference: Mapping[str, Sequence[float]], onset: int) -> Diagnosis:
    """Return what is said to be wrong at the onset with a run that has a reference."""
    return diagnose(behind(reference, series_of(records, onset)), onset, onset)


def find(case: Case) -> Found:
    """Judge a run with a fault."""
    records = read(case.name)
    during = range(BEGINS, BEGINS + LASTS)
    happened = list(changes(records, PLAN))
    fired = [(step, rule) for step, rule, change in happened if change is Change.FIRING]
    early = sum(step < BEGINS for step, _ in fired)
    first = next((step for step, _ in fired if step in during), None)
    static = any(step in during for step, _ in alerts(records, STATIC))
    zscore = any(step in during for step in zscore_alarms(records))
    if first is None:
        return Found(case, None, static, zscore, early)
    comparison = Comparison(series_of(records, first), first)
    return Found(
        case,
        first - BEGINS,
        static,
        zscore,
        early,
        tuple(rule for step, rule in fired if step == first),
        tuple(diagnosed(comparison, step) for step in range(first, during.stop)),
        tuple(diagnosed(comparison, step) for step in _standing_after(during, happened)),
    )


def _standing_after(during: range, happened: Sequence[tuple[int, str, Change]]) -> range:
    """Return the steps after a fault at which an alert of it still stands, LATER at most."""
    begun = {rule for step, rule, change in happened if change is Change.FIRING and step in during}
    ends = [
        step
        for step, rule, change in happened
        if change is Change.RESOLVED and rule in begun and step >= during.stop
    ]
    return range(during.stop, min(max(ends, default=during.stop), during.stop + LATER))


@dataclass(frozen=True)
class Quiet:
    """What became of a healthy run: its alerts, those that a cause was named of for sure, and what a z-score would have said."""

    case: Case
    alerts: tuple[tuple[int, str], ...]
    named: int
    zscore: int


def listen(case: Case) -> Quiet:
    """Judge a healthy run."""
    records = read(case.name)
    fired = tuple(alerts(records, PLAN))
    named = sum(diagnose(series_of(records, step), step, step).is_sure for step, _ in fired)
    return Quiet(case, fired, named, sum(1 for _ in zscore_alarms(records)))


def microseconds(function: str, samples: int = 400, points: int = 20_000, repeats: int = 5) -> float:
    """Return what one value costs in a window that is full, the least of several times: others disturb, nothing helps."""
    generator = np.random.default_rng(0)
    values = np.exp(generator.normal(size=points + samples) - 5).tolist()
    return min(_pushed(function, samples, values) for _ in range(repeats))


def _pushed(function: str, samples: int, values: Sequence[float]) -> float:
    window = empty_window(function, samples, ZSCORE_METRICS[2])
    for step in range(samples):
        window.push(step, values[step])
    began = time.process_time()
    for step in range(samples, len(values)):
        window.push(step, values[step])
    return 1e6 * (time.process_time() - began) / (len(values) - samples)


def share(found: Sequence[Found], holds: Callable[[Found], bool]) -> float | None:
    """Return of which share of the runs something holds, None of none."""
    return statistics.mean(holds(one) for one in found) if found else None
