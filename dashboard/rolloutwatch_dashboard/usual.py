"""What is usual for a figure of a run: where its last values before a step were, and how far they were spread.

A table beside a step and a band behind a line say the same; lines.js computes it for a browser, which a test compares.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.conditions.nodes import OF_A_NORMAL
from rolloutwatch_contract.limits import Limit, worst
from rolloutwatch_contract.metric import FRACTION
from rolloutwatch_contract.protocol import Series, Source

VALUES = 60  # before the step, that are finite
LEAST = 20  # fewer say nothing of what is usual
SPREADS = 4.0  # either side of the median are usual
FIRST_LOOK = 64  # steps, and each further look so many times as far
FURTHER = 10
FARTHEST = 6400


class Usual(NamedTuple):
    """Median and spread of so many `values`, and the range that is usual; `spread` is 0 where most of them are equal."""

    center: float
    spread: float
    low: float
    high: float
    values: int

    def off(self, value: float) -> float:
        """Return how far a value is from the median, in spreads; NaN where that cannot be said.

        Where most values are equal it is 0 within all that came, and infinite beyond.
        """
        if not math.isfinite(value):
            return math.nan
        if self.spread:
            return (value - self.center) / self.spread
        return 0.0 if self.low <= value <= self.high else math.copysign(math.inf, value - self.center)


class Compared(NamedTuple):
    """A figure of a step beside what is usual for it, None if too few came before, and the limit that it breaks."""

    metric: str
    value: float
    usual: Usual | None
    broken: Limit | None

    @property
    def off(self) -> float:
        """Return how far it is from the median before it, in spreads; NaN where that cannot be said."""
        return math.nan if self.usual is None else self.usual.off(self.value)


def usual(values: Iterable[float], most: float = math.inf) -> Usual | None:
    """Return what is usual among the last VALUES finite values; None if there are fewer than LEAST.

    That is their median, and as spread their median distance from it times 1.4826, a standard deviation of normal values
    that a few wild ones do not move. The range is four spreads to either side, and does not leave what such figures can be:
    it is not below 0 where no value is, nor above `most`.
    Where most values are equal, and the spread is 0, it is all that came.

    >>> found = usual([4.0, 5.0, 6.0, 5.0, 5.0, 4.0, 6.0] * 3 + [900.0, math.nan])
    >>> [round(one, 4) for one in found]
    [5.0, 1.4826, 0.0, 10.9304, 22]
    """
    known = [value for value in values if math.isfinite(value)][-VALUES:]
    if len(known) < LEAST:
        return None
    center = _median(known)
    spread = OF_A_NORMAL * _median([abs(value - center) for value in known])
    low, high = min(known), max(known)
    if spread:
        low = center - SPREADS * spread if low < 0 else max(center - SPREADS * spread, 0.0)
        high = min(center + SPREADS * spread, most)
    return Usual(center, spread, low, high, len(known))


def most_of(metric: str) -> float:
    """Return the most that a figure can be: 1 of a fraction."""
    name = metric.partition("@")[0]
    return 1.0 if name in METRICS and METRICS[name].unit == FRACTION else math.inf


def _median(values: Sequence[float]) -> float:
    # of so few values NumPy takes several times as long
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def before(source: Source, run: str, step: int, metrics: Sequence[str]) -> Mapping[str, Series]:
    """Return what came of each figure before a step: of one that comes seldom from farther back, if it is not too far."""
    found: dict[str, Series] = {}
    wanted, width = list(metrics), FIRST_LOOK
    while wanted and step > 0:
        first = max(0, step - width)
        found.update(source.series(run, wanted, from_step=first, to_step=step - 1))
        wanted = [name for name in wanted if np.isfinite(found[name].value).sum() < LEAST]
        if first == 0 or width >= FARTHEST:
            break
        width *= FURTHER
    return found


def compared(
    metrics: Mapping[str, float], former: Mapping[str, Series], limits: Sequence[Limit]
) -> list[Compared]:
    """Return every figure of a step beside what is usual."""
    return [
        Compared(
            name,
            value,
            usual(former[name].value.tolist() if name in former else (), most_of(name)),
            worst(limits, name, value),
        )
        for name, value in metrics.items()
    ]
