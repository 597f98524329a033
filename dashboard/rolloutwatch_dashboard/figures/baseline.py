"""The usual range of a figure: what it did before, as a band behind its line. figures.js does the same, which a test compares."""

import math
from collections.abc import Sequence
from typing import Any

from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.usual import VALUES, usual

MOST_PLACES = 64  # at which the range is looked at anew; between them the band is straight
BAND = "usual range"


def usual_ranges(
    steps: Sequence[int], values: Sequence[float | None], most: float = math.inf
) -> list[tuple[int, float, float]]:
    """Return step, low and high of the usual range of the values before, at some of the steps; nothing above `most`.

    The value at the step itself is not among them, so that a spike stands out of the range that it is seen against.
    Where a series was thinned, its values are the lowest and the highest of many steps, and the range is that of these.
    """
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    every = 1
    while every * MOST_PLACES < len(known):
        every *= 2
    found = []
    for at in [
        *range(0, len(known), every),
        *([len(known) - 1] if known and (len(known) - 1) % every else []),
    ]:
        before = usual([value for _, value in known[max(0, at - VALUES) : at]], most)
        if before is not None:
            found.append((known[at][0], before.low, before.high))
    return found


def band(ranges: Sequence[tuple[int, float, float]], floor: float) -> list[dict[str, Any]]:
    """Return the band as plotly has it; on a log axis nothing of it is below the floor."""
    if len(ranges) < 2:
        return []
    least = (lambda value: max(value, floor)) if floor > 0 else float
    there = [f"{step},{least(high)}" for step, _, high in ranges]
    back = [f"{step},{least(low)}" for step, low, _ in reversed(ranges)]
    return [{**theme.BAND, "name": BAND, "path": f"M{'L'.join([*there, *back])}Z"}]
