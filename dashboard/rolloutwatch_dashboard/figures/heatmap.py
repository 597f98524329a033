"""The log ratio of tokens over steps: a column for some steps, a row for each bin, and the share of tokens as a colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.log_ratio_axis import END, places
from rolloutwatch_dashboard.figures.timeseries import GAP, USUAL_SHARE, range_of
from rolloutwatch_dashboard.thresholds import Threshold

# of rows: what is seen beyond the data and the thresholds, and how many there are at the least
AIR = 4
LEAST_ROWS = 40
MOST_DECADES = 7  # of the colour: what is rarer than the last of them has its colour
LABELS = ("-10", "-1", "-0.1", "-0.01", "-1e-3", "-1e-4", "0", "1e-4", "1e-3", "0.01", "0.1", "1", "10")
STEPS_WITH_TICKS = 8  # fewer than these have a tick each, none at halves
GAP_NAME = "no histogram"
ROWS_BETWEEN_LABELS = 7  # of thresholds, which stand where ticks do

# Light is rare and dark is plenty; style.css turns it around on dark ground. The lightness falls evenly, so that it can be
# read without seeing hues, and what is rare stands out from a white card.
COLORS = ("#85c1d9", "#5aa5c6", "#3d86b0", "#2f6597", "#2f4479", "#272659", "#190f33")


@dataclass(frozen=True)
class Cells:
    """What is drawn: where columns begin and the last one ends, and log10 of the share of tokens in each row of each.

    `x` [n + 1]; `z` [rows][n], None where there is no token, or no histogram at all; `low` is the bin of the first row.
    `column` [n] is which of the histograms stands there, None for a gap.
    """

    x: list[float]
    z: list[list[float | None]]
    low: int
    column: list[int | None]


def heatmap(
    histograms: Histograms, thresholds: Sequence[Threshold] = (), ends: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Describe the heat map in plotly's JSON; with `ends` these steps are in view, otherwise all.

    Thresholds of the correction are lines, with their words at the right; all of them are always in view.
    """
    return filled(frame(thresholds), cells(histograms), thresholds, ends)


