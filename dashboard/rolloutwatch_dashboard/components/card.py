"""A chart in its card: what it shows, its limits in words, and the figure, or the room for it."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components.chart_menu import chart_menu
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.text import number, where

HEIGHT = "220px"


def card(chart: Chart, limits: Sequence[Limit], figure: dict[str, Any] | None) -> Component:
    """Return a chart; without a figure the room that it will take."""
    if figure is None and not _is_judged(chart, limits):
        return _bare_room(chart)
    return html.Div(
        [_head(chart, limits), _room(chart) if figure is None else _graph(chart, figure)], className="card"
    )


def _graph(chart: Chart, figure: dict[str, Any]) -> dcc.Graph:
    return dcc.Graph(
        id=ids.chart(chart.name),
        figure=figure,
        style={"height": HEIGHT},
        config={"displayModeBar": False, "responsive": True, "doubleClick": False, "scrollZoom": False},
    )


def _room(chart: Chart) -> html.Div:
    """Return what has the place and the id of a chart until it is drawn, so that what leads there does so already."""
    return html.Div(id=ids.chart(chart.name), className="room", style={"height": HEIGHT})


def _is_judged(chart: Chart, limits: Sequence[Limit]) -> bool:
    return any(rule.metric in chart.metrics for rule in limits)


def _bare_room(chart: Chart) -> html.H3:
    """Return the room for a chart of which there is only the title to say.

    It is a single component: a trainer may log hundreds of figures, and Dash looks at every component whenever one changes.
    """
    return html.H3(chart.title, id=ids.chart(chart.name), className="card room")


def _head(chart: Chart, limits: Sequence[Limit]) -> html.Div:
    meanings = [
        f"{label}: {METRICS[name].meaning}" for name, label in chart.metrics.items() if name in METRICS
    ]
    if chart.log:
        meanings.append(f"What is below {number(chart.floor)} is drawn there.")
    # in words too: of several limits in one direction the farther one may be outside the value axis
    drawn = sorted((rule for rule in limits if rule.metric in chart.metrics), key=lambda rule: rule.severity)
    words = dict.fromkeys((rule.severity.name.lower(), where(rule)) for rule in drawn)
    said = [html.Span(f"{severity} {place}", className=severity) for severity, place in words]
    return html.Div(
        [
            html.H3(chart.title, title="\n".join(meanings)),
            html.Div(said, className="limits"),
            chart_menu(chart.name, chart.title),
        ],
        className="card-head",
    )
