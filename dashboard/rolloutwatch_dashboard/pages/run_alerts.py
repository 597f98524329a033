"""What the page of a run shows of its alerts: those that fire, where all of them began, and rules that never can."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from typing import Any
from urllib.parse import unquote

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import MarkView, RuleState, Source, Value, json_fields
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.figures.marks import ALERTS
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.visit import Visit
from rolloutwatch_dashboard.words import metrics_of

ALERTS_MARKED = 50  # the newest ones; one that flaps would fill a chart

Marks = tuple[
    Sequence[MarkView], Sequence[tuple[MarkView, Collection[str]]]
]  # those sent and found, and alerts


def alerts_of(run: str, source: Source, now: float) -> html.Div:
    """Return what run.js reads of a run's alerts: those that fire, and where all of them began."""
    marks = [
        {**one, "metrics": list(metrics)}
        for mark, metrics in alert_marks(source, run)
        for one in followed_marks([mark])
    ]
    return html.Div(
        **{"data-marks": json.dumps(marks), "data-firing": firing_of(source.alerts(run=run), now)}
    )


def firing_of(alerts: Sequence[AlertView], now: float) -> str:
    """Return what run_why.js says of alerts, those that call first, then the worst, then those that began first."""
    told = [alert.told(one, now) for one in alerts]
    # of several that began together the one about the fewest figures says most
    told.sort(
        key=lambda one: (not one["calls"], -one["severity"], one["step"], len(one["metrics"]), one["rule"])
    )
    return json.dumps(told)


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [dcc.Store(id=ids.RUN_WATCH), html.Div(id=ids.RUN_ALERTS)]


def register(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let the alerts be said anew when alerts.js finds that it is time."""

    @app.callback(
        Output(ids.RUN_ALERTS, "children"),
        Input(ids.RUN_WATCH, "data"),
        State(ids.LOCATION, "pathname"),
        prevent_initial_call=True,
    )
    async def watch(_watch: object, path: object) -> Any:
        # the address may be another one by now, and is the browser's to choose
        run = unquote(str(path).partition("/runs/")[2])
        return await asyncio.to_thread(alerts_of, run, visit().source, visit().now)


def alert_marks(source: Source, run: str) -> list[tuple[MarkView, Collection[str]]]:
    """Return where alerts of a run began, by step, each with the figures that it is about."""
    found = [
        (_alert_mark(one), metrics_of(one))
        for one in source.alerts(state="all", run=run, limit=ALERTS_MARKED)
        if not one.given_up
    ]
    return sorted(found, key=lambda one: (one[0].step, one[0].time))


def _alert_mark(one: AlertView) -> MarkView:
    ended = {} if one.resolved_step is None else {"until_step": one.resolved_step}
    fields: dict[str, Value] = {"rule": one.rule, **ended}
    return MarkView(one.firing_step, one.firing_time, ALERTS[one.severity], fields, found=True)


def marks_of(chart: Chart, marks: Marks) -> list[MarkView]:
    """Return what is marked on a chart, in order: of the alerts those that watch its figures, or none at all."""
    sent, alerts = marks
    about = [mark for mark, metrics in alerts if not metrics or not chart.metrics.keys().isdisjoint(metrics)]
    return sorted([*sent, *about], key=lambda mark: (mark.step, mark.time))


def never(states: Sequence[RuleState]) -> list[Any]:
    """Return the rules that watch a run in vain, which nobody would notice otherwise."""
    rows = [html.Tr([html.Th(one.rule), html.Td(one.why_never)]) for one in states if one.why_never]
    if not rows:
        return []
    return [html.H2("Rules that can never fire under this configuration"), html.Table(html.Tbody(rows))]


def followed_marks(marks: Sequence[MarkView]) -> list[dict[str, Any]]:
    """Return marks as the API has them."""
    return [
        {
            "step": mark.step,
            "time": mark.time,
            "kind": mark.kind,
            "fields": json_fields(mark.fields),
            "found": mark.found,
        }
        for mark in marks
    ]
