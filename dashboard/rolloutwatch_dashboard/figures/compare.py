"""A chart of one figure of several runs, laid over each other.

Where overlay.js does the same, a test compares the two.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.bounds import bounds_of
from rolloutwatch_dashboard.figures.lost import edge
from rolloutwatch_dashboard.figures.ticks import ticks_of
from rolloutwatch_dashboard.figures.timeseries import (
    TEMPLATE,
    Chart,
    axis_title,
    drawn,
    ends_of_axis,
    isolated,
    sides_of,
    value_range,
    visible,
    with_gaps,
)
from rolloutwatch_dashboard.text import number, plain

EMPTY = Series(np.array([], dtype=np.int64), np.array([], dtype=np.float64))


@dataclass(frozen=True)
class Axis:
    """What stands below charts that are compared.

    A value stands at its step, or with `timed` at its time in seconds, less its run's origin, in `unit`s.
    With `dated` that is a date, and the unit is a millisecond: of numbers plotly makes dates in the viewer's zone.
    `title` says what it is, `suffix` stands behind each number below the axis; with `zero` there is a line at 0.
    """

    title: str
    suffix: str = ""
    unit: float = 1.0
    timed: bool = False
    dated: bool = False
    zero: bool = False


@dataclass(frozen=True)
class Line:
    """What is drawn of a run: at `x` each value, None where there is none, with its step, None where a line is broken.

    `lost` are the values that came and have no place: x, step, value.
    """

    step: list[int | None] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    x: list[float] = field(default_factory=list)
    lost: list[tuple[float, int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """How a run is drawn: its name, its number among those that are compared, and what of it."""

    name: str
    number: int
    line: Line = Line()

    @property
    def color(self) -> str:
        """Return its colour."""
        return theme.RUNS[self.number % len(theme.RUNS)]

    @property
    def dash(self) -> str:
        """Return its dash, which tells runs of the same colour from each other."""
        return theme.DASHES[self.number // len(theme.RUNS) % len(theme.DASHES)]


def line_of(whole: Series, origin: float, axis: Axis, close: Series = EMPTY) -> Line:
    """Return what is drawn of a series, and of a part of it that is looked at closely; overlay.js does the same.

    Each of them has breaks where values stopped coming for longer than is usual there.
    """
    if len(close.step):
        first, last = int(close.step[0]), int(close.step[-1])
        before, after = _part(whole, whole.step < first), _part(whole, whole.step > last)
        # with a value of the part at the joint, so that a break there is seen
        pieces = [
            _gapped(_joined(before, _part(close, slice(0, 1))))[:-1],
            _gapped(close),
            _gapped(_joined(_part(close, slice(-1, None)), after))[1:],
        ]
        points = list(itertools.chain(*pieces))
    else:
        points = _gapped(whole)
    x = [(place - origin) / axis.unit for *_, place, _ in points]
    lost = [
        (at, step, came)
        for at, (step, value, _, came) in zip(x, points, strict=True)
        if step is not None and value is None
    ]
    return Line([step for step, *_ in points], [value for _, value, *_ in points], x, lost)


_Point = tuple[int | None, float | None, float, float]  # step, what is drawn, place, what came


def _gapped(series: Series) -> list[_Point]:
    """Return the points of a series, with one that has no step in each gap."""
    places = (series.step if series.time is None else series.time).tolist()
    known = dict(zip(series.step.tolist(), zip(places, series.value.tolist(), strict=True), strict=True))
    found: list[_Point] = []
    for step, value in zip(*with_gaps(*visible(series)), strict=True):
        found.append((step, value, *known[step]) if step in known else (None, None, found[-1][2], math.nan))
    return found


def _part(series: Series, which: Any) -> Series:
    return Series(
        series.step[which], series.value[which], None if series.time is None else series.time[which]
    )


def _joined(one: Series, other: Series) -> Series:
    time = None if one.time is None or other.time is None else np.concatenate([one.time, other.time])
    return Series(np.concatenate([one.step, other.step]), np.concatenate([one.value, other.value]), time)


def figure_of(
    chart: Chart,
    runs: Sequence[Run],
    axis: Axis,
    limits: Sequence[Limit] = (),
    ends: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Describe a chart in plotly's JSON: for each run a line, then for each its dots, then for each what is not finite.

    Dots are points that no line would show. A value that is not finite is a break in its line, and a mark at the edge.
    Pointing at a chart is answered by assets/pointer.js.
    With `ends`, in units of the axis, what is between them is in view, otherwise all.
    """
    places = [drawn(run.line.value, chart) for run in runs]
    seen = [
        place
        for run, line in zip(runs, places, strict=True)
        for x, place in zip(run.line.x, line, strict=True)
        if ends is None or ends[0] <= x <= ends[1]
    ]
    own = [limit for limit in limits if limit.metric in chart.metrics]
    low, high = value_range(seen, sides_of(own), chart)
    nothing = {
        "text": "nothing to draw", "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False,
        "visible": not any(value is not None for value in seen),
    }  # fmt: skip
    layout = {
        "template": TEMPLATE,
        "annotations": [nothing],
        "shapes": shapes_of(own, chart.ideal, axis, log=chart.log),
        "showlegend": False,
        "margin": {"l": 60, "r": 12, "t": 10, "b": 38 if axis.dated else 26, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": False,
        "dragmode": "zoom",
        "xaxis": _x_axis(axis, [x for run in runs for x in run.line.x], ends),
        "yaxis": {
            "title": {"text": axis_title(chart)}, "gridcolor": theme.GRID, "zeroline": False,
            **(ticks_of(low, high) if chart.log else {"nticks": 6}),
            "type": "log" if chart.log else "linear", "range": [low, high], "exponentformat": "e",
        },
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }  # fmt: skip
    traces = [
        *(_line(run, place) for run, place in zip(runs, places, strict=True)),
        *(_dots(run, place) for run, place in zip(runs, places, strict=True)),
        *(_not_finite(run) for run in runs),
    ]
    return {"data": traces, "layout": layout}


def _x_axis(axis: Axis, xs: Sequence[float], ends: tuple[float, float] | None) -> dict[str, Any]:
    view = {"range": list(ends), "autorange": False} if ends else ends_of_axis(min(xs), max(xs)) if xs else {}
    return {
        "type": "date" if axis.dated else "linear", "gridcolor": theme.GRID, "zeroline": False, "nticks": 7,
        "ticksuffix": axis.suffix, **view,
    }  # fmt: skip


def _line(run: Run, places: Sequence[float | None]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "connectgaps": False, "x": run.line.x, "y": list(places),
        "customdata": [list(one) for one in zip(run.line.value, run.line.step, strict=True)],
        "name": plain(run.name), "line": {"color": run.color, "dash": run.dash, "width": 1.6},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _dots(run: Run, places: Sequence[float | None]) -> dict[str, Any]:
    alone = isolated(places)
    return {
        "type": "scatter", "mode": "markers", "x": [run.line.x[at] for at in alone], "y": [places[at] for at in alone],
        "marker": {"color": run.color, "size": 6}, "hoverinfo": "skip", "showlegend": False, "cliponaxis": False,
    }  # fmt: skip


def _not_finite(run: Run) -> dict[str, Any]:
    lost = run.line.lost
    edges = [edge(value) for *_, value in lost]
    return {
        "type": "scatter", "mode": "markers", "yaxis": "y2", "x": [x for x, *_ in lost], "y": [height for height, _ in edges],
        "customdata": [[step, number(value)] for _, step, value in lost], "name": plain(run.name),
        "marker": {"color": run.color, "size": 7, "symbol": [symbol for _, symbol in edges]}, "showlegend": False,
        "hoverinfo": "skip", "cliponaxis": False,
    }  # fmt: skip


def shapes_of(limits: Sequence[Limit], ideal: float | None, axis: Axis, *, log: bool) -> list[dict[str, Any]]:
    """Return limits, the ideal value, and where 0 is, as shapes on a value axis that is logarithmic or is not."""
    return [*bounds_of(limits, ideal, log=log), *_zero(axis)]


def _zero(axis: Axis) -> list[dict[str, Any]]:
    if not axis.zero:
        return []
    line = theme.MARKS["restart"]["line"]
    place = {"xref": "x", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    return [{"type": "line", "name": "mark: zero", "line": line, "layer": "below", **place}]
