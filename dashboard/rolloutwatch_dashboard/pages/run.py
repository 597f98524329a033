"""The page of one run: is it healthy, and if not, why."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.around import Around
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, TILES, ChartGroup, charts_of
from rolloutwatch_dashboard.components import badge, configuration, frame, replay, trainer
from rolloutwatch_dashboard.components.tile import tile
from rolloutwatch_dashboard.pages.run_alerts import alerts_of, never
from rolloutwatch_dashboard.pages.run_charts import (
    POINTS,
    Drawing,
    drawing_of,
    first_of,
    groups_layout,
    parts_of,
)
from rolloutwatch_dashboard.pages.run_diagnosis import diagnosis_now
from rolloutwatch_dashboard.pages.run_followed import followed
from rolloutwatch_dashboard.visit import Shown, Visit


def show(visit: Visit, name: str) -> Shown | None:
    """Return the page, and what run.js needs to keep it up to date; charts around the step that a query asks for."""
    run = visit.source.run(name)
    if run is None:
        return None
    groups = charts_of(run, _not_zero(visit, run))
    first = first_of(parts := parts_of(groups))
    wanted = [chart for part in parts if part.name in first for chart in part.charts]
    drawing = drawing_of(f"{run.summary.id} {visit.now}", run, visit, visit.query, wanted)
    return layout(groups, drawing, visit.now), followed(groups, drawing, visit.now)


def _not_zero(visit: Visit, run: RunDetail) -> list[str]:
    """Return what has to be shown because it has not always been 0; no extreme is lost where a series is thinned."""
    asked = [metric for metric in SHOWN_WHEN_NOT_ZERO if metric in run.metrics]
    series = visit.source.series(run.summary.id, asked, points=POINTS) if asked else {}
    return [metric for metric in asked if (series[metric].value != 0).any()]


def layout(groups: Sequence[ChartGroup], drawing: Drawing, now: float) -> html.Div:
    """Return the page; what changes with every step is left to the scripts."""
    run, source = drawing.run, drawing.source
    return html.Div(
        [
            _head(run),
            frame.run_tabs(run.summary.id, "Run"),
            replay.bar(),
            dcc.Store(id=ids.RUN_WATCH, data=0),
            dcc.Store(id=ids.REPLAY_WATCH),
            dcc.Store(id=ids.DIAGNOSIS_WATCH),
            html.Div(alerts_of(run.summary.id, source, now), id=ids.RUN_ALERTS, hidden=True),
            html.Div(id=ids.REPLAY_ALERTS, hidden=True),
            html.Div(_tiles(groups), className="tiles"),
            _why(diagnosis_now(run.summary.id, source)),
            *_looked_at(run, drawing.looked_at),
            *(groups_layout(groups, drawing) if groups else [_nothing_yet(run)]),
            configuration.configuration(run, *never(source.rule_states(run.summary.id))),
        ],
        **{"data-page": drawing.name},
    )


def _head(run: RunDetail) -> html.Div:
    return html.Div(
        [
            html.H1([html.Span(f"{run.summary.project} / ", className="project"), run.summary.name]),
            badge.state(run.summary.state, id=ids.STATE),
            badge.contested(id=ids.CONTESTED, hidden=not run.summary.contested),
            html.Span(id=ids.STEP),
            html.Span(id=ids.SPEED),
            html.Span(id=ids.AGE),
            html.Ul(id=ids.RUN_TAGS, **{"aria-label": "Tags"}),
            _tags_button(),
            *_compared_with(run.reference),
            html.Div([configuration.opener(), replay.opener()], className="ways"),
            html.P(
                [html.Strong(id=ids.HEALTH), html.Span(id=ids.HEADLINE)], className="headline", role="status"
            ),
        ],
        className="head",
    )


def _compared_with(reference: str) -> list[html.Span]:
    """Return what says that the run is compared with another, nothing if it is not."""
    if not reference:
        return []
    way = dcc.Link(split_run_id(reference)[1], href=f"/runs/{quote(reference)}")
    about = "From its first step on, what is usual is what it was in this run, which had the tag reference when this one started."
    return [html.Span(["compared with ", way], className="compared-with", title=about)]


def _tags_button() -> html.Button:
    """Return the button by which the tags are changed; run_about.js asks."""
    said = {"data-about": "tags", "data-needs": "operator", "aria-label": "Tags of this run"}
    return html.Button("Tags…", type="button", className="act tags-of", **said)


def _why(probably: Component) -> html.Section:
    """Return the room for what is wrong, and probably its cause, which takes none while nothing is; run_why.js fills it."""
    more = html.Button(
        id=ids.REASONS_MORE,
        type="button",
        className="act",
        hidden=True,
        **{"aria-controls": ids.REASONS, "aria-expanded": "false"},
    )
    heading = html.H2("Why", className="hidden")
    cause = html.Div(probably, id=ids.DIAGNOSIS, hidden=True)
    return html.Section([heading, cause, html.Ul(id=ids.REASONS), more], id=ids.WHY, hidden=True)


def _tiles(groups: Sequence[ChartGroup]) -> list[html.Section]:
    charts = {
        metric: ids.chart(chart.name)
        for group in reversed(groups)  # a chart may stand in a later group once more
        for chart in group.charts
        for metric in chart.metrics
    }
    return [tile(title, METRICS[metric], charts.get(metric)) for metric, title in TILES.items()]


def _looked_at(run: RunDetail, looked_at: Around | str | None) -> list[html.P]:
    """Return what is said of the step that an address asks for, with the way back to all of the run."""
    if looked_at is None or (isinstance(looked_at, Around) and looked_at.step is None):
        return []
    is_there = isinstance(looked_at, Around)
    page = f"/runs/{quote(run.summary.id)}"
    way: list[Any] = [" ", dcc.Link("Show all", href=page)] if is_there else []
    if isinstance(looked_at, Around) and looked_at.came:
        way += [" ", dcc.Link("All of this step", href=f"{page}/steps/{looked_at.step}")]
    said = looked_at.said if isinstance(looked_at, Around) else looked_at
    return [html.P([said, *way], id=ids.AROUND, role="status", className="" if is_there else "none")]


def _nothing_yet(run: RunDetail) -> Component:
    """Return what stands in the place of charts."""
    if run.summary.last_step is None:
        how = "Charts appear with the first step that the trainer brings, as these lines do:"
        return html.Div([html.P(how, className="nothing"), trainer.lines()])
    return html.P("No figure has come with any step, so that there is nothing to draw.", className="nothing")
