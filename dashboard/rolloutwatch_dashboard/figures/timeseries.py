"""A chart of figures over training steps, with the limits that the rules set."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.rules import Rule
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.text import number, plain

MARGIN_SHARE = 0.08  # air above and below the data, as a share of its span
REACH = 1.0  # a limit that is at most this many spans away is shown, one farther away would flatten the data


@dataclass(frozen=True)
class Chart:
    """What one chart shows: `metrics` by name with a short label for each, the first one being the chart's own."""

    name: str
    title: str
    unit: str
    metrics: Mapping[str, str]
    ideal: float | None = None
    log: bool = False


def timeseries(chart: Chart, series: Mapping[str, Series], rules: Sequence[Rule]) -> go.Figure:
    """Draw a chart. A value that is not finite is a gap in its line; on a log axis so is one that is not above 0."""
    figure = go.Figure()
    for color, (metric, label) in zip(theme.SERIES, chart.metrics.items(), strict=False):
        step, value = visible(series.get(metric), chart.log)
        figure.add_scatter(
            x=step, y=value, name=plain(label), mode="lines", connectgaps=False,
            line={"color": color, "width": 1.6}, hovertemplate="%{y:.6~g}",
        )  # fmt: skip
    limits = [rule for rule in rules if rule.metric in chart.metrics]
    low, high = value_range([point for trace in figure.data for point in trace.y], limits_of(limits), chart)
    figure.update_layout(
        shapes=[shape for rule in limits for shape in _shapes(rule, chart.log)] + _ideal(chart),
        showlegend=len(chart.metrics) > 1,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom", "font": {"size": 11}},
        margin={"l": 58, "r": 12, "t": 22, "b": 24},
        paper_bgcolor=theme.CLEAR,
        plot_bgcolor=theme.CLEAR,
        font={"family": theme.FONT, "size": 11},
        hovermode="x unified",
        dragmode="zoom",
        uirevision=chart.name,
        xaxis={"gridcolor": theme.GRID, "zeroline": False, "hoverformat": "d", "unifiedhovertitle": {"text": "step %{x}"}},
        yaxis={
            "title": {"text": axis_title(chart)}, "gridcolor": theme.GRID, "zeroline": False,
            "type": "log" if chart.log else "linear", "range": [low, high], "exponentformat": "e",
        },
    )  # fmt: skip
    return figure


def visible(series: Series | None, log: bool) -> tuple[list[int], list[float | None]]:
    """Return steps and values as lists, which live traces need, with None where there is nothing to draw."""
    if series is None:
        return [], []
    drawable = np.isfinite(series.value) & ((series.value > 0) | (not log))
    values = [
        value if good else None for value, good in zip(series.value.tolist(), drawable.tolist(), strict=True)
    ]
    return series.step.tolist(), values


def limits_of(rules: Sequence[Rule]) -> list[float]:
    """Return the values at which a rule begins to be broken."""
    return [limit for rule in rules for limit in (rule.above, rule.below) if math.isfinite(limit)]


def value_range(values: Sequence[float | None], limits: Sequence[float], chart: Chart) -> tuple[float, float]:
    """Return the range of the value axis, in powers of ten on a log axis; figures.js does the same.

    It follows the data, and takes in a limit or the ideal value that is near.
    """
    scale = math.log10 if chart.log else float
    points = [scale(value) for value in values if value is not None]
    marks = [
        scale(mark) for mark in (*limits, chart.ideal) if mark is not None and (mark > 0 or not chart.log)
    ]
    if not points:
        points = marks or [0.0]
    low, high = min(points), max(points)
    span = max(high - low, 0.3 if chart.log else 1e-3 * max(abs(low), abs(high), 1e-3))
    for mark in marks:
        if low - REACH * span <= mark <= high + REACH * span:
            low, high = min(low, mark), max(high, mark)
    air = MARGIN_SHARE * max(high - low, span)
    return low - air, high + air


def axis_title(chart: Chart) -> str:
    """Return unit and ideal value, as they stand at the value axis."""
    return chart.unit if chart.ideal is None else f"{chart.unit} (ideal {number(chart.ideal)})"


def _shapes(rule: Rule, log: bool) -> list[dict[str, object]]:
    sides = [(rule.above, 1), (rule.below, -1)]
    return [
        shape
        for limit, side in sides
        if math.isfinite(limit) and (limit > 0 or not log)
        for shape in _limit(rule, limit, side, log)
    ]


def _limit(rule: Rule, limit: float, side: int, log: bool) -> list[dict[str, object]]:
    """Return the line at a limit, and the shade on its bad side, as far as anyone will scroll."""
    far = limit * 1e12**side if log else limit + side * 1e9
    common = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "layer": "below"}
    line = {
        "color": theme.SEVERITY_LINE[rule.severity],
        "width": 1,
        "dash": "dash" if rule.severity > 1 else "dot",
    }
    shade = {"fillcolor": theme.SEVERITY_FILL[rule.severity], "line": {"width": 0}}
    return [
        {"type": "rect", "name": f"{rule.name}: bad side", "y0": limit, "y1": far, **shade, **common},
        {"type": "line", "name": f"{rule.name}: limit", "y0": limit, "y1": limit, "line": line, **common},
    ]


def _ideal(chart: Chart) -> list[dict[str, object]]:
    if chart.ideal is None or (chart.log and chart.ideal <= 0):
        return []
    line = {"color": theme.IDEAL, "width": 1}
    return [
        {
            "type": "line", "name": "ideal", "xref": "paper", "x0": 0, "x1": 1, "yref": "y",
            "y0": chart.ideal, "y1": chart.ideal, "line": line, "layer": "below",
        }
    ]  # fmt: skip
