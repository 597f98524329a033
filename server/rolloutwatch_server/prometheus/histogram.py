"""A histogram as Prometheus has it: how many observations were at most so large."""

import bisect
import itertools
import math
from collections.abc import Sequence

from prometheus_client.metrics_core import HistogramMetricFamily


class Histogram:
    """Counts observations; one thread observes, any may read."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = [*bounds, math.inf]
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value; one that is no number does not count."""
        if not math.isnan(value):
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """Return what has been counted so far."""
        upto = itertools.accumulate(list(self._counts))
        buckets = [(_text(bound), float(count)) for bound, count in zip(self._bounds, upto, strict=True)]
        return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self._sum)


def _text(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else str(bound)