def frame(thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """Describe the heat map of no steps; heatmap.js fills it with what it asks for, and heatmap_reading.js finds cells."""
    at = [place for place in places([one.at for one in thresholds]) if place is not None]
    line = {"color": theme.THRESHOLD, "width": 1, "dash": "dash"}
    ends = {"type": "line", "name": "threshold", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "line": line}
    named = _apart(at)
    layout = {
        "shapes": [{**ends, "y0": place, "y1": place} for place in at],
        "margin": {"l": 60, "r": 68 if at else 12, "t": 10, "b": 26, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": False,
        "dragmode": "zoom",
        "showlegend": False,
        "xaxis": {"showgrid": False, "zeroline": False, "ticks": "", "range": [0, 1]},
        "yaxis": {
            "title": {"text": "log ratio", "standoff": 8}, "gridcolor": theme.GRID, "zeroline": False, "fixedrange": True,
            "tickvals": places([float(one) for one in LABELS]), "ticktext": list(LABELS), "ticks": "",
            "range": list(rows_in_view(None, at)),
        },
        "yaxis2": {
            "overlaying": "y", "matches": "y", "side": "right", "showgrid": False, "zeroline": False, "fixedrange": True,
            "tickvals": [at[one] for one in named], "ticktext": [f"\u00a0{thresholds[one].label}" for one in named], "ticks": "",
        },
    }  # fmt: skip
    trace = {
        "type": "heatmap", "x": [], "y": [], "z": [], "hoverinfo": "skip", "showscale": False,
        "zsmooth": False, "colorscale": [[at / (len(COLORS) - 1), color] for at, color in enumerate(COLORS)],
    }  # fmt: skip
    # an axis that nothing is drawn by is not there
    beside = {"type": "scatter", "x": [None], "y": [None], "yaxis": "y2", "hoverinfo": "skip"}
    return {"data": [trace, beside], "layout": layout}


def filled(
    figure: dict[str, Any], found: Cells, thresholds: Sequence[Threshold], ends: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return a frame with cells in it; heatmap.js does the same."""
    at = [place for place in places([one.at for one in thresholds]) if place is not None]
    low, high = color_range(found)
    rows = (found.low, found.low + len(found.z)) if found.z else None
    trace, *rest = figure["data"]
    y = [bin_ - END - 0.5 for bin_ in range(found.low, found.low + len(found.z) + 1)]
    whole = {"range": [found.x[0], found.x[-1]] if found.x else [0, 1]}
    seen: dict[str, Any] = whole if ends is None else range_of(ends)
    is_short = seen["range"][1] - seen["range"][0] < STEPS_WITH_TICKS
    layout = figure["layout"]
    return {
        "data": [{**trace, "x": found.x, "y": y, "z": found.z, "zmin": low, "zmax": high}, *rest],
        "layout": {
            **layout,
            "shapes": [*layout["shapes"], *_gaps(found)],
            "xaxis": {**layout["xaxis"], **seen, **({"tick0": 0, "dtick": 1} if is_short else {})},
            "yaxis": {**layout["yaxis"], "range": list(rows_in_view(rows, at))},
        },
    }


def cells(histograms: Histograms) -> Cells:
    """Return what is drawn of histograms; heatmap.js does the same.

    A column reaches halfway to the next one; where histograms stopped coming for a while there is a gap.
    """
    x, column = edges_of(histograms.first.tolist(), histograms.last.tolist())
    there = np.flatnonzero(histograms.counts.sum(axis=0))
    if not len(there):
        return Cells(x, [], END, column)
    low, high = int(there[0]), int(there[-1]) + 1
    totals = histograms.counts.sum(axis=1).tolist()
    counts = histograms.counts[:, low:high].T.tolist()
    z = [
        [
            None if at is None or not row[at] else math.log10(row[at] / totals[at])
            for at in column
        ]
        for row in counts
    ]  # fmt: skip
    return Cells(x, z, low, column)


def _gaps(found: Cells) -> list[dict[str, Any]]:
    """Return a shade where no histogram came, which is not the same as no token."""
    shade = {
        "type": "rect",
        "name": GAP_NAME,
        "xref": "x",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "layer": "below",
    }
    return [
        {**shade, "x0": found.x[at], "x1": found.x[at + 1], "fillcolor": theme.GRID, "line": {"width": 0}}
        for at, column in enumerate(found.column)
        if column is None
    ]


def edges_of(first: Sequence[int], last: Sequence[int]) -> tuple[list[float], list[int | None]]:
    """Return where columns begin, with the end of the last one, and which of the given columns each is, None for a gap."""
    if not first:
        return [], []
    distances = sorted(later - former for former, later in zip(last, first[1:], strict=False))
    usual = distances[int(USUAL_SHARE * (len(distances) - 1))] if distances else 1
    x: list[float] = [first[0] - usual / 2]
    column: list[int | None] = [0]
    for at, (former, later) in enumerate(zip(last, first[1:], strict=False), 1):
        if later - former > GAP * usual:
            x += [former + usual / 2, later - usual / 2]
            column += [None, at]
        else:
            x.append((former + later) / 2)
            column.append(at)
    return [*x, last[-1] + usual / 2], column


def color_range(found: Cells) -> tuple[float, float]:
    """Return the powers of ten between which shares have different colours: whole ones, so that live data rarely moves them."""
    shares = [value for row in found.z for value in row if value is not None]
    if not shares:
        return -1.0, 0.0
    high = float(math.ceil(max(shares)))
    return min(max(float(math.floor(min(shares))), high - MOST_DECADES), high - 1), high


def rows_in_view(rows: tuple[int, int] | None, thresholds: Sequence[float]) -> tuple[float, float]:
    """Return the range of the axis: bins from the one to the other, and thresholds, with some air."""
    bins = [] if rows is None else [rows[0] - END - 0.5, rows[1] - END - 0.5]
    ends = [*bins, *thresholds] or [0.0]
    low, high = min(ends) - AIR, max(ends) + AIR
    lacking = max(0.0, LEAST_ROWS - (high - low)) / 2
    farthest = HISTOGRAM_BINS / 2 + 1
    return max(low - lacking, -farthest), min(high + lacking, farthest)


def _apart(at: Sequence[float]) -> list[int]:
    """Return which thresholds have a label: those that do not stand too near to the one below."""
    named: list[int] = []
    for one, place in enumerate(at):
        if not named or place - at[named[-1]] >= ROWS_BETWEEN_LABELS:
            named.append(one)
    return named
