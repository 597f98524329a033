"""What a figure was over the steps of a run, and between which bounds it would have been under another correction.

Where whatif_figures.js does the same, a test compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.protocol import Series
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.figures.timeseries import (
    TEMPLATE,
    Chart,
    ends_of_axis,
    isolated,
    value_range,
    visible,
    with_gaps,
)
from rolloutwatch_dashboard.text import number

Values = Sequence[float | None]
WAS, WOULD = "was", "would have been"
HOVER = "%{customdata}<extra></extra>"


def _panel(name: str, title: str, metric: str, *home: float) -> Chart:
    return Chart(name, title, METRICS[metric].unit, {metric: title}, METRICS[metric].ideal, home=home)


def _kept(name: str, title: str, metric: str) -> Chart:
    return Chart(name, title, "fraction", {metric: title}, 1.0, home=(0.0, 1.0))


# each has one metric, by the names of what the server answers
PANELS = (
    _panel("whatif-ess", "ESS of weights", "rollout_is_eff_sample_size", 0.0, 1.0),
    _panel("whatif-mean", "Mean weight", "rollout_is_mean"),
    _kept("whatif-kept", "Tokens kept", "kept_fraction"),
    _kept("whatif-seq-kept", "Sequences kept whole", "seq_kept_fraction"),
    _panel("whatif-rejected", "Tokens rejected", "rollout_rs_masked_fraction", 0.0, 0.1),
    _panel("whatif-seq-rejected", "Sequences rejected from", "rollout_rs_seq_masked_fraction", 0.0, 0.1),
    _panel("whatif-vetoed", "Sequences vetoed", "rollout_is_veto_fraction", 0.0, 0.1),
    _panel("whatif-catastrophic", "Catastrophic tokens", "rollout_is_catastrophic_token_fraction", 0.0, 0.001),
)  # fmt: skip
KEPT_MEANS = {
    "kept_fraction": "Share of valid tokens that stay in the loss.",
    "seq_kept_fraction": "Share of sequences of which every valid token stays in the loss.",
}


def metric_of(panel: Chart) -> str:
    """Return the one metric of a panel."""
    return next(iter(panel.metrics))


def meaning_of(metric: str) -> str:
    """Return what a figure of the answer is, in a sentence."""
    return KEPT_MEANS[metric] if metric in KEPT_MEANS else METRICS[metric].meaning


@dataclass(frozen=True)
class Would:
    """A figure over steps between two bounds, which are equal where it is exact."""

    step: Sequence[int] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def figure_of(panel: Chart, was: Series | None, would: Would | None = None) -> dict[str, Any]:
    """Describe a panel in plotly's JSON: a line for what was, and over it what would have been.

    That is the area between its bounds, with an outline: a line where they are equal.
    The traces are: line and dots of what was, area and dots of what would have been, and what is said of it at a step.
    """
    would = would or Would()
    was_step, was_value = with_gaps(*visible(was))
    ends = sorted({*was_step, *would.step})
    low, high = value_range([*was_value, *would.low, *would.high], [], panel)
    layout = {
        "template": TEMPLATE,
        "showlegend": False,
        "margin": {"l": 60, "r": 12, "t": 10, "b": 26, "autoexpand": False},
        "paper_bgcolor": theme.CLEAR,
        "plot_bgcolor": theme.CLEAR,
        "font": {"family": theme.FONT, "size": 11},
        "hovermode": "x unified",
        "dragmode": "zoom",
        "uirevision": panel.name,
        "xaxis": {
            "rangemode": "nonnegative", "gridcolor": theme.GRID, "zeroline": False,
            "hoverformat": "d", "unifiedhovertitle": {"text": "step %{x}"},
            **(ends_of_axis(ends[0], ends[-1]) if ends else {}),
        },
        "yaxis": {
            "title": {"text": panel.unit}, "gridcolor": theme.GRID, "zeroline": False, "nticks": 6,
            "range": [low, high], "exponentformat": "e",
        },
    }  # fmt: skip
    return {"data": [*_was(was_step, was_value), *_would(would)], "layout": layout}


def _was(step: Sequence[int], value: Values) -> list[dict[str, Any]]:
    line = {"color": theme.SERIES[0], "width": 3}
    alone = isolated(value)
    words = ["" if one is None else f"{WAS} {number(one)}" for one in value]
    return [
        {
            "type": "scatter", "mode": "lines", "connectgaps": False, "x": list(step), "y": list(value), "name": WAS,
            "line": line, "customdata": words, "hovertemplate": HOVER,
        },
        _dots([step[at] for at in alone], [value[at] for at in alone], theme.SERIES[0], 8),
    ]  # fmt: skip


def _would(would: Would) -> list[dict[str, Any]]:
    x, y = band(would)
    dots = dots_of(would)
    return [
        {
            "type": "scatter", "mode": "lines", "fill": "toself", "x": x, "y": y, "name": WOULD, "hoverinfo": "skip",
            "line": {"color": theme.SERIES[1], "width": 1.4}, "fillcolor": theme.BETWEEN, "hoveron": "points",
        },
        _dots(*dots, theme.SERIES[1], 5),
        {
            "type": "scatter", "mode": "none", "x": list(would.step), "y": list(would.high), "name": WOULD,
            "customdata": words_of(would), "hovertemplate": HOVER, "showlegend": False,
        },
    ]  # fmt: skip


def _dots(x: Sequence[int], y: Values, color: str, size: int) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "marker": {"color": color, "size": size},
        "hoverinfo": "skip", "cliponaxis": False,
    }  # fmt: skip


def band(would: Would) -> tuple[list[int | None], list[float | None]]:
    """Return the outline of the area between the bounds, a closed one for each stretch without a gap; JavaScript does the same.

    >>> band(Would([1, 2], [0.0, 0.5], [1.0, 0.5]))
    ([1, 2, 2, 1, 1, None], [0.0, 0.5, 0.5, 1.0, 0.0, None])
    """
    x: list[int | None] = []
    y: list[float | None] = []
    for first, after in _stretches(would):
        step, low, high = would.step[first:after], would.low[first:after], would.high[first:after]
        x += [*step, *reversed(step), step[0], None]
        y += [*low, *reversed(high), low[0], None]
    return x, y


def _stretches(would: Would) -> list[tuple[int, int]]:
    """Return where steps follow each other without a gap, those that stand alone left out."""
    _, seen = with_gaps(would.step, would.low)
    found, begin, at = [], 0, 0
    for value in [*seen, None]:
        if value is not None:
            at += 1
            continue
        if at - begin > 1:
            found.append((begin, at))
        begin = at
    return found


def dots_of(would: Would) -> tuple[list[int], list[float]]:
    """Return both bounds of steps that stand alone, of which no outline is seen; JavaScript does the same."""
    lined = {at for first, after in _stretches(would) for at in range(first, after)}
    alone = [at for at in range(len(would.step)) if at not in lined]
    ends = [(would.step[at], end) for at in alone for end in dict.fromkeys((would.low[at], would.high[at]))]
    return [step for step, _ in ends], [end for _, end in ends]


def words_of(would: Would) -> list[str]:
    """Return what is said of each step when one points at it; JavaScript does the same."""
    return [f"{WOULD} {between(low, high)}" for low, high in zip(would.low, would.high, strict=True)]


def between(low: float, high: float) -> str:
    """Return a figure that lies between two bounds, one number where both are written alike; JavaScript does the same.

    >>> between(0.5, 0.5), between(0.25, 0.5)
    ('0.5', '0.25 to 0.5')
    """
    least, most = number(low), number(high)
    return least if least == most else f"{least} to {most}"


def was_of(series: Mapping[str, Series], metric: str, taken: str, measured: str) -> Series:
    """Return what was recorded of a figure; kept is what was not `taken` out, and all where nothing was on that takes out."""
    if not taken:
        return series[metric]
    if len(series[taken].step):
        return Series(series[taken].step, 1 - series[taken].value)
    steps = series[measured].step[series[measured].value > 0]
    return Series(steps, np.ones(len(steps)))
