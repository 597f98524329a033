"""How many tokens of a step have which log ratio."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_dashboard.figures.log_ratio_axis import END, axis, places
from rolloutwatch_dashboard.figures.step_layout import FEWER, HOVER, MORE, NEITHER, layout, lines, table
from rolloutwatch_dashboard.figures.ticks import ticks_of
from rolloutwatch_dashboard.text import number
from rolloutwatch_dashboard.thresholds import Threshold

FLOOR = 0.6  # of the axis of counts: a single token is a bar, and none is not
LEAST_DECADES = 1.2
ROOM_OF_A_LABEL = 16  # bins
LEAST_ROOM = 70  # bins: farther left a label has no room on its outer side


def histogram_of(counts: Sequence[int], thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """Describe the histogram in plotly's JSON; a bin without tokens has no bar, and counts are on a log axis.

    ValueError: these are not the bins of `rolloutwatch_contract.tables`.
    """
    if len(counts) != HISTOGRAM_BINS:
        raise ValueError(
            f"histogram of {len(counts)} bins: expected the {HISTOGRAM_BINS} of rolloutwatch_contract.tables."
        )
    total = sum(counts)
    filled = [at for at, count in enumerate(counts) if count > 0]
    top = max([math.log10(max(counts, default=0) or 1) * 1.06, LEAST_DECADES])
    low = math.log10(FLOOR)
    at = [one for one in places([one.at for one in thresholds]) if one is not None]
    bars = {
        "type": "bar", "width": 1.0, "x": [one - END for one in filled], "y": [counts[one] for one in filled],
        "marker": {"color": [_color(one) for one in filled], "line": {"width": 0}},
        "customdata": [f"{_bin(one)}<br>{_tokens(counts[one], total)}" for one in filled], "hovertemplate": HOVER,
    }  # fmt: skip
    labels = {
        "type": "scatter", "mode": "text", "yaxis": "y2", "hoverinfo": "skip", "x": at, "y": _heights(at),
        "text": [one.label for one in thresholds],
        "textposition": ["middle left" if -LEAST_ROOM < one < 0 else "middle right" for one in at], "textfont": {"size": 10},
    }  # fmt: skip
    return {
        "data": [bars, labels],
        "layout": layout(
            "step histogram",
            axis("log ratio of a token, training − rollout"),
            {"title": {"text": "tokens"}, "type": "log", "range": [low, top], **ticks_of(low, top)},
            nothing="" if filled else "no token was counted",
            shapes=lines(at),
            bargap=0,
            meta=table(_columns(counts, filled)),
            yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        ),
    }


def _columns(counts: Sequence[int], filled: Sequence[int]) -> dict[str, list[float]]:
    ends = [-math.inf, *HISTOGRAM_EDGES, math.inf]
    return {
        "log_ratio_from": [ends[at] for at in filled],
        "log_ratio_to": [ends[at + 1] for at in filled],
        "tokens": [counts[at] for at in filled],
    }


def _heights(at: Sequence[float]) -> list[float]:
    """Return the height of each label, in order of places: one that has no room beside the former stands below it."""
    heights: list[float] = []
    for former, place in itertools.pairwise([-math.inf, *at]):
        close = place - former < ROOM_OF_A_LABEL and (former < 0) == (place < 0)
        heights.append(heights[-1] - 0.09 if close and heights else 0.95)
    return heights


def _color(at: int) -> str:
    return NEITHER if at == END else FEWER if at < END else MORE


def _bin(at: int) -> str:
    """Return what a bin holds, in log ratios and in ratios."""
    low = HISTOGRAM_EDGES[at - 1] if at else -math.inf
    high = HISTOGRAM_EDGES[at] if at < len(HISTOGRAM_EDGES) else math.inf
    if math.isinf(low):
        return f"log ratio below {number(high)}"
    if math.isinf(high):
        return f"log ratio above {number(low)}"
    return f"log ratio {number(low)} to {number(high)} (ratio {number(_exp(low))} to {number(_exp(high))})"


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))


def _tokens(count: int, total: int) -> str:
    share = f"{100 * count / total:.3g}"
    return f"{count} {'token' if count == 1 else 'tokens'}, {share} %"
