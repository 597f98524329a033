"""What is usual for a figure of a run: where it was before a step, and how far it was spread, as a rule's `jump` looks at it.

A table beside a step and a band behind a line say the same; lines.js computes it for a browser, which a test compares.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.baselines import LEAST, SAMPLES, Baseline, baseline_of, least_spread, older_half
from rolloutwatch_contract.limits import Limit, worst
from rolloutwatch_contract.metric import FRACTION
from rolloutwatch_contract.protocol import MarkView, Series, Source
from rolloutwatch_contract.record import MarkKind
from rolloutwatch_contract.scales import Scale, scale_of

BEFORE = SAMPLES - 1  # values before the one that is compared
SPREADS = 4.0  # either side of the median are usual
FIRST_LOOK = SAMPLES  # steps, and each further look so many times as far
FURTHER = 4
FARTHEST = FIRST_LOOK * FURTHER**2
MOST_MARKS = 100  # of each kind that are looked at
BEGINS = {MarkKind.RESTART.value, MarkKind.ROLLBACK.value, MarkKind.TAKEOVER.value}


class Usual(NamedTuple):
    """Where values were before one: their median and the range that is usual, and how that is counted on their scale."""

    center: float
    low: float
    high: float
    baseline: Baseline
    scale: Scale | None

    @property
    def is_spread(self) -> bool:
        """Whether values were spread; otherwise most of them are equal, and the range is all that came."""
        return self.baseline.spread > 0

    def off(self, value: float) -> float:
        """Return how far a value is from the median, in spreads, as `jump` says it; NaN, which is nowhere, is NaN."""
        if math.isnan(value):
            return math.nan
        return self.baseline.off(value if self.scale is None else self.scale.of(value))


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


def usual(values: Iterable[float], metric: str = "") -> Usual | None:
    """Return what is usual after these values of a metric; None if fewer than LEAST are known, or half are infinite.

    Looked at is the older half of the last BEFORE that are not NaN, on the metric's scale: their median, and as spread their
    median distance from it times 1.4826, a standard deviation of normal values that a few wild ones do not move.
    The range is four spreads to either side, and does not leave what such figures can be:
    it is not below 0 where no value is, nor above the most.
    Where most values are equal, and the spread is 0, it is all that came.

    >>> found = usual([4.0, 5.0, 6.0, 5.0, 5.0, 4.0, 6.0] * 3 + [900.0, math.nan])
    >>> [round(one, 4) for one in (found.center, found.baseline.spread, found.low, found.high)]
    [5.0, 1.4826, 0.0, 10.9304]
    """
    scale = scale_of(metric)
    known = [value for value in values if value == value][-BEFORE:]
    placed = known if scale is None else [scale.of(value) for value in known]
    return usual_of_placed(placed, scale, most_of(metric))


def usual_of_placed(placed: Sequence[float], scale: Scale | None, most: float) -> Usual | None:
    """Return what is usual after at most BEFORE values that are on a scale."""
    if len(placed) < LEAST:
        return None
    baseline = baseline_of(sorted(placed[: older_half(len(placed))]), least_spread(scale))
    center, spread, low, high = baseline
    if not math.isfinite(center):
        return None
    is_positive = low >= (0.0 if scale is None else scale.of(0.0))
    if spread:
        low, high = center - SPREADS * spread, center + SPREADS * spread
    if scale is not None:
        center, low, high = scale.back(center), scale.back(low), scale.back(high)
    return Usual(center, max(low, 0.0) if is_positive else low, min(high, most), baseline, scale)


def most_of(metric: str) -> float:
    """Return the most that a figure can be: 1 of a fraction and of a correlation."""
    name = metric.partition("@")[0]
    is_limited = name == "prob_pearson_corr" or (name in METRICS and METRICS[name].unit == FRACTION)
    return 1.0 if is_limited else math.inf


def followed_usual(metric: str) -> dict[str, Any]:
    """Return what lines.js needs to say what is usual for a metric."""
    scale, most = scale_of(metric), most_of(metric)
    return {
        "scale": None if scale is None else scale._asdict(),
        "most": None if math.isinf(most) else most,
    }


def begins_of(marks: Collection[MarkView]) -> list[int]:
    """Return the steps at which what is usual begins anew, ascending.

    That is where another session goes on with a run, and behind where a trainer says that it is configured otherwise.
    """
    gone_on = {mark.step for mark in marks if mark.found and mark.kind in BEGINS}
    said = {mark.step + 1 for mark in marks if not mark.found and mark.kind == MarkKind.CONFIG.value}
    return sorted(gone_on | said)


def before(source: Source, run: str, step: int, metrics: Sequence[str]) -> Mapping[str, Series]:
    """Return what came of each figure before a step, since a session began: BEFORE values, if they are not too far back."""
    begun = begins_of(source.marks(run, from_step=max(0, step - FARTHEST), to_step=step, most=MOST_MARKS))
    start = max((one for one in begun if one <= step), default=0)
    found: dict[str, Series] = {}
    wanted, width = list(metrics), FIRST_LOOK
    while wanted and step > start:
        first = max(start, step - width)
        found.update(source.series(run, wanted, from_step=first, to_step=step - 1))
        wanted = [name for name in wanted if np.count_nonzero(~np.isnan(found[name].value)) < BEFORE]
        if first == start or width >= FARTHEST:
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
            usual(former[name].value.tolist() if name in former else (), name),
            worst(limits, name, value),
        )
        for name, value in metrics.items()
    ]
