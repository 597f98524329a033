"""The card of the heat map on the page of a run; what is in it comes when it is seen, by assets/heatmap.js."""

from typing import Any

from dash import html

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components.chart_menu import chart_menu
from rolloutwatch_dashboard.figures.heatmap import COLORS, frame
from rolloutwatch_dashboard.figures.log_ratio_axis import places
from rolloutwatch_dashboard.thresholds import Threshold, correction_of, token_thresholds

GROUP, HEADING = "log-ratio", "Log ratio by step"
TITLE = "Log ratio of tokens"
COLUMNS = 600  # of steps, at the most; half as many at the least, in a long run
HINTS = ("Point at a cell to read it; a click opens the step. Drag to zoom.", "Tap a cell to read it.")
MEANING = (
    "How many tokens of each step have which log ratio, training − rollout. The axis is logarithmic to both sides of 0. "
    "Of many steps those that stand together are summed."
)


def has_heatmap(run: RunDetail) -> bool:
    """Tell whether a correction has measured anything, which sends histograms too."""
    return any(metric in METRICS for metric in run.metrics)


def card(run: RunDetail) -> html.Div:
    """Return the card, empty as yet."""
    name = ids.HEATMAP
    config = correction_of(run.config)
    words = dict.fromkeys(one.words for one in _thresholds(run))
    scale = html.Span(
        [
            html.Span(),
            html.I(style={"background": f"linear-gradient(to right, {', '.join(COLORS)})"}),
            html.Span(),
            " of a step's tokens",
        ],
        id=f"{name}-scale",
        className="heat-scale",
    )
    head = html.Div(
        [
            html.H3(TITLE, title=MEANING),
            html.Div(
                [*(html.Span(one, className="threshold") for one in words), scale],
                className="limits thresholds",
            ),
            chart_menu(name, TITLE, has_log=False),
        ],
        className="card-head",
    )
    plot = html.Div(
        [
            html.Div(id=name, className="heat"),
            html.Div(id=f"{name}-cursor", className="heat-cursor", hidden=True),
            html.P(_nothing(run), id=f"{name}-empty", className="heat-empty"),
        ],
        className="heat-plot",
        tabIndex=0,
        role="group",
        **{"aria-label": f"{TITLE} by step: arrow keys move from cell to cell, Enter opens the step"},
    )
    foot = html.Div(
        [
            html.Span(id=f"{name}-text", role="status"),
            html.A("Open", hidden=True, **{"data-open": ""}),
            html.Button("Show all", id=f"{name}-all", className="act", type="button", hidden=True, **{"data-show": "all"}),
            *([html.Span(_of_sequences(config))] if isinstance(config, CorrectionConfig) else []),
        ],
        className="heat-foot",
    )  # fmt: skip
    return html.Div([head, plot, foot], id=f"{name}-card", className="card wide heat-card")


def followed(run: RunDetail) -> dict[str, Any]:
    """Return what heatmap.js needs."""
    thresholds = _thresholds(run)
    at = [place for place in places([one.at for one in thresholds]) if place is not None]
    return {
        "id": ids.HEATMAP,
        "name": ids.HEATMAP,
        "title": TITLE,
        "group": ids.group(GROUP),
        "metrics": [],  # it has no series
        "figure": frame(thresholds),
        "thresholds": at,
        "columns": COLUMNS,
        "hints": HINTS,
    }


def _thresholds(run: RunDetail) -> list[Threshold]:
    config = correction_of(run.config)
    return token_thresholds(config) if isinstance(config, CorrectionConfig) else []


def _of_sequences(config: CorrectionConfig) -> str:
    """Say of which thresholds there is no line, since they are not of single tokens."""
    weights = config.rollout_is in ("sequence", "geometric")
    rejection = any(each.level not in ("token", "seq_max") for each in config.rejections)
    keys = [key for key, is_it in (("rollout_is", weights), ("rollout_rs", rejection)) if is_it]
    return (
        f"{' and '.join(keys)} {'looks' if len(keys) == 1 else 'look'} at whole sequences: no line here."
        if keys
        else ""
    )


def _nothing(run: RunDetail) -> str:
    if run.tables_from is not None:
        return f"No histogram here; those before step {run.tables_from} were let go of."
    return "No histogram came with these steps."
