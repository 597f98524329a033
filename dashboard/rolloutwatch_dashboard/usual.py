"""What is usual for a figure of a run: where its last values before a step were, and how far they were spread."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit, worst
from rolloutwatch_contract.metric import FRACTION
from rolloutwatch_contract.protocol import Series, Source

VALUES = 60  # before the step, that are finite
LEAST = 20  # fewer say nothing of what is usual
# so many times the median distance from their median is the standard deviation of normally distributed values
OF_A_NORMAL = 1.4826
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


def usual(values: npt.NDArray[np.float64], metric: str = "") -> Usual | None:
    """Return what is usual among the last VALUES finite values; None if there are fewer than LEAST.

    That is their median, and as spread their median distance from it times 1.4826, a standard deviation of normal values
    that a few wild ones do not move. The range is four spreads to either side, and does not leave what such figures can be;
    where most values are equal, and the spread is 0, it is all that came.

    >>> found = usual(np.array([4.0, 5.0, 6.0, 5.0, 5.0, 4.0, 6.0] * 3 + [900.0, np.nan]))
    >>> [round(one, 4) for one in found]
    [5.0, 1.4826, 0.0, 10.9304, 22]
    """
    known = values[np.isfinite(values)][-VALUES:]
    if len(known) < LEAST:
        return None
    center = float(np.median(known))
    spread = OF_A_NORMAL * float(np.median(np.abs(known - center)))
    if not spread:
        return Usual(center, spread, float(known.min()), float(known.max()), len(known))
    low, high = center - SPREADS * spread, center + SPREADS * spread
    if known.min() >= 0:
        low = max(low, 0.0)
    if metric in METRICS and METRICS[metric].unit == FRACTION:
        high = min(high, 1.0)
    return Usual(center, spread, low, high, len(known))


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
    nothing = np.zeros(0)
    return [
        Compared(
            name,
            value,
            usual(former[name].value if name in former else nothing, name.partition("@")[0]),
            worst(limits, name, value),
        )
        for name, value in metrics.items()
    ]
