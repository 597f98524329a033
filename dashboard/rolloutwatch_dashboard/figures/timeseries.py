"""A chart of figures over training steps, with the limits that rules set."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import MarkView, Series
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.baseline import Range, band, usual_ranges
from rolloutwatch_dashboard.figures.bounds import bounds_of
from rolloutwatch_dashboard.figures.lost import LARGEST, lost_values
from rolloutwatch_dashboard.figures.marks import USUAL_WIDTH, Placed, place_marks, shapes
from rolloutwatch_dashboard.figures.smoothing import smoothed, unit_of
from rolloutwatch_dashboard.figures.ticks import ticks_of
from rolloutwatch_dashboard.text import number, plain
from rolloutwatch_dashboard.usual import begins_of

AIR_SHARE = 0.08  # above and below what is shown, as a share of it
BELOW_ZERO_SHARE = (
    0.03  # of what cannot be negative: enough to see a line at 0, too little for a negative label
)
LEAST_DECADES = 0.02
LEAST_SHARE = 0.01  # of the value itself: what varies by less is as good as constant
USUAL_SHARE = 0.9
GAP = 3.0  # so many times the usual distance between values without one is a gap
FAINT = 0.3  # what is smoothed stands behind its mean
USUAL_FLOOR = 1e-3  # of a log axis without values

TEMPLATE = go.Figure().layout.template.to_plotly_json()  # what plotly gives to every figure
LINE = {"type": "scatter", "mode": "lines", "connectgaps": False, "hoverinfo": "skip"}

Values = Sequence[float | None]
Line = tuple[list[int], list[float | None]]


@dataclass(frozen=True)
class Chart:
    """What one chart shows: `metrics` by name with a short label for each; those of the same label have one colour.

    With a `floor` above 0 the value axis is logarithmic, and what is below the floor, such as 0, is drawn on it.
    The values of `home` are always in view.
    """

    name: str
    title: str
    unit: str
    metrics: Mapping[str, str]
    ideal: float | None = None
    floor: float = 0.0
    home: tuple[float, ...] = ()

    @property
    def log(self) -> bool:
        """Whether the value axis is logarithmic."""
        return self.floor > 0

    def alone(self, metric: str) -> "Chart":
        """Return a chart of one of its figures, of whose limits and values alone its axis is made."""
        return replace(self, metrics={metric: self.metrics[metric]})


def timeseries(
    chart: Chart,
    series: Mapping[str, Series],
    limits: Sequence[Limit],
    marks: Sequence[MarkView] = (),
    ends: tuple[int, int] | None = None,
    smooth: float = 0.0,
) -> go.Figure:
    """Draw a chart as `figure_of` describes it, as a figure of plotly's."""
    return go.Figure(figure_of(chart, series, limits, marks, ends, smooth))


