"""A chart of one figure of several runs, laid over each other.

Where overlay.js does the same, a test compares the two.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.bounds import bounds_of
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
from rolloutwatch_dashboard.text import plain

NOT_FINITE = 0.02  # the height at which a value that is not finite is marked, as a share of the chart
EMPTY = Series(np.array([], dtype=np.int64), np.array([], dtype=np.float64))


@dataclass(frozen=True)
class Axis:
    """What stands below charts that are compared.

    A value stands at its step, or with `timed` at its time in seconds, less its run's origin, in `unit`s.
    With `dated` that is a date, and the unit is a millisecond: of numbers plotly makes dates in the viewer's zone.
    `words` are those that are said of a place that is pointed at, `suffix` stands behind each number below the axis;
    with `zero` there is a line at 0.
    """

    words: str
    suffix: str = ""
    unit: float = 1.0
    timed: bool = False
    dated: bool = False
    zero: bool = False


@dataclass(frozen=True)
class Line:
    """What is drawn of a run: at `x` each value, None where there is none, with its step, None where a line is broken."""

    step: list[int | None] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    x: list[float] = field(default_factory=list)


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
    return Line(
        [step for step, *_ in points],
        [value for _, value, _ in points],
        [(place - origin) / axis.unit for *_, place in points],
    )


_Point = tuple[int | None, float | None, float]  # step, value, place


def _gapped(series: Series) -> list[_Point]:
    """Return the points of a series, with one that has no step in each gap."""
    places = (series.step if series.time is None else series.time).tolist()
    known = dict(zip(series.step.tolist(), places, strict=True))
    found: list[_Point] = []
    for step, value in zip(*with_gaps(*visible(series)), strict=True):
        found.append((step, value, known[step]) if step in known else (None, None, found[-1][2]))
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

    Dots are points that no line would show. A value that is not finite is a break in its line, and a cross below it.
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
        "shapes": [*bounds_of(own, chart.ideal, log=chart.log), *_zero(axis)],
        "showlegend": False,
        "margin": {"l": 60, "r": 12, "t": 10, "b": 38 if axis.dated else 26, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": "x unified",
        "hoverlabel": {"namelength": 40},
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
        *(_line(run, place, axis) for run, place in zip(runs, places, strict=True)),
        *(_dots(run, place) for run, place in zip(runs, places, strict=True)),
        *(_not_finite(run, axis) for run in runs),
    ]
    return {"data": traces, "layout": layout}


def _x_axis(axis: Axis, xs: Sequence[float], ends: tuple[float, float] | None) -> dict[str, Any]:
    view = {"range": list(ends), "autorange": False} if ends else ends_of_axis(min(xs), max(xs)) if xs else {}
    return {
        "type": "date" if axis.dated else "linear", "gridcolor": theme.GRID, "zeroline": False, "nticks": 7,
        "ticksuffix": axis.suffix, "showspikes": False,  # of each run another one: overlay.js has one line for all charts
        **({} if axis.dated else {"hoverformat": ".6~g" if axis.timed else "d"}),
        "unifiedhovertitle": {"text": axis.words}, **view,
    }  # fmt: skip


def _line(run: Run, places: Sequence[float | None], axis: Axis) -> dict[str, Any]:
    at = " at step %{customdata[1]}" if axis.timed or axis.zero else ""
    return {
        "type": "scatter", "mode": "lines", "connectgaps": False, "x": run.line.x, "y": list(places),
        "customdata": [list(one) for one in zip(run.line.value, run.line.step, strict=True)],
        "name": plain(run.name), "line": {"color": run.color, "dash": run.dash, "width": 1.6},
        "hovertemplate": "%{customdata[0]:.6~g}" + at, "showlegend": False,
    }  # fmt: skip


def _dots(run: Run, places: Sequence[float | None]) -> dict[str, Any]:
    alone = isolated(places)
    return {
        "type": "scatter", "mode": "markers", "x": [run.line.x[at] for at in alone], "y": [places[at] for at in alone],
        "marker": {"color": run.color, "size": 6}, "hoverinfo": "skip", "showlegend": False, "cliponaxis": False,
    }  # fmt: skip


def _not_finite(run: Run, axis: Axis) -> dict[str, Any]:
    line = run.line
    found = [
        (x, step)
        for x, value, step in zip(line.x, line.value, line.step, strict=True)
        if value is None and step is not None
    ]
    return {
        "type": "scatter", "mode": "markers", "yaxis": "y2", "x": [x for x, _ in found], "y": [NOT_FINITE] * len(found),
        "customdata": [step for _, step in found], "name": plain(run.name),
        "marker": {"color": run.color, "size": 6, "symbol": "x-thin-open"}, "showlegend": False,
        "hovertemplate": "not finite at step %{customdata}",
    }  # fmt: skip


def _zero(axis: Axis) -> list[dict[str, Any]]:
    if not axis.zero:
        return []
    line = theme.MARKS["restart"]["line"]
    place = {"xref": "x", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    return [{"type": "line", "name": "mark: zero", "line": line, "layer": "below", **place}]
