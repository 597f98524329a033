"""A line without its noise. figures.js does the same, which a test compares."""

import itertools
import statistics
from collections.abc import Sequence

PARTS = 1000  # of the steps in view: what is nearer together than one of them is not to be seen apart


def unit_of(steps: Sequence[int]) -> float:
    """Return the distance over which smoothing forgets once: from value to value, or a thousandth of all steps if that is more.

    So a short run is smoothed value by value, and a long one, of which a screen shows few, to the same look.
    """
    if len(steps) < 2:
        return 1.0
    usual = statistics.median(later - step for step, later in itertools.pairwise(steps))
    return float(max(usual, (steps[-1] - steps[0]) / PARTS))


def smoothed(
    steps: Sequence[int], values: Sequence[float | None], weight: float, unit: float
) -> list[float | None]:
    """Return the exponential mean of each value and those before it, None where there is no value.

    Each unit of distance multiplies what was before by `weight`, which is below 1. The beginning is not drawn to 0:
    the mean is divided by the weights that are in it.
    """
    found: list[float | None] = []
    total = mass = 0.0
    before: int | None = None
    for step, value in zip(steps, values, strict=True):
        if value is None:
            found.append(None)
            continue
        keep = 0.0 if before is None else weight ** ((step - before) / unit)
        total, mass, before = total * keep + value, mass * keep + 1.0, step
        found.append(total / mass)
    return found
