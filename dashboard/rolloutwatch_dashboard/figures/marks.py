"""Marks on a chart: a line where something happened, a label where there is room, and words for who points at it.

Where figures.js does the same, a test compares the two.
"""

import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rolloutwatch_contract import MarkKind
from rolloutwatch_contract.protocol import MarkView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.text import LINKED, mark_label, mark_text, plain

ALERTS = {severity: f"alert_{severity.word}" for severity in (Severity.CRITICAL, Severity.WARNING)}
# found, not sent: always a line, and the first to have a label
STRONG = (
    LINKED,
    MarkKind.CONTESTED.value,
    ALERTS[Severity.CRITICAL],
    MarkKind.TAKEOVER.value,
    MarkKind.ROLLBACK.value,
    MarkKind.RESTART.value,
    ALERTS[Severity.WARNING],
    MarkKind.CONFIG.value,
)
QUIET, TICKS = "marks", "ticks"
MOST_LINES = 40  # of marks that are not strong; of a kind that would make more, short ticks are drawn
MOST_ROWS = 3  # of labels, for strong marks that stand close together
PX_BETWEEN_TICKS = 3
PX_PER_LETTER = 5.6
PX_BETWEEN_LABELS = 8
MOST_TOLD = 4  # at one place; of more the number is told
USUAL_WIDTH = 380.0  # of a plot, in pixels; the browser knows better
HEIGHT_OF_TICKS = 0.05
HEIGHT_OF_ROW = 0.085


@dataclass
class Placed:
    """What is drawn of marks: a path of lines for each style, labels, and words at the steps of the chart's figures."""

    paths: dict[str, str] = field(default_factory=dict)
    labels: list[tuple[int, float, str, str]] = field(default_factory=list)  # step, height, text, side
    words: list[tuple[int, str]] = field(default_factory=list)


def place_marks(
    marks: Sequence[MarkView], steps: Sequence[int], first: float, last: float, width: float
) -> Placed:
    """Return what is drawn of marks on a plot of so many pixels that shows the steps from `first` to `last`.

    `steps` are those of the chart's figures, at which it tells what it knows when it is pointed at.
    """
    seen = [mark for mark in marks if first <= mark.step <= last]
    scale = width / max(last - first, 1e-9)
    quiet = _styles(seen)
    styles = [mark.kind if _is_strong(mark) else quiet[mark.kind] for mark in seen]
    placed = Placed()
    for style in (QUIET, *reversed(STRONG)):
        lines = dict.fromkeys(mark.step for mark, of_it in zip(seen, styles, strict=True) if of_it == style)
        if lines:
            placed.paths[style] = "".join(f"M{step},0L{step},1" for step in lines)
    ticks = _ticks([mark.step for mark, of_it in zip(seen, styles, strict=True) if of_it == TICKS], scale)
    if ticks:
        placed.paths[TICKS] = "".join(f"M{step},0L{step},{HEIGHT_OF_TICKS}" for step in ticks)
    lined = [mark for mark, of_it in zip(seen, styles, strict=True) if of_it != TICKS]
    placed.labels = _labels(lined, first, scale, width)
    placed.words = _words(seen, steps)
    return placed


def shapes(placed: Placed) -> list[dict[str, Any]]:
    """Return the lines as plotly has them."""
    return [
        {**theme.MARKS[style], "name": f"mark: {style}", "path": path} for style, path in placed.paths.items()
    ]


def _is_strong(mark: MarkView) -> bool:
    return mark.found and mark.kind in STRONG


def _styles(seen: Sequence[MarkView]) -> dict[str, str]:
    """Return how each kind that trainers send is drawn: rare kinds as lines, as long as these are few, others as ticks."""
    counts = Counter(mark.kind for mark in seen if not _is_strong(mark))
    styles, lines = {}, 0
    for kind, count in sorted(counts.items(), key=lambda one: (one[1], one[0])):
        lines += count
        styles[kind] = QUIET if lines <= MOST_LINES else TICKS
    return styles


def _ticks(steps: Sequence[int], scale: float) -> list[int]:
    """Return the steps of ticks that are far enough from each other to be told apart."""
    found: list[int] = []
    for step in sorted(set(steps)):
        if not found or (step - found[-1]) * scale >= PX_BETWEEN_TICKS:
            found.append(step)
    return found


def _labels(
    marks: Sequence[MarkView], first: float, scale: float, width: float
) -> list[tuple[int, float, str, str]]:
    """Return labels that do not touch, right of their lines, or left where there is no room; strong marks first.

    A strong mark's label stands where no line of another one crosses it, if there is such a place.
    """
    taken: list[tuple[int, float, float]] = []  # row, from, to
    found = []
    told: set[tuple[int, str]] = set()
    lines = [(mark.step - first) * scale for mark in marks if _is_strong(mark)]
    for mark in sorted(
        marks, key=lambda mark: (STRONG.index(mark.kind) if _is_strong(mark) else 9, mark.step)
    ):
        text = mark_label(mark)
        if (mark.step, text) in told:
            continue
        told.add((mark.step, text))
        at, long = (mark.step - first) * scale, PX_PER_LETTER * len(text) + PX_BETWEEN_LABELS
        free = [
            (row, left)
            for row, left in _places(at, long, width, _is_strong(mark))
            if all(row != other or left >= end or left + long <= begin for other, begin, end in taken)
        ]
        clear = [
            one for one in free if not any(one[1] < line < one[1] + long for line in lines if line != at)
        ]
        if not free:
            continue
        row, left = (clear or free)[0]
        taken.append((row, left, left + long))
        side, spaced = ("right", f"\u00a0{plain(text)}") if left == at else ("left", f"{plain(text)}\u00a0")
        found.append((mark.step, 1 - HEIGHT_OF_ROW * row, spaced, f"bottom {side}"))
    return found


def _places(at: float, long: float, width: float, is_strong: bool) -> list[tuple[int, float]]:
    """Return the places that a label may have, the best first: row, and where it begins."""
    sides = [*([at] if at + long <= width else []), *([at - long] if at >= long or at + long > width else [])]
    if not is_strong:
        return [(0, sides[0])]
    return [(row, left) for row in range(MOST_ROWS) for left in sides]


def _words(marks: Sequence[MarkView], steps: Sequence[int]) -> list[tuple[int, str]]:
    """Return what is said at which of the steps at which the chart has a figure: at the nearest one to each mark."""
    if not steps:
        return []
    texts: dict[int, list[str]] = {}
    for mark in marks:
        at = bisect.bisect_left(steps, mark.step)
        near = [steps[place] for place in (at - 1, at) if 0 <= place < len(steps)]
        texts.setdefault(min(near, key=lambda step: abs(step - mark.step)), []).append(mark_text(mark))
    return [(step, _united(of_one)) for step, of_one in sorted(texts.items())]


def _united(texts: Sequence[str]) -> str:
    more = len(texts) - MOST_TOLD
    shown = texts[:MOST_TOLD]
    return "\n".join([*shown, f"and {more} more"] if more > 0 else shown)
