"""One figure, large: value, state, trend. run_tiles.js fills it, now and with every step."""

from dash import html

from rolloutwatch_contract import Metric
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.text import number


def tile(title: str, metric: Metric, chart: str | None = None) -> html.Section:
    """Return an empty tile, which leads to the chart of this id, if there is one."""
    ideal = "" if metric.ideal is None else f", ideal {number(metric.ideal)}"
    return html.Section(
        [
            html.H2(title if chart is None else html.A(title, href=f"#{chart}")),
            html.Div(className="word"),
            html.Div("–", className="value"),
            html.Div(className="trend"),
            html.P(className="small"),
        ],
        id=ids.tile(metric.name),
        className="tile",
        title=f"{metric.meaning} {metric.formula} ({metric.unit}{ideal})",
    )


def off(metric: Metric) -> str:
    """Return what stands on the tile of a figure that the run does not measure, which is not the same as 0."""
    return f"off: set {metric.needs} to have it"