def figure_of(
    chart: Chart,
    series: Mapping[str, Series],
    limits: Sequence[Limit],
    marks: Sequence[MarkView] = (),
    ends: tuple[int, int] | None = None,
    smooth: float = 0.0,
) -> dict[str, Any]:
    """Describe a chart in plotly's JSON: a line for each metric, then for each its dots, the points that no line would show.

    A value that is not finite is a gap in its line with a mark at the edge; a stretch without values is a gap.
    Where lines are smoothed by a weight, `smooth`, they are faint, and their means follow.
    Last come the marks of values without a place, and the labels of what is marked.
    Behind all stands the usual range of the first metric. Pointing at a chart is answered by assets/pointer.js.
    With `ends` the steps from one to the other are in view, otherwise all of them.
    """
    lines = [with_gaps(*visible(series.get(metric))) for metric in chart.metrics]
    places = [drawn(value, chart) for _, value in lines]
    steps = sorted({step for one in chart.metrics if one in series for step in series[one].step.tolist()})
    first, last = ends or ((steps[0], steps[-1]) if steps else (0, 0))
    placed = place_marks(marks if steps or ends else (), steps, first, last, USUAL_WIDTH)
    shown = [limit for limit in limits if limit.metric in chart.metrics]
    seen = [
        place
        for (at, _), line in zip(lines, places, strict=True)
        for step, place in zip(at, line, strict=True)
        if ends is None or first <= step <= last
    ]
    low, high = value_range(seen, sides_of(shown), chart)
    colors = dict(zip(dict.fromkeys(chart.metrics.values()), theme.SERIES, strict=False))
    labels = chart.metrics.values()
    usually = band(_usual_ranges(chart, series, marks, ends), chart.floor)
    nothing = {
        "text": "nothing to draw", "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False,
        "visible": not any(value is not None for _, line in lines for value in line),
    }  # fmt: skip
    layout = {
        "template": TEMPLATE,
        "annotations": [nothing],
        "shapes": usually + bounds_of(shown, chart.ideal, log=chart.log) + shapes(placed),
        "showlegend": len(colors) > 1,
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom", "font": {"size": 11}},
        # as it is: a margin that plotly fits to what is in it moves from chart to chart, and costs another drawing
        "margin": {"l": 60, "r": 12, "t": 22, "b": 26, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": False,
        "dragmode": "zoom",
        "uirevision": chart.name if ends is None else f"{chart.name} {first} {last}",
        "xaxis": {
            "gridcolor": theme.GRID, "zeroline": False, **range_of((first, last)),
        },
        "yaxis": {
            "title": {"text": axis_title(chart)}, "gridcolor": theme.GRID, "zeroline": False,
            # plotly's own labels of a log axis are single digits: a 2 that is 20
            **(ticks_of(low, high) if chart.log else {"nticks": 6}),
            "type": "log" if chart.log else "linear", "range": [low, high], "exponentformat": "e",
        },
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }  # fmt: skip
    return {
        "data": [
            *_lines(chart, lines, places, colors, smooth),
            *_dots(chart, lines, places, colors),
            lost_values(
                [series.get(metric) for metric in chart.metrics], [colors[label] for label in labels]
            ),
            _labels(placed),
            *(_means(chart, lines, colors, smooth) if smooth else ()),
        ],
        "layout": layout,
    }


def _usual_ranges(
    chart: Chart, series: Mapping[str, Series], marks: Sequence[MarkView], ends: tuple[int, int] | None
) -> list[list[Range]]:
    metric = next(iter(chart.metrics))
    if metric not in series:
        return []
    step, value = series[metric].step.tolist(), series[metric].value.tolist()
    return usual_ranges(step, value, metric, begins_of(marks), ends[0] if ends else 0)


def _lines(
    chart: Chart, lines: Sequence[Line], places: Sequence[Values], colors: Mapping[str, str], smooth: float
) -> list[dict[str, Any]]:
    labels = list(chart.metrics.values())
    return [
        {
            **LINE, "x": step, "y": place, "customdata": value, "zorder": -at,  # the chart's own figure is on top
            "name": plain(label), "line": {"color": colors[label], "width": 1.6}, "opacity": FAINT if smooth else 1,
            "legendgroup": label, "showlegend": len(colors) > 1 and label not in labels[:at],
        }
        for at, ((step, value), place, label) in enumerate(zip(lines, places, labels, strict=True))
    ]  # fmt: skip


def _dots(
    chart: Chart, lines: Sequence[Line], places: Sequence[Values], colors: Mapping[str, str]
) -> list[dict[str, Any]]:
    found = []
    for (step, value), place, label in zip(lines, places, chart.metrics.values(), strict=True):
        alone = isolated(value)
        found.append({
            "type": "scatter", "mode": "markers", "x": [step[at] for at in alone], "y": [place[at] for at in alone],
            "marker": {"color": colors[label], "size": 6}, "hoverinfo": "skip", "showlegend": False,
            "legendgroup": label, "cliponaxis": False,
        })  # fmt: skip
    return found


def _means(
    chart: Chart, lines: Sequence[Line], colors: Mapping[str, str], smooth: float
) -> list[dict[str, Any]]:
    return [
        {
            **LINE, "x": step, "y": drawn(smoothed(step, value, smooth, unit_of(step)), chart), "zorder": 1,
            "name": f"{plain(label)}, smoothed", "line": {"color": colors[label], "width": 2},
            "legendgroup": label, "showlegend": False,
        }
        for (step, value), label in zip(lines, chart.metrics.values(), strict=True)
    ]  # fmt: skip


def ends_of_axis(first: float, last: float) -> dict[str, object]:
    """Return where an axis of steps ends that plotly fits to its figures: with these, not with the air around a label."""
    return {"autorangeoptions": {"clipmin": first, "clipmax": last}} if first < last else {}


def range_of(ends: tuple[int, int]) -> dict[str, object]:
    """Return an axis of steps that shows these and those between; a single one in the middle."""
    first, last = ends
    return {"range": [first, last] if first < last else [first - 1, first + 1], "autorange": False}


def _labels(placed: Placed) -> dict[str, Any]:
    labels = placed.labels
    return {
        "x": [step for step, *_ in labels], "y": [height for _, height, *_ in labels],
        "text": [text for *_, text, _ in labels], "textposition": [side for *_, side in labels],
        "mode": "text", "hoverinfo": "skip", "textfont": {"size": 10},
        "type": "scatter", "yaxis": "y2", "showlegend": False,
    }  # fmt: skip


def with_axis(chart: Chart, series: Mapping[str, Series], *, log: bool) -> Chart:
    """Return a chart with the value axis that one wishes; figures.js does the same."""
    if log == chart.log:
        return chart
    values = (value for metric in chart.metrics if metric in series for value in visible(series[metric])[1])
    return replace(chart, floor=floor_of(value for value in values if value is not None) if log else 0.0)


def floor_of(values: Iterable[float]) -> float:
    """Return where a log axis ends below, the power of ten under the lowest positive value; what is not positive stands there."""
    lowest = min((value for value in values if value > 0), default=USUAL_FLOOR)
    return float(f"1e{math.floor(math.log10(lowest))}")


def visible(series: Series | None) -> tuple[list[int], list[float | None]]:
    """Return steps and values as lists, which live traces need, with None where there is nothing to draw."""
    if series is None:
        return [], []
    good = np.isfinite(series.value) & (np.abs(series.value) <= LARGEST)
    return series.step.tolist(), [
        value if fine else None for value, fine in zip(series.value.tolist(), good.tolist(), strict=True)
    ]


def drawn(values: Values, chart: Chart) -> list[float | None]:
    """Return where values stand on a chart; figures.js does the same."""
    return [None if value is None else max(value, chart.floor) if chart.log else value for value in values]


def with_gaps(steps: Sequence[int], values: Values) -> tuple[list[int], list[float | None]]:
    """Return steps and values with None where values stopped coming for a while; figures.js does the same.

    How long that is follows from what is usual: a figure may come at every step, or at every hundredth.
    """
    distances = sorted(later - step for step, later in itertools.pairwise(steps))
    if not distances:
        return list(steps), list(values)
    most = GAP * distances[int(USUAL_SHARE * (len(distances) - 1))]
    found: tuple[list[int], list[float | None]] = ([], [])
    for at, (step, value) in enumerate(zip(steps, values, strict=True)):
        if at and step - steps[at - 1] > most and values[at - 1] is not None:
            found[0].append(steps[at - 1] + 1)
            found[1].append(None)
        found[0].append(step)
        found[1].append(value)
    return found


def isolated(values: Values) -> list[int]:
    """Return the places of values that have no neighbour to draw a line to; figures.js does the same."""
    around = [None, *values, None]
    return [
        at
        for at, value in enumerate(values)
        if value is not None and around[at] is None and around[at + 2] is None
    ]


def sides_of(limits: Sequence[Limit]) -> list[float]:
    """Return the values at which limits begin."""
    return [side for limit in limits for side in (limit.above, limit.below) if math.isfinite(side)]


def value_range(values: Values, limits: Sequence[float], chart: Chart) -> tuple[float, float]:
    """Return the range of the value axis, in powers of ten on a log axis; figures.js does the same.

    In view are the data, the ideal value, what is at home on the chart,
    and the next limit in either direction: how far the data are from it is what one wants to see.
    """
    scale = math.log10 if chart.log else float
    points = [scale(value) for value in values if value is not None]
    marks = [scale(limit) for limit in limits if limit > 0 or not chart.log]
    home = [scale(v) for v in (*chart.home, chart.ideal) if v is not None and (v > 0 or not chart.log)]
    shown = points + home or marks or [0.0]
    low, high = min(shown), max(shown)
    low, high = (
        max((mark for mark in marks if mark < low), default=low),
        min((mark for mark in marks if mark > high), default=high),
    )
    least = LEAST_DECADES if chart.log else LEAST_SHARE * max(abs(low), abs(high)) or 1.0
    signed = chart.log or low < 0
    if high - low < least:
        low = (low + high - least) / 2 if signed else max(0.0, (low + high - least) / 2)
        high = low + least
    span = high - low
    bottom = low - AIR_SHARE * span
    return (bottom if signed else max(bottom, -BELOW_ZERO_SHARE * span)), high + AIR_SHARE * span


def axis_title(chart: Chart) -> str:
    """Return unit and ideal value, as they stand at the value axis."""
    # a metric of the trainer's own has neither
    return chart.unit if chart.ideal is None else f"{chart.unit} (ideal {number(chart.ideal)})"
