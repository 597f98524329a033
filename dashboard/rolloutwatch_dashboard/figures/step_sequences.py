"""The sequences of a step: which of them carry the mismatch, of which groups they are, and where in them it sits."""

import math
from collections.abc import Sequence
from typing import Any

from rolloutwatch_dashboard.figures.log_ratio_axis import axis, places
from rolloutwatch_dashboard.figures.step_layout import FEWER, HOVER, MORE, Cell, layout, lines, table
from rolloutwatch_dashboard.sequences import (
    KEPT,
    LETTERS_OF_A_GROUP,
    PARTLY,
    REJECTED,
    UNKNOWN,
    VETOED,
    Row,
    named,
    told_share,
)
from rolloutwatch_dashboard.text import cut, number, plain
from rolloutwatch_dashboard.thresholds import Threshold

SMALLEST, LARGEST = 6.0, 30.0  # pixels across
LITTLE, MUCH = "#7d93a8", "#d55e00"
SCALE = ((0.0, LITTLE), (1.0, MUCH))
SYMBOLS = {KEPT: "circle", PARTLY: "square", VETOED: "x", REJECTED: "diamond", UNKNOWN: "circle"}
MOST_GROUPS = 12
LETTERS_OF_A_NAME = 16
NO_GROUP = "no group"
OTHERS = "others"
NAME_OF_UNKNOWN = "sequences"


def scatter_of(rows: Sequence[Row], chosen: int | None = None) -> dict[str, Any]:
    """Describe length against mean log ratio in plotly's JSON: one point a sequence, its area and colour its share.

    The symbol says what became of it. Last comes a ring around the chosen one. Empty sequences have no place.
    """
    drawn = [one for one in rows if one.length > 0 and math.isfinite(one.mean)]
    fates = [fate for fate in SYMBOLS if any(one.fate == fate for one in drawn)]
    most = max((one.share for one in drawn if one.share == one.share), default=0.0) or 1.0
    traces = [_points([one for one in drawn if one.fate == fate], fate, most) for fate in fates]
    left = len(rows) - len(drawn)
    return {
        "data": [*traces, _ring([one for one in drawn if one.row == chosen], most)],
        "layout": layout(
            "step sequences",
            {"title": {"text": "tokens of the sequence"}, "rangemode": "tozero", "hoverformat": "d"},
            {"title": {"text": "mean log ratio"}, "zeroline": True, "zerolinecolor": "rgba(128, 128, 128, 0.5)"},
            nothing="" if drawn else f"{left} without a token" if left else "no sequence",
            meta=table(_columns(drawn)),
        ),
    }  # fmt: skip


def _columns(rows: Sequence[Row]) -> dict[str, list[Cell]]:
    return {
        "sample": [one.sample for one in rows],
        "group": [one.group for one in rows],
        "tokens": [one.length for one in rows],
        "mean_log_ratio": [one.mean for one in rows],
        "share_of_mismatch": [one.share for one in rows],
        "fate": [one.fate for one in rows],
    }


def _points(rows: Sequence[Row], fate: str, most: float) -> dict[str, Any]:
    shares = [0.0 if math.isnan(one.share) else one.share for one in rows]
    return {
        "type": "scatter", "mode": "markers", "name": fate or NAME_OF_UNKNOWN,
        "x": [one.length for one in rows], "y": [one.mean for one in rows],
        "marker": {
            "symbol": SYMBOLS[fate], "size": [_size(share, most) for share in shares], "opacity": 0.8,
            "color": shares, "colorscale": SCALE, "cmin": 0.0, "cmax": most, "line": {"width": 0},
        },
        "customdata": [f"{_about(one)}" for one in rows], "hovertemplate": HOVER,
        "ids": [str(one.row) for one in rows],
    }  # fmt: skip


def _ring(rows: Sequence[Row], most: float) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": "chosen", "hoverinfo": "skip", "showlegend": False,
        "x": [one.length for one in rows], "y": [one.mean for one in rows],
        "marker": {
            "symbol": "circle-open", "color": FEWER, "line": {"width": 2},
            "size": [_size(0.0 if math.isnan(one.share) else one.share, most) + 9 for one in rows],
        },
    }  # fmt: skip


def _size(share: float, most: float) -> float:
    return SMALLEST + (LARGEST - SMALLEST) * math.sqrt(max(share, 0.0) / most)


