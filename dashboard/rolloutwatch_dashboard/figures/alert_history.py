"""The history of an alert: the figures that its rule reads, its limits, and the stretch in which it fired, as SVG has them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard.alert_figures import worst_of
from rolloutwatch_dashboard.figures.sparkline import sparkline
from rolloutwatch_dashboard.figures.strokes import Box
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.text import number, where
from rolloutwatch_dashboard.words import title

BOX = Box(600, 48, columns=151)
POINTS = 2 * BOX.columns


class Stretch(NamedTuple):
    """The steps that are drawn, and those of them at which the alert fired."""

    first: int
    last: int
    firing: int
    end: int

    def share(self, step: int) -> float:
        """Return how far along what is drawn a step stands, from 0 to 1."""
        width = self.last - self.first
        return min(max((step - self.first) / width, 0.0), 1.0) if width else 1.0

    def place(self, step: int) -> int:
        """Return where a step stands in the box."""
        return round(self.share(step) * BOX.width)


class Mark(NamedTuple):
    """What happened at a step: `kind` is pending, firing, acknowledged or resolved, `text` says it."""

    kind: str
    step: int
    text: str


def alert_history(
    alert: AlertView,
    series: Mapping[str, Series],
    charts: Mapping[str, Chart],
    limits: Sequence[Limit],
    stretch: Stretch,
    marks: Sequence[Mark],
) -> dict[str, Any]:
    """Describe the chart of an alert: a line for each figure in a BOX of its own, over the same steps.

    `fired` is from where to where it fired, `marks` are kind, place and text, `text` says all of it to who does not see it.
    """
    lines = [
        {"title": title(metric), **drawing}
        for metric, chart in charts.items()
        if (drawing := sparkline(series[metric], chart, limits, stretch.first, stretch.last, BOX))
    ]
    worst = _worst(alert, series, limits, stretch)
    return {
        "lines": lines,
        "first": stretch.first,
        "last": stretch.last,
        "fired": [stretch.place(stretch.firing), stretch.place(stretch.end)],
        "severity": alert.severity.word,
        "marks": [[mark.kind, stretch.place(mark.step), mark.text] for mark in marks],
        "worst": worst,
        "text": _in_words(charts, limits, stretch, marks, worst),
    }


def _worst(alert: AlertView, series: Mapping[str, Series], limits: Sequence[Limit], stretch: Stretch) -> str:
    """Return the value that was farthest beyond its limit while it fired, with its step; of the first figure that has one."""
    for limit in limits:
        if limit.metric not in series:
            continue
        found = worst_of(series[limit.metric], limit, stretch.firing, stretch.end)
        if found is not None:
            step, value = found
            return f"worst {number(value)} at step {step}"
    return ""


def _in_words(
    charts: Mapping[str, Chart], limits: Sequence[Limit], stretch: Stretch, marks: Sequence[Mark], worst: str
) -> str:
    figures = []
    for metric in charts:
        sides = " or ".join(where(limit) for limit in limits if limit.metric == metric)
        figures.append(f"{title(metric)} (fires {sides})" if sides else title(metric))
    told = "; ".join([*(mark.text for mark in marks), *([worst] if worst else [])])
    return f"{' and '.join(figures)}, steps {stretch.first} to {stretch.last}: {told}."
