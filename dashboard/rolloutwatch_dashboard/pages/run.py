"""The page of one run: is it healthy, and if not, why."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.drops import DROPS, describe_drop
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RuleState, RunDetail, Series, SessionView, Source
from rolloutwatch_dashboard import ids, theme
from rolloutwatch_dashboard.around import Around, around, united
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, SMALL_PRINT, TILES, UNREADABLE, charts_of
from rolloutwatch_dashboard.components import badge
from rolloutwatch_dashboard.components.chart_menu import chart_menu, chart_tools
from rolloutwatch_dashboard.components.tile import off, tile
from rolloutwatch_dashboard.figures.baseline import BAND
from rolloutwatch_dashboard.figures.bounds import bounds_of
from rolloutwatch_dashboard.figures.timeseries import Chart, figure_of, sides_of, with_axis
from rolloutwatch_dashboard.judgement import is_off, with_voids
from rolloutwatch_dashboard.pages.run_alerts import (
    Marks,
    alert_marks,
    alerts_of,
    followed_marks,
    marks_of,
    never,
)
from rolloutwatch_dashboard.text import number, where
from rolloutwatch_dashboard.view import USUAL, View, view_of
from rolloutwatch_dashboard.visit import Shown, Visit

POINTS = 1500  # of a series on the page; more than twice as many are fetched anew, thinned
MARKS = 500  # of each kind; what is marked at every step of a long run is a row of ticks
STEPS_OF_TREND = 60
LEAST_OF_TREND = 20  # a figure that has come less often in the last steps is taken from its whole series
CHART_HEIGHT = "220px"

Charts = Mapping[str, Sequence[Chart]]


def show(visit: Visit, name: str) -> Shown | None:
    """Return the page, and what run.js needs to keep it up to date; charts around the step that a query asks for."""
    run, source, now, query = visit.source.run(name), visit.source, visit.now, visit.query
    if run is None:
        return None
    limits = visit.limits(name)
    most = charts_of(run, SHOWN_WHEN_NOT_ZERO)
    drawn = [metric for group in most.values() for chart in group for metric in chart.metrics]
    judged = ({rule.metric for rule in limits} & set(run.metrics)) | {*TILES, UNREADABLE}
    beside = {metric for metric, _ in SMALL_PRINT.values()}
    series = _read(source, run, sorted({*drawn, *judged, *beside}), points=POINTS)
    tail = _read(source, run, sorted(judged | beside), from_step=_first_of_trend(run))
    not_zero = [metric for metric in SHOWN_WHEN_NOT_ZERO if (series[metric].value != 0).any()]
    charts = charts_of(run, not_zero)
    looked_at = around(query, run, source, sorted(set(drawn)))
    found = looked_at if isinstance(looked_at, Around) else None
    if found:
        detailed = _voided(found.series)
        series = {
            name: united(one, detailed[name]) if name in detailed else one for name, one in series.items()
        }
    marks = [*source.marks(run.summary.id, most=MARKS), *(found.marks if found else [])]
    marks.sort(key=lambda mark: (mark.step, mark.time))
    alerts = alert_marks(source, run.summary.id)
    drawing = f"{run.summary.id} {now}"
    recent = {name: one if len(one.step) >= LEAST_OF_TREND else series[name] for name, one in tail.items()}
    return (
        layout(run, charts, series, limits, (marks, alerts), drawing, source, now, looked_at, view_of(query)),
        {
            "page": drawing,
            "marks": followed_marks(marks),
            "ends": None if found is None else found.ends,
            **followed(run, charts, recent, limits, now),
        },
    )


def _read(source: Source, run: RunDetail, metrics: Sequence[str], **which: int) -> Mapping[str, Series]:
    """Read series, with NaN where a figure did not come because no log-prob was finite."""
    return _voided(source.series(run.summary.id, metrics, **which))


def _voided(series: Mapping[str, Series]) -> Mapping[str, Series]:
    return {
        name: with_voids(one, series[UNREADABLE]) if name in METRICS else one for name, one in series.items()
    }


def _first_of_trend(run: RunDetail) -> int:
    return max(0, (run.summary.last_step or 0) - 2 * STEPS_OF_TREND)


def layout(
    run: RunDetail,
    charts: Charts,
    series: Mapping[str, Series],
    limits: Sequence[Limit],
    marks: Marks,
    drawing: str,
    source: Source,
    now: float,
    looked_at: Around | str | None = None,
    view: View = USUAL,
) -> html.Div:
    """Return the page; what changes with every step is left to run.js.

    Every figure carries the name of this drawing, by which run.js tells it from one that is about to be replaced.
    """
    ends = looked_at.ends if isinstance(looked_at, Around) else None
    groups = [
        html.Section(
            [
                html.H2(heading),
                html.Div(
                    [_card(chart, series, limits, marks, drawing, ends, view) for chart in group],
                    className="charts",
                ),
            ]
        )
        for heading, group in charts.items()
        if group
    ]
    return html.Div(
        [
            _head(run),
            dcc.Store(id=ids.RUN_WATCH, data=0),
            html.Div(alerts_of(run.summary.id, source, now), id=ids.RUN_ALERTS),
            html.Div(_tiles(), className="tiles"),
            html.Ul(id=ids.REASONS),
            *_looked_at(run, looked_at),
            chart_tools(),
            *groups,
            _facts(run, source.rule_states(run.summary.id)),
        ]
    )


def _looked_at(run: RunDetail, looked_at: Around | str | None) -> list[html.P]:
    """Return what is said of the step that an address asks for, with the way back to all of the run."""
    if looked_at is None or (isinstance(looked_at, Around) and looked_at.step is None):
        return []
    is_there = isinstance(looked_at, Around)
    way = [" ", dcc.Link("Show all", href=f"/runs/{quote(run.summary.id)}")] if is_there else []
    said = looked_at.said if isinstance(looked_at, Around) else looked_at
    return [html.P([said, *way], id=ids.AROUND, role="status", className="" if is_there else "none")]


def followed(
    run: RunDetail, charts: Charts, recent: Mapping[str, Series], limits: Sequence[Limit], now: float
) -> dict[str, Any]:
    """Return what run.js needs: where figures go, how they are judged, and the most recent ones."""
    summary = run.summary
    return {
        "kind": "run",
        "run": summary.id,
        "name": summary.name,
        "state": summary.state.value,
        "generation": run.generation,
        "step": summary.last_step,
        "first": summary.first_step,
        "began": summary.started_at,
        "metrics": list(run.metrics),
        "measured": [metric for metric in run.metrics if metric in METRICS],
        "unreadable": UNREADABLE,
        "shown_when_not_zero": list(SHOWN_WHEN_NOT_ZERO),
        "dropped": run.dropped,
        "losses": DROPS,
        "rivals": [_rival(session) for session in run.rivals],
        "mark_styles": {**theme.MARKS, BAND: theme.BAND},
        "most_marks": MARKS,
        "updated_at": summary.updated_at,
        "seconds_since_update": now - summary.updated_at,
        "points": POINTS,
        "charts": [_followed_chart(chart, limits) for group in charts.values() for chart in group],
        "tiles": [_followed_tile(run, metric, title) for metric, title in TILES.items()],
        "rules": [_followed_limit(limit) for limit in limits],
        "recent": {metric: _recent(one) for metric, one in recent.items() if len(one.step)},
    }


def _head(run: RunDetail) -> html.Div:
    return html.Div(
        [
            html.H1([html.Span(f"{run.summary.project} / ", className="project"), run.summary.name]),
            html.Strong(id=ids.HEALTH, role="status"),
            badge.state(run.summary.state, id=ids.STATE),
            badge.contested(id=ids.CONTESTED, hidden=not run.summary.contested),
            html.Span(id=ids.STEP),
            html.Span(id=ids.SPEED),
            html.Span(id=ids.AGE),
        ],
        className="head",
    )


def _tiles() -> list[html.Section]:
    return [tile(title, METRICS[metric]) for metric, title in TILES.items()]


def _card(
    chart: Chart,
    series: Mapping[str, Series],
    limits: Sequence[Limit],
    marks: Marks,
    drawing: str,
    ends: tuple[int, int] | None,
    view: View,
) -> html.Div:
    meanings = [
        f"{label}: {METRICS[name].meaning}" for name, label in chart.metrics.items() if name in METRICS
    ]
    if chart.log:
        meanings.append(f"What is below {number(chart.floor)} is drawn there.")
    seen = with_axis(chart, series, log=view.is_log(chart.name, chart.log))
    figure = figure_of(seen, series, limits, marks_of(chart, marks), ends, view.smooth)
    figure["layout"]["meta"] = drawing
    graph = dcc.Graph(
        id=ids.chart(chart.name),
        figure=figure,
        style={"height": CHART_HEIGHT},
        config={"displayModeBar": False, "responsive": True, "doubleClick": False, "scrollZoom": False},
    )
    # in words too: of several limits in one direction the farther one may be outside the value axis
    drawn = sorted((rule for rule in limits if rule.metric in chart.metrics), key=lambda rule: rule.severity)
    words = dict.fromkeys((rule.severity.name.lower(), where(rule)) for rule in drawn)
    limits = [html.Span(f"{severity} {place}", className=severity) for severity, place in words]
    head = html.Div(
        [
            html.H3(chart.title, title="\n".join(meanings)),
            html.Div(limits, className="limits"),
            chart_menu(chart.name, chart.title),
        ],
        className="card-head",
    )
    return html.Div([head, graph], className="card")


def _facts(run: RunDetail, states: Sequence[RuleState]) -> html.Details:
    facts = {
        **run.config,
        **run.environment,
        **{describe_drop(why): count for why, count in run.dropped.items()},
    }
    rows = [html.Tr([html.Th(name), html.Td(_fact(value))]) for name, value in facts.items()]
    return html.Details(
        [
            html.Summary("Configuration and environment"),
            html.Table(html.Tbody(rows)),
            *never(states),
        ]
    )


def _fact(value: object) -> str:
    return "not set" if value is None else number(value) if isinstance(value, float) else str(value)


def _rival(session: SessionView) -> dict[str, str]:
    return {"session": session.id, **{name: session.environment.get(name, "") for name in ("host", "pid")}}


def _followed_tile(run: RunDetail, metric: str, title: str) -> dict[str, Any]:
    return {
        "id": ids.tile(metric),
        "metric": metric,
        "title": title,
        "beside": SMALL_PRINT.get(metric),
        "off": off(METRICS[metric]) if is_off(run, metric) else None,
    }


def _followed_chart(chart: Chart, limits: Sequence[Limit]) -> dict[str, Any]:
    own = [limit for limit in limits if limit.metric in chart.metrics]
    return {
        "id": ids.chart(chart.name),
        "name": chart.name,
        "title": chart.title,
        "metrics": list(chart.metrics),
        "labels": list(chart.metrics.values()),
        "limits": sides_of(own),
        "bounds": {axis: bounds_of(own, chart.ideal, log=axis == "log") for axis in ("log", "linear")},
        "ideal": chart.ideal,
        "floor": chart.floor,
        "home": list(chart.home),
    }


def _followed_limit(limit: Limit) -> dict[str, Any]:
    title = METRICS[limit.metric].title if limit.metric in METRICS else limit.metric
    sides = {
        name: side if math.isfinite(side) else None
        for name, side in (("above", limit.above), ("below", limit.below))
    }
    about = {"title": title, "summary": limit.summary, "cure": limit.cure}
    return {"metric": limit.metric, "severity": int(limit.severity), **sides, **about}


def _recent(series: Series) -> dict[str, list[Any]]:
    values = series.value[-STEPS_OF_TREND:].tolist()
    return {
        "step": series.step[-STEPS_OF_TREND:].tolist(),
        "value": [value if math.isfinite(value) else None for value in values],
    }
