"""The history of alerts as their cards show it: asked of the source for the few that somebody looks at."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rolloutwatch_contract.alert_life import Happening, Moment
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.protocol import RunDetail, Series, Source
from rolloutwatch_dashboard.alert_figures import drawn_metrics, held_from, limits_in
from rolloutwatch_dashboard.alert_life import told
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, charts_of
from rolloutwatch_dashboard.figures.alert_history import POINTS, Mark, Stretch, alert_history
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.words import is_of_losses, title

STEPS_BESIDE = 20  # on either side of where it fired, at the least
STEPS_BEFORE = 200  # of what led to it
MOST_ACKNOWLEDGED = 3  # marks of people, the newest


def histories_of(source: Source, identities: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what is shown of several alerts, by id; alerts of one run have their diagnosis in common."""
    diagnosis = functools.cache(source.diagnosis)
    return {identity: history_of(source, identity, diagnosis) for identity in identities}


def history_of(
    source: Source, identity: str, diagnosis: Callable[[str, int], Diagnosis] | None = None
) -> dict[str, Any]:
    """Return what is shown of one alert: its chart, why there is none, its life in words, and what is probably wrong."""
    alert = source.alert(identity)
    if alert is None:
        return {"note": "There is no such alert any more.", "life": []}
    moments = source.moments(identity)
    probably = _probably(source, alert, diagnosis or source.diagnosis)
    return _chart(source, alert, moments) | {"life": told(moments), "probably": probably}


def _probably(source: Source, alert: AlertView, diagnosis: Callable[[str, int], Diagnosis]) -> str:
    """Return in a sentence what is wrong as the page of its run says it; nothing of an alert that has ended or is of losses."""
    run = source.run(alert.run) if alert.is_firing and not is_of_losses(alert) else None
    if run is None or run.summary.last_step is None:
        return ""
    found = diagnosis(alert.run, run.summary.last_step)
    return found.headline if found.causes else ""


def _chart(source: Source, alert: AlertView, moments: Sequence[Moment]) -> dict[str, Any]:
    run = source.run(alert.run)
    if run is None or run.summary.last_step is None or run.summary.first_step is None:
        return {"note": "The run is not there any more."}
    limits = limits_in(alert)
    metrics = drawn_metrics(alert, limits)
    if not metrics:
        return {"note": "No figure made it fire."}
    stretch = stretch_of(alert, run.summary.first_step, run.summary.last_step)
    series = source.series(alert.run, metrics, from_step=stretch.first, to_step=stretch.last, points=POINTS)
    if not any(len(one.step) for one in series.values()):
        return {"note": "Of these steps no figure is there any more."}
    charts = {metric: _chart_of(run, metric) for metric in metrics}
    marks = _marks(source, alert, moments, metrics, stretch)
    return alert_history(alert, series, charts, limits, stretch, marks)


def stretch_of(alert: AlertView, first: int, last: int) -> Stretch:
    """Return the steps to draw of a run that has steps `first` to `last`: those at which it fired, and half as many around."""
    end = last if alert.resolved_step is None else alert.resolved_step
    end = max(alert.firing_step, end)
    beside = max(STEPS_BESIDE, (end - alert.firing_step) // 2)
    begin = max(first, min(alert.firing_step - beside, last))
    return Stretch(begin, max(begin, min(last, end + beside)), alert.firing_step, end)


def _chart_of(run: RunDetail, metric: str) -> Chart:
    """Return the chart that shows a figure on the page of its run, with that figure alone."""
    charts = (chart for group in charts_of(run, SHOWN_WHEN_NOT_ZERO) for chart in group.charts)
    found = next((one for one in charts if metric in one.metrics), None)
    return (
        Chart("history", title(metric), "", {metric: title(metric)}) if found is None else found.alone(metric)
    )


def _marks(
    source: Source, alert: AlertView, moments: Sequence[Moment], metrics: Sequence[str], stretch: Stretch
) -> list[Mark]:
    before = source.series(
        alert.run, metrics, from_step=max(0, alert.firing_step - STEPS_BEFORE), to_step=alert.firing_step
    )
    held = held_from(alert, before)
    marks = [] if held is None else [Mark("pending", held, f"pending from step {held}")]
    marks.append(Mark("firing", alert.firing_step, f"fires from step {alert.firing_step}"))
    marks += _acknowledged(source, alert, moments, metrics[0], stretch)
    if alert.resolved_step is not None:
        marks.append(Mark("resolved", alert.resolved_step, f"resolved at step {alert.resolved_step}"))
    return marks


def _acknowledged(
    source: Source, alert: AlertView, moments: Sequence[Moment], metric: str, stretch: Stretch
) -> list[Mark]:
    """Return marks where people acknowledged it: at the step that was the newest one then."""
    seen = [one for one in moments if one.what is Happening.ACKNOWLEDGED][-MOST_ACKNOWLEDGED:]
    if not seen:
        return []
    asked: Mapping[str, Series] = source.series(
        alert.run, [metric], from_step=stretch.first, to_step=stretch.last, points=POINTS, by_time=True
    )
    one = asked[metric]
    if one.time is None or not len(one.time):
        return []
    places = np.searchsorted(one.time, [moment.time for moment in seen], side="right") - 1
    steps = one.step[places.clip(0)].tolist()
    return [
        Mark("acknowledged", step, f"acknowledged by {moment.by or 'somebody'} at step {step}")
        for moment, step in zip(seen, steps, strict=True)
    ]
