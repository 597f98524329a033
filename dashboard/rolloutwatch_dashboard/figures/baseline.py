"""The usual range of a figure: what it did before, as a band behind its line. figures.js does the same, which a test compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rolloutwatch_dashboard import theme

WINDOW = 60  # values before
LEAST = 20  # of them; of fewer nobody can say what is usual
SPREADS = 3.0
SIGMA = 1.4826  # a normal distribution's standard deviation in median absolute deviations
MOST_PLACES = 64  # at which the range is looked at anew; between them the band is straight
BAND = "usual range"


@dataclass(frozen=True)
class Usual:
    """Centre and spread of some values, neither of which a few wild ones among them move: median, and median distance from it.

    The spread is scaled so that it is the standard deviation where values are normally distributed.
    """

    centre: float
    spread: float

    @property
    def low(self) -> float:
        """Return where the usual range begins: three spreads below the centre."""
        return self.centre - SPREADS * self.spread

    @property
    def high(self) -> float:
        """Return where it ends."""
        return self.centre + SPREADS * self.spread


def usual(values: Sequence[float]) -> Usual | None:
    """Return what is usual of finite values; None where they are too few.

    >>> usual([*range(19)]), usual([*range(20), 1e9]).centre
    (None, 10)
    """
    if len(values) < LEAST:
        return None
    centre = _median(values)
    return Usual(centre, SIGMA * _median([abs(value - centre) for value in values]))


def usual_ranges(steps: Sequence[int], values: Sequence[float | None]) -> list[tuple[int, float, float]]:
    """Return step, low and high of the usual range at some of the steps: median ± 3 spreads of the 60 values before.

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
        before = usual([value for _, value in known[max(0, at - WINDOW) : at]])
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


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
