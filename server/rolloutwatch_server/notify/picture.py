"""The picture of an alert, as PNG. For a process of its own: matplotlib takes time, and more memory than the server has."""

import io
import math
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.drawing import Drawing, Panel
from rolloutwatch_server.notify.events import number

# 1080 pixels wide, and letters that are still of some 11 points where a phone shows it in 390
_INCHES, _DOTS = 4.0, 270
_INK, _FAINT, _GRID, _GROUND, _CURVE = "#1c2430", "#5b6675", "#e6e9ee", "#ffffff", "#0072b2"
_OVER = "#1e7a4c"
_LINES = {Severity.CRITICAL: "#c0392b", Severity.WARNING: "#9a6b00"}
_FEW = 40  # values, up to which each has a point
_DECADES = 3.0  # from which on an axis is logarithmic
_MOST_LETTERS_OF_A_TITLE = 44


def draw(drawing: Drawing) -> bytes:
    """Return a picture as PNG, on white ground whatever it is shown on."""
    height = 0.85 + 1.3 * len(drawing.panels)
    # of objects alone: pyplot would keep figures
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.07, hspace=0.06)
    figure = Figure(figsize=(_INCHES, height), dpi=_DOTS, facecolor=_GROUND, layout=layout)
    over = " is over" if drawing.fired else ""
    title = f"{_shortened(drawing.rule)}{over}\n{_shortened(drawing.run)}"
    figure.suptitle(title, x=0.025, ha="left", size=9.5, weight="bold", color=_INK, parse_math=False)
    columns = figure.subplots(len(drawing.panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(columns, drawing.panels, strict=True):
        _draw_panel(axes, panel, drawing)
    columns[-1].set_xlabel("step", size=8, color=_FAINT, labelpad=1)
    columns[-1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _draw_panel(axes: Any, panel: Panel, drawing: Drawing) -> None:
    severe = _LINES.get(drawing.severity, _INK)
    # what is over is not to look as if it were not
    color, limits = (_OVER, _FAINT) if drawing.fired else (severe, severe)
    values = [math.nan if one is None else one for one in panel.value]
    _dress(axes)
    axes.plot(
        panel.step,
        values,
        color=_CURVE,
        linewidth=1.4,
        marker="o" if len(values) <= _FEW else "",
        markersize=2.6,
        solid_joinstyle="round",
        zorder=3,
    )
    _set_scale(axes, panel, values)
    for word, limit in panel.limits:
        _draw_limit(axes, word, limit, limits)
    if drawing.fired:
        _draw_span(axes, panel, drawing.fired, severe)
    axes.axvline(drawing.mark, color=color, linewidth=0.9, zorder=2)
    for step in panel.infinite:
        axes.plot(
            [step],
            [0.97],
            marker="^",
            markersize=4.5,
            color=limits,
            transform=axes.get_xaxis_transform(),
            zorder=4,
        )
    _draw_mark(axes, panel, drawing.mark, color)


def _dress(axes: Any) -> None:
    axes.set_facecolor(_GROUND)
    axes.grid(visible=True, color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=_FAINT, length=0, pad=2)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.margins(x=0.02, y=0.12)


def _set_scale(axes: Any, panel: Panel, values: list[float]) -> None:
    """Show all values and limits; logarithmically, if they are positive and decades apart."""
    shown = [one for one in values if math.isfinite(one)] + [limit for _, limit in panel.limits]
    if not shown:
        return
    low, high = min(shown), max(shown)
    if low > 0 and math.log10(high) - math.log10(low) >= _DECADES:
        axes.set_yscale("log")
        room = (high / low) ** 0.1
        axes.set_ylim(low / room, high * room)
        return
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    room = (high - low) * 0.14 or abs(high) * 0.1 or 1.0
    axes.set_ylim(low - room, high + room)


def _draw_limit(axes: Any, word: str, limit: float, color: str) -> None:
    axes.axhline(limit, color=color, linewidth=1.0, linestyle=(0, (4, 2.5)), zorder=2)
    bottom, top = axes.get_ylim()
    if word in ("above", "at least"):
        axes.axhspan(limit, top, color=color, alpha=0.08, linewidth=0, zorder=1)
    elif word in ("below", "at most"):
        axes.axhspan(bottom, limit, color=color, alpha=0.08, linewidth=0, zorder=1)
    axes.set_ylim(bottom, top)
    axes.annotate(
        number(limit),
        (0.0, limit),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        size=7.5,
        color=color,
        bbox={"facecolor": _GROUND, "edgecolor": "none", "pad": 1.2},
        zorder=4,
    )


def _draw_span(axes: Any, panel: Panel, fired: tuple[int, int], color: str) -> None:
    """Show from where to where it fired, as far as that is within the picture."""
    left, right = axes.get_xlim()
    axes.axvspan(max(fired[0], panel.step[0]), fired[1], color=color, alpha=0.14, linewidth=0, zorder=0.5)
    axes.set_xlim(left, right)


def _draw_mark(axes: Any, panel: Panel, mark: int, color: str) -> None:
    """Name the metric, and its value where it fired, or where it ended."""
    found = dict(zip(panel.step, panel.value, strict=True)).get(mark)
    axes.set_title(panel.metric, loc="left", size=8.5, color=_INK, pad=3, parse_math=False)
    told = number(found) if found is not None else "infinite" if mark in panel.infinite else "no value"
    axes.set_title(f"{told} at step {mark}", loc="right", size=8.5, color=color, pad=3, weight="bold")
    if found is not None:
        axes.plot(
            [mark],
            [found],
            marker="o",
            markersize=5,
            color=color,
            markeredgecolor=_GROUND,
            zorder=5,
            clip_on=False,
        )


def _shortened(text: str) -> str:
    """Cut the middle out of a text that is too long: how it begins and how it ends tell most."""
    if len(text) <= _MOST_LETTERS_OF_A_TITLE:
        return text
    kept = (_MOST_LETTERS_OF_A_TITLE - 1) // 2
    return f"{text[:kept]}…{text[-kept:]}"
