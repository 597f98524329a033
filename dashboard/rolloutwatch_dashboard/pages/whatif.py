"""The what-if page of a run: what another configuration of the correction would have given, against what was.

whatif.js brings the controls, asks the server's `/api/v1/runs/<run id>/whatif`, and draws the answer into the charts.
"""

from collections.abc import Mapping
from typing import Any

from dash import dcc, html

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.figure_bounds import figures_under
from rolloutwatch_contract.presets import PRESETS, Preset
from rolloutwatch_contract.protocol import RunDetail, RunState, Series, Source
from rolloutwatch_contract.values import REJECTIONS
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import badge, frame
from rolloutwatch_dashboard.components.chart_menu import chart_menu, chart_tools
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.figures.whatif import PANELS, WAS, WOULD, figure_of, meaning_of, metric_of, was_of
from rolloutwatch_dashboard.visit import Shown, Visit

TAB = "What if"
POINTS = 1500  # of a series on the page
CHART_HEIGHT = "200px"
MEASURED = "n_tokens"  # comes with every step that was measured
TAKEN = {
    "kept_fraction": "rollout_is_masked_fraction",
    "seq_kept_fraction": "rollout_is_seq_masked_fraction",
}
# presets by the beginning of their names, as they are offered
GROUPS = (
    ("decoupled_", "Decoupled"),
    ("bypass_", "Bypass"),
    ("example_", "Examples of verl's README"),
    ("", "Others"),
)


def show(visit: Visit, name: str) -> Shown | None:
    """Return the page, and what whatif.js has to know; the address says what is asked, and whatif.js reads it there."""
    run = visit.source.run(name)
    if run is None:
        return None
    told = {"kind": "whatif", "title": f"{run.summary.name} · {TAB}"}
    if run.summary.last_step is None:
        return _without_steps(run), told | {"is_empty": True}
    return _layout(run, visit.source), told | followed(run)


def followed(run: RunDetail) -> dict[str, Any]:
    """Return what whatif.js has to know."""
    own, problem = own_of(run)
    return {
        "run": run.summary.id,
        "own": own.as_dict(),
        "problem": problem,
        "brought": sorted(figures_under(own)),
        "defaults": CorrectionConfig().as_dict(),
        "presets": [_preset(one) for one in PRESETS.values()],
        "rejections": {name: list(compared) for name, compared in REJECTIONS.items()},
        "panels": [_followed_panel(panel) for panel in PANELS],
        "points": POINTS,
        "last_step": run.summary.last_step,
        "is_live": run.summary.state is RunState.LIVE,
        "tables_from": run.tables_from,
    }


def own_of(run: RunDetail) -> tuple[CorrectionConfig, str]:
    """Return a run's own configuration, and what is wrong with it in words: then the one that only measures stands for it."""
    known = CorrectionConfig().as_dict()
    keys = {name: value for name, value in run.config.items() if name in known}
    if not keys:
        return (
            CorrectionConfig(),
            "The run has not said which correction it has: taken is that it only measures.",
        )
    try:
        return CorrectionConfig.from_mapping(keys), ""
    except ValueError as error:
        return CorrectionConfig(), f"The run's own configuration cannot be read, so none is taken: {error}"


def _layout(run: RunDetail, source: Source) -> html.Div:
    names = {MEASURED, *TAKEN.values(), *(metric_of(panel) for panel in PANELS)} - TAKEN.keys()
    series = source.series(run.summary.id, sorted(names), points=POINTS)
    results = html.Section(
        [
            html.Div(id=ids.WHATIF_STATUS, role="status"),
            html.Div(id=ids.WHATIF_TABLE),
            html.Ul(id=ids.WHATIF_NOTES, className="whatif-notes"),
            chart_tools(),
            html.Div([_card(panel, series) for panel in PANELS], id=ids.WHATIF_CHARTS, className="charts"),
        ],
        className="whatif-results",
        **{"aria-label": "What would have been"},
    )
    chosen = html.Section(
        [
            html.Div(id=ids.WHATIF_CONTROLS, className="card whatif-card"),
            html.Div(id=ids.WHATIF_YAML, className="card whatif-card"),
        ],
        className="whatif-chosen",
        **{"aria-label": "Correction"},
    )
    return html.Div([_head(run), _said(), html.Div([chosen, results], className="whatif")])


def _head(run: RunDetail) -> html.Div:
    summary = run.summary
    return html.Div(
        [
            html.Div(
                [
                    html.H1([html.Span(f"{summary.project} / ", className="project"), summary.name]),
                    badge.state(summary.state),
                ],
                className="head",
            ),
            frame.run_tabs(summary.id, TAB),
        ]
    )


def _said() -> html.P:
    return html.P(
        [
            "What another correction would have done at the steps that are recorded, beside what was. ",
            "What the run would have become it does not tell: with another correction the policy would have been another one. ",
            html.A("What can be told, and how exactly", href="/guides/more/replay"),
        ],
        className="quiet",
    )


def _card(panel: Chart, series: Mapping[str, Series]) -> html.Div:
    metric = metric_of(panel)
    was = was_of(series, metric, TAKEN.get(metric, ""), MEASURED)
    graph = dcc.Graph(
        id=ids.chart(panel.name),
        figure=figure_of(panel, was),
        style={"height": CHART_HEIGHT},
        config={"displayModeBar": False, "responsive": True, "doubleClick": False, "scrollZoom": False},
    )
    legend = [html.Span(WAS, className="was"), html.Span(WOULD, className="would")]
    head = html.Div(
        [
            html.H3(panel.title, title=meaning_of(metric)),
            html.Div(legend, className="legend"),
            chart_menu(ids.chart(panel.name), panel.title, has_log=False, has_link=False),
        ],
        className="card-head",
    )
    return html.Div([head, graph], className="card", **{"data-metric": metric})


def _followed_panel(panel: Chart) -> dict[str, Any]:
    metric = metric_of(panel)
    return {
        "id": ids.chart(panel.name),
        "metric": metric,
        "title": panel.title,
        "meaning": meaning_of(metric),
        "ideal": panel.ideal,
        "floor": panel.floor,
        "home": list(panel.home),
        "limits": [],
    }


def _preset(preset: Preset) -> dict[str, Any]:
    group = next(title for beginning, title in GROUPS if preset.name.startswith(beginning))
    return {
        "name": preset.name,
        "group": group,
        "summary": preset.summary,
        "keys": CorrectionConfig.preset(preset.name).as_dict(),
    }


def _without_steps(run: RunDetail) -> html.Div:
    why = html.P("There is no step yet of which could be told what another correction would have given.")
    return html.Div([_head(run), frame.message("No step yet", why)])