def _about(row: Row) -> str:
    """Return what is said of a sequence when one points at it."""
    group = "" if row.group is None else f", {plain(cut(row.group, LETTERS_OF_A_GROUP))}"
    return (
        f"{named(row)}{group}<br>{told_share(row.share)} of the mismatch<br>"
        f"{number(row.length)} tokens, mean log ratio {number(row.mean)}<br>{row.fate}"
    )


def groups_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Describe for each group its share of the mismatch beside its share of the tokens, the largest first."""
    mismatch: dict[str, float] = {}
    tokens: dict[str, float] = {}
    for one in rows:
        name = NO_GROUP if one.group is None else one.group
        mismatch[name] = mismatch.get(name, 0.0) + (0.0 if math.isnan(one.share) else one.share)
        tokens[name] = tokens.get(name, 0.0) + (one.length if one.length > 0 else 0.0)
    order = sorted(mismatch, key=lambda name: -mismatch[name])
    shown = order if len(order) <= MOST_GROUPS else order[: MOST_GROUPS - 1]
    bars = [(name, mismatch[name], tokens[name]) for name in shown]
    if rest := order[len(shown) :]:
        bars.append((f"{len(rest)} {OTHERS}", sum(mismatch[n] for n in rest), sum(tokens[n] for n in rest)))
    all_tokens = sum(tokens.values()) or 1.0
    bars.reverse()  # the first one stands on top
    names = [plain(cut(name, LETTERS_OF_A_NAME)) for name, *_ in bars]
    at = list(range(len(bars)))
    return {
        "data": [
            _bars(at, [count / all_tokens for *_, count in bars], names, "tokens", FEWER),
            _bars(at, [share for _, share, _ in bars], names, "mismatch", MORE),
        ],
        "layout": layout(
            "step groups",
            {"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero"},
            {"tickmode": "array", "tickvals": at, "ticktext": names, "gridcolor": "rgba(0, 0, 0, 0)"},
            barmode="group",
            bargap=0.25,
            meta=table(
                {
                    "group": [name for name, *_ in reversed(bars)],
                    "share_of_mismatch": [share for _, share, _ in reversed(bars)],
                    "share_of_tokens": [count / all_tokens for *_, count in reversed(bars)],
                }
            ),
            showlegend=True,
            margin={"l": 124, "r": 16, "t": 22, "b": 40, "autoexpand": False},
        ),
    }  # fmt: skip


def _bars(at: list[int], shares: list[float], names: list[str], what: str, color: str) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "name": what, "y": at, "x": shares, "marker": {"color": color, "line": {"width": 0}},
        "customdata": [f"{name}: {told_share(share)} of the {what}" for name, share in zip(names, shares, strict=True)],
        "hovertemplate": HOVER,
    }  # fmt: skip


def positions_of(rows: Sequence[Row], thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """Describe at which token of its response each sequence has its lowest and its highest log ratio."""
    sides = (
        ("lowest", FEWER, [(one, one.lowest_at, one.lowest) for one in rows]),
        ("highest", MORE, [(one, one.highest_at, one.highest) for one in rows]),
    )
    found = [(name, color, [one for one in side if one[1] >= 0]) for name, color, side in sides]
    return {
        "data": [_extremes(*each) for each in found],
        "layout": layout(
            "step positions",
            {"title": {"text": "token of the response"}, "rangemode": "tozero", "hoverformat": "d"},
            axis("log ratio"),
            nothing="" if any(side for *_, side in found) else "no position came",
            meta=table(
                {
                    "sample": [one.sample for *_, side in found for one, *_ in side],
                    "end": [name for name, _, side in found for _ in side],
                    "token": [int(at) for *_, side in found for _, at, _ in side],
                    "log_ratio": [value for *_, side in found for *_, value in side],
                }
            ),
            shapes=lines(
                [at for at in places([one.at for one in thresholds]) if at is not None], across=True
            ),
            showlegend=True,
        ),
    }


def _extremes(name: str, color: str, side: Sequence[tuple[Row, float, float]]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [at for _, at, _ in side], "y": places([value for *_, value in side]),
        "marker": {"color": color, "size": 6, "opacity": 0.7},
        "customdata": [
            f"{named(one)}, token {int(at)} of {number(one.length)}<br>log ratio {number(value)}"
            for one, at, value in side
        ],
        "hovertemplate": HOVER, "ids": [str(one.row) for one, *_ in side],
    }  # fmt: skip
