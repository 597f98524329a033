"""The page that lays runs over each other."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary, Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.charts import UNREADABLE
from rolloutwatch_dashboard.compared import (
    Compared,
    axis_of,
    origin_of,
    points_of,
    read,
)
from rolloutwatch_dashboard.compared_charts import charts_for, common, offered, usual
from rolloutwatch_dashboard.comparison import MOST_METRICS, MOST_RUNS, Align, Asked, shown
from rolloutwatch_dashboard.components import frame
from rolloutwatch_dashboard.components.chart_menu import chart_tools
from rolloutwatch_dashboard.components.compare_tables import (
    MOST_ALERTS,
    Column,
    differences,
    summary,
)
from rolloutwatch_dashboard.figures.compare import Axis, shapes_of
from rolloutwatch_dashboard.figures.timeseries import Chart, sides_of
from rolloutwatch_dashboard.pages.compare_layout import cards, choose, head, legend, not_drawn, notes
from rolloutwatch_dashboard.visit import Shown, Visit
from rolloutwatch_dashboard.words import names, title

MOST_SUGGESTED = 3
ENDED = (RunState.FINISHED, RunState.CRASHED)


def show(visit: Visit) -> Shown:
    """Return the page, and what compare.js needs to keep it up to date."""
    asked = Asked.of(visit.query)
    details = [one for run in asked.runs if (one := visit.source.run(run)) is not None]
    missing = [run for run in asked.runs if run not in {one.summary.id for one in details}]
    said = [*asked.refused, *(f"There is no run “{shown(run)}”." for run in missing)]
    metrics = list(asked.metrics) or usual(details)
    choice = {
        "kind": "compare",
        "title": "Compare",
        "chosen": [one.summary.id for one in details],
        "drawn": metrics,
        "offered": [_offer(metric, details) for metric in offered(details)],
        "most": {"runs": MOST_RUNS, "metrics": MOST_METRICS},
    }
    if not details:
        return _nothing_chosen(visit.source, said), {**choice, "runs": [], "charts": []}
    compared = read(visit.source, asked, details, metrics)
    axis = axis_of(asked, compared)
    limits = common([visit.limits(one.summary.id) for one in details])
    charts = charts_for(details, metrics)
    drawing = f"compare {visit.now}"
    said += not_drawn(asked, compared)
    page = html.Div(
        [
            head(visit.source, asked, details),
            *notes(said),
            chart_tools(),
            legend(details),
            cards(charts, compared, axis, limits, asked, drawing),
            dcc.Store(id=ids.COMPARED_WATCH, data=0),
            html.Div(tables(visit, asked, details, metrics), id=ids.COMPARED_TABLES),
        ],
        id=ids.COMPARED,
        className="with-same" if asked.same else "",
        **{"aria-busy": "true"},  # until the charts are there
    )
    followed = {
        "page": drawing,
        "name": names([one.summary.name for one in details], MOST_SUGGESTED),
        "points": points_of(len(details)),
        "axis": _followed_axis(asked, axis),
        "ends": asked.ends,
        "runs": [_followed_run(one) for one in compared],
        "charts": [_followed_chart(chart, limits, axis) for chart in charts],
        "unreadable": UNREADABLE,
        "measured": [metric for metric in metrics if metric in METRICS],
    }
    return page, {**choice, **followed}


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [dcc.Store(id=ids.COMPARED_WATCH), html.Div(id=ids.COMPARED_TABLES)]


def register(app: Dash, visit: Callable[[object], Visit]) -> None:
    """Let the tables be made anew when compare.js finds that it is time."""

    @app.callback(
        Output(ids.COMPARED_TABLES, "children"),
        Input(ids.COMPARED_WATCH, "data"),
        State(ids.LOCATION, "search"),
        prevent_initial_call=True,
    )
    async def watch(_watch: object, search: object) -> Any:
        return await asyncio.to_thread(_tables, visit(search))


def _tables(visit: Visit) -> html.Div:
    asked = Asked.of(visit.query)
    details = [one for run in asked.runs if (one := visit.source.run(run)) is not None]
    return tables(visit, asked, details, list(asked.metrics) or usual(details))


def tables(visit: Visit, asked: Asked, details: Sequence[RunDetail], metrics: Sequence[str]) -> html.Div:
    """Return what is written of the runs, and how they are, by which compare.js finds what to do."""
    source = visit.source
    columns = [
        Column(
            one,
            source.summaries(one.summary.id, metrics),
            source.alerts(state="all", run=one.summary.id, limit=MOST_ALERTS),
            visit.limits(one.summary.id),
        )
        for one in details
    ]
    runs = [
        {"id": one.summary.id, "over": _is_over(one), "origin": origin_of(source, asked, one)}
        for one in details
    ]
    everything = html.Button(
        [html.Span("Show what does not differ", className="more"), html.Span("Show what differs", className="less")],
        id=ids.COMPARED_ALL, type="button", className="act",
        hidden=len(details) == 1,  # of one run all is shown
    )  # fmt: skip
    return html.Div(
        [
            html.H2("Summary"),
            summary(columns, metrics, visit.now),
            html.Div([html.H2("Configuration and environment"), everything], className="page-head"),
            differences(details),
            *_several_sessions(details),
        ],
        **{"data-now": str(visit.now), "data-runs": json.dumps(runs), "data-worst": _worst(columns)},
    )


def _worst(columns: Sequence[Column]) -> str:
    """Return the colour of the icon: of the worst alert that fires on a run that is not over."""
    firing = [
        alert.severity
        for one in columns
        for alert in one.alerts
        if alert.is_firing and not _is_over(one.detail)
    ]
    return max(firing).word if firing else "unknown"


def _several_sessions(details: Sequence[RunDetail]) -> list[html.P]:
    changed = [
        one.summary.name for one in details if any(session.config != one.config for session in one.sessions)
    ]
    if not changed:
        return []
    text = (
        f"What {names(changed, MOST_SUGGESTED)} began with was another configuration: shown is the last one."
    )
    return [html.P(text, className="quiet")]


def _is_over(detail: RunDetail) -> bool:
    return detail.summary.state in ENDED


def _nothing_chosen(source: Source, said: Sequence[str]) -> html.Div:
    found = source.runs()
    if not found:
        body = frame.message(
            "No run yet",
            html.P("Runs are compared here as soon as there are any."),
            html.P(dcc.Link("See how to send the first step", href="/")),
        )
    else:
        body = frame.message(
            "Compare runs",
            html.P(
                "Lay up to twelve runs over each other, by step, by time, or from a mark on, "
                "and see where their configurations differ."
            ),
            html.P(choose("Choose runs", "runs", "first")),
            *_suggestions(found),
        )
    return html.Div([*notes(said), body], id=ids.COMPARED)


def _suggestions(found: Sequence[RunSummary]) -> list[html.P]:
    """Return the ways to compare the newest run of each project with the one before it."""
    pairs: dict[str, list[RunSummary]] = {}
    for run in found:
        pairs.setdefault(run.project, []).append(run)
    ways = [
        html.Li(
            [
                dcc.Link(f"{two[1].name} and {two[0].name}", href=Asked((two[1].id, two[0].id)).address),
                html.Span(f" of {project}", className="quiet"),
            ]
        )
        for project, two in pairs.items()
        if len(two) > 1
    ][:MOST_SUGGESTED]
    return [html.P("Or the newest two:"), html.Ul(ways)] if ways else []


def _offer(metric: str, details: Sequence[RunDetail]) -> Mapping[str, str]:
    having = sum(metric in one.metrics for one in details)
    hint = metric if having == len(details) else f"{metric}, in {having} of {len(details)} runs"
    return {"value": metric, "label": title(metric), "hint": hint}


def _followed_run(one: Compared) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.detail.summary.name,
        "origin": one.origin,
        "over": _is_over(one.detail),
        "generation": one.detail.generation,
        "changes": one.detail.changes,
        "metrics": list(one.detail.metrics),
    }


def _followed_axis(asked: Asked, axis: Axis) -> dict[str, Any]:
    """Return the axis, and what the place of a value on it is called in a file, None where that is its step or its time."""
    columns = {
        Align.RELATIVE: "seconds_since_the_run_began",
        Align.MARK: f"steps_from_{asked.mark}_{asked.number}",
    }
    return {
        "kind": asked.align.value,
        "title": axis.title,
        "unit": axis.unit,
        "timed": axis.timed,
        "dated": axis.dated,
        "column": columns.get(asked.align),
    }


def _followed_chart(chart: Chart, limits: Sequence[Limit], axis: Axis) -> dict[str, Any]:
    metric = next(iter(chart.metrics))
    own = [limit for limit in limits if limit.metric == metric]
    return {
        "id": chart.name,
        "name": metric,
        "title": chart.title,
        "metric": metric,
        "limits": sides_of(own),
        "shapes": {kind: shapes_of(own, chart.ideal, axis, log=kind == "log") for kind in ("log", "linear")},
        "ideal": chart.ideal,
        "floor": chart.floor,
        "home": list(chart.home),
    }
