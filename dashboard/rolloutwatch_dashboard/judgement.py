"""How a run is judged by its newest figures. Where figures.js does the same, a test compares the two."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit, limits_of, worst
from rolloutwatch_contract.protocol import RunDetail, RunState, Series, Source
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.charts import LOSSES

STEPS_JUDGED = 10
DISTANCES_LOOKED_AT = 5
FAILURES = ("not_corrected", "not_measured")
WORDS = {Severity.OK: "healthy", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}
LATE = 1.5  # so many times the usual distance between its values, and a figure is overdue


def limits_by_run(source: Source, limits: Sequence[Limit] | None = None) -> Callable[[str], Sequence[Limit]]:
    """Return what tells the limits of each run: those given, or those that the rules in force set there.

    What was lost says nothing of how the policies are; it has words of its own, and alerts.
    """
    rules = source.rules().rules if limits is None else ()
    return lambda run: [
        one for one in (limits_of(rules, run) if limits is None else limits) if one.metric not in LOSSES
    ]


class Verdict(NamedTuple):
    """The worst that a figure did lately: which rule it broke, with which value, at which place, how often, of how many."""

    rule: Limit
    value: float
    at: int
    times: int
    of: int


def verdict(limits: Sequence[Limit], metric: str, values: Sequence[float]) -> Verdict | None:
    """Judge a figure by its last values, since one that jumps in and out of its limits is not healthy in between."""
    lately = values[-STEPS_JUDGED:]
    limits_by_place = [(at, worst(limits, metric, value)) for at, value in enumerate(lately)]
    broken = [(at, rule) for at, rule in limits_by_place if rule is not None]
    if not broken:
        return None
    severity = max(rule.severity for _, rule in broken)
    worst_ones = [(at, rule) for at, rule in broken if rule.severity is severity]
    at, rule = worst_ones[-1]
    return Verdict(rule, lately[at], len(values) - len(lately) + at, len(worst_ones), len(lately))


def is_past(steps: Sequence[int], now: int) -> bool:
    """Tell whether a figure has stopped coming while the run goes on; one that comes seldom is given time.

    One step without it is none too many: what is logged and what is measured arrive one after the other.
    """
    if not len(steps):
        return True
    tail = [int(step) for step in steps[-DISTANCES_LOOKED_AT - 1 :]]
    distances = sorted(later - step for step, later in itertools.pairwise(tail)) or [1]
    return now - tail[-1] > max(1, LATE * distances[(len(distances) - 1) // 2])


def with_voids(series: Series, unreadable: Series) -> Series:
    """Return a measured figure with NaN at the steps of which not one log-prob was finite, and so no figure came."""
    voids = np.setdiff1d(unreadable.step[unreadable.value >= 1.0], series.step)
    if not len(voids) or not len(series.step):
        return series
    step = np.concatenate([series.step, voids])
    value = np.concatenate([series.value, np.full(len(voids), np.nan)])
    order = np.argsort(step, kind="stable")
    return Series(step[order], value[order])


def is_off(run: RunDetail, metric: str) -> bool:
    """Tell whether a run was told not to measure a figure."""
    needs = METRICS[metric].needs
    return metric not in run.metrics and bool(needs) and run.config.get(needs) in (None, False)


def health(
    run: RunDetail, lately: Mapping[str, Series], core: Iterable[str], limits: Sequence[Limit]
) -> tuple[str, str]:
    """Return a run's health in a word, with the class of its colour; run.js does the same for the head of its page."""
    now = run.summary.last_step
    present = {
        metric: lately[metric].value.tolist()
        for metric in {rule.metric for rule in limits} & set(lately)
        if not is_past(lately[metric].step.tolist(), now or 0)
    }
    found = [
        one for metric, values in present.items() if (one := verdict(limits, metric, values)) is not None
    ]
    if found:
        severity = max(one.rule.severity for one in found)
        return WORDS[severity], severity.name.lower()
    known = {metric for metric, values in present.items() if np.isfinite(values[-1])}
    if not known:
        if any(run.dropped.get(reason) for reason in FAILURES):
            return "not measured", "critical"
        if now is not None:
            return "not measured", "unknown"
        return ("waiting" if run.summary.state is RunState.LIVE else "no step"), "unknown"
    if run.summary.contested:  # of two trainers one is shown, which says nothing of the other
        return "partly shown", "unknown"
    if any(metric not in known and not is_off(run, metric) for metric in core):
        return "partly measured", "unknown"
    return WORDS[Severity.OK], "ok"
