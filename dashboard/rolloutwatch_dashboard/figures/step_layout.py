"""What the charts of a step have in common."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.timeseries import TEMPLATE

# of a token that training finds less likely than the rollout did, and of one that it finds more likely
FEWER, MORE = theme.SERIES[:2]
NEITHER = "#8a94a0"
MOST_OF_JSON = 2**53  # a script reads larger numbers wrongly
HOVER = "%{customdata}<extra></extra>"


def layout(
    name: str, xaxis: dict[str, Any], yaxis: dict[str, Any], *, nothing: str = "", **more: Any
) -> dict[str, Any]:
    """Return the layout of a chart; `nothing` is what stands in it where there is nothing to draw."""
    said = {
        "text": nothing, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False, "visible": bool(nothing),
    }  # fmt: skip
    return {
        "template": TEMPLATE,
        "annotations": [said],
        "margin": {"l": 56, "r": 12, "t": 22, "b": 40, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": "closest",
        "dragmode": "zoom",
        "uirevision": name,
        "showlegend": False,
        "legend": {
            "orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom",
            "font": {"size": 11}, "itemsizing": "constant",
        },
        "xaxis": {"gridcolor": theme.GRID, "zeroline": False, **xaxis},
        "yaxis": {"gridcolor": theme.GRID, "zeroline": False, **yaxis},
        **more,
    }  # fmt: skip


Cell = float | int | str | None


def table(columns: Mapping[str, Sequence[Cell]]) -> dict[str, list[dict[str, Any]]]:
    """Return the `meta` of a layout: what a chart shows as columns, for drawn_charts.js to save; numbers unrounded.

    >>> table({"group": ["a", None], "mean": [0.5, -math.inf]})
    {'table': [{'name': 'group', 'values': ['a', None]}, {'name': 'mean', 'values': [0.5, '-Infinity']}]}
    """
    return {"table": [{"name": name, "values": [*map(_spelt, values)]} for name, values in columns.items()]}


def _spelt(value: Cell) -> Cell:
    if isinstance(value, int) and abs(value) > MOST_OF_JSON:
        return str(value)
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def lines(at: Sequence[float], *, across: bool = False) -> list[dict[str, Any]]:
    """Return lines at places of the x axis, or `across` the chart at places of the y axis."""
    style = {"color": theme.THRESHOLD, "width": 1.5, "dash": "dash"}
    one = {"type": "line", "layer": "above", "line": style}
    if across:
        return [{**one, "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": y, "y1": y} for y in at]
    return [{**one, "xref": "x", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1} for x in at]
