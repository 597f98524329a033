"""One figure, large: value, state, trend. run.js fills it, now and with every step."""

from dash import html

from rolloutwatch_contract import Metric
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.text import number


def tile(title: str, metric: Metric, *, off: bool) -> html.Section:
    """Return a tile; `off` says that the run does not measure this, which is not the same as 0."""
    why = f"off: set {metric.needs} to have it" if off else "no step yet"
    ideal = "" if metric.ideal is None else f", ideal {number(metric.ideal)}"
    return html.Section(
        [
            html.H2(title),
            html.Div("–", className="value"),
            html.Div(className="trend"),
            html.Div("" if off else "waiting", className="word"),
            html.P(why, className="small"),
        ],
        id=ids.tile(metric.name),
        className="tile" + (" off" if off else ""),
        title=f"{metric.meaning} {metric.formula} ({metric.unit}{ideal})",
    )
