"""What lies within bounds, what does not, and what cannot be told.

The correction compares in the precision of the log-probs, float32 as a rule, and a table comes in float32.
What is nearer to a bound than that precision reaches is in doubt, and a figure that hangs on it is no exact one.

Axes: S steps, R rows, H bins.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rolloutwatch_contract.tables import HISTOGRAM_EDGES
from rolloutwatch_contract.values import Bounds, Rejection
from rolloutwatch_server.whatif.recorded import Flags, Rows, Vector

LOG_RATIO_BOUND = 20.0  # of a log ratio whose ratio is taken, as in the correction
HIGHEST_RATIO = math.exp(LOG_RATIO_BOUND)
LOWEST_RATIO = math.exp(-LOG_RATIO_BOUND)

SINGLE = 2.0**-22  # relative; twice the distance of two float32, or four roundings
OF_K3 = 4e-6  # relative; how exact float32 gives exp(l) - 1 - l


class Span(NamedTuple):
    """A number of which a lower and an upper bound is known."""

    low: Vector
    high: Vector


_EDGES = np.array(HISTOGRAM_EDGES)
BINS = Span(np.append(-np.inf, _EDGES), np.append(_EDGES, np.inf))  # log ratios, [H]


@dataclass(frozen=True)
class Verdict:
    """Which rows are certainly out of bounds, and of which that cannot be told."""

    out: Flags
    doubt: Flags

    def __or__(self, other: "Verdict") -> "Verdict":
        """Return which rows are out of the one or the other bounds."""
        out = self.out | other.out
        return Verdict(out, (self.doubt | other.doubt) & ~out)

    @classmethod
    def none(cls, rows: Rows) -> "Verdict":
        """Return that nothing is out of bounds."""
        nothing = np.zeros(rows.length.shape, dtype=bool)
        return cls(nothing, nothing)


class Interval(NamedTuple):
    """Log ratios of tokens that stay, the ends included."""

    lower: float = -math.inf
    upper: float = math.inf

    @property
    def is_open(self) -> bool:
        """Tell whether every log ratio is within."""
        return self == Interval()

    def __and__(self, other: "Interval") -> "Interval":
        """Return what is within both."""
        return Interval(max(self.lower, other.lower), min(self.upper, other.upper))


def ratio_interval(bounds: Bounds) -> Interval:
    """Return the log ratios of tokens whose ratio, held within exp(-20) and exp(20), is within bounds."""
    return _held(math.log(bounds.lower) if bounds.lower > 0 else -math.inf, math.log(bounds.upper))


def token_interval(rejection: Rejection) -> Interval:
    """Return the log ratios of tokens that a rejection of tokens leaves in the loss."""
    if rejection.statistic in ("ratio", "k1"):
        return ratio_interval(rejection.bounds)
    most = rejection.bounds.upper
    if rejection.statistic == "k2":
        return _held(-math.sqrt(2 * most), math.sqrt(2 * most))
    return _held(_root_of_k3(most, -1), _root_of_k3(most, 1))


def _held(lower: float, upper: float) -> Interval:
    return Interval(
        -math.inf if lower <= -LOG_RATIO_BOUND else lower, math.inf if upper >= LOG_RATIO_BOUND else upper
    )


def _root_of_k3(most: float, side: int) -> float:
    """Return the log ratio on one side of 0 at which K3 is `most`, as far as the held ratios reach."""
    inner, outer = 0.0, side * LOG_RATIO_BOUND
    if _k3(outer) <= most:
        return outer
    for _ in range(200):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if _k3(middle) <= most else (inner, middle)
    return inner


def _k3(log_ratio: float) -> float:
    if abs(log_ratio) < 1e-4:
        return log_ratio * log_ratio / 2 * (1 + log_ratio / 3)
    return math.expm1(log_ratio) - log_ratio


def k3_of(log_ratio: Vector) -> Vector:
    """Return exp(l) - 1 - l, which does not cancel where l is small."""
    small = np.abs(log_ratio) < 1e-4
    with np.errstate(over="ignore"):
        return np.where(
            small, log_ratio * log_ratio / 2 * (1 + log_ratio / 3), np.expm1(log_ratio) - log_ratio
        )


def ratio_verdict(log_ratio: Vector, filled: Flags, bounds: Bounds) -> Verdict:
    """Return which ratios of sequences, exp of a log ratio that is recorded, are out of bounds."""
    ratio = ratio_of(log_ratio)
    slack = SINGLE * (1 + np.abs(np.clip(log_ratio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND)))
    slack = np.where(log_ratio == 0, 0.0, slack)  # whose ratio is 1 in any precision
    return _verdict(Span(ratio * (1 - slack), ratio * (1 + slack)), filled, bounds.lower, bounds.upper)


def sequence_verdict(rejection: Rejection, rows: Rows) -> Verdict:
    """Return which sequences a rejection of whole sequences takes out."""
    bounds = rejection.bounds
    if rejection.statistic == "ratio":
        log_ratio = rows.mean if rejection.level == "geometric" else rows.total
        return ratio_verdict(log_ratio, rows.filled, bounds)
    lower, upper = bounds.lower, bounds.upper
    if rejection.statistic == "k1":
        lower, upper = -math.log(upper), -math.log(lower)
    span = (
        _MAXIMA[rejection.statistic](rows)
        if rejection.level == "seq_max"
        else _SUMS[rejection.statistic](rows)
    )
    if rejection.level == "geometric":
        n = np.maximum(rows.length, 1)
        span = Span(span.low / n, span.high / n)
    return _verdict(span, rows.filled, lower, upper)


def _verdict(span: Span, filled: Flags, lower: float, upper: float) -> Verdict:
    slack = SINGLE / 2  # with which a bound is compared in float32
    above, below = upper + slack * abs(upper), lower - slack * abs(lower)
    inside = (span.low >= lower + slack * abs(lower)) & (span.high <= upper - slack * abs(upper))
    # what is known exactly, as a ratio of 1 is, may stand at a bound
    inside |= (span.low == span.high) & (span.low >= lower) & (span.low <= upper)
    out = (span.low > above) | (span.high < below)
    return Verdict(out & filled, ~inside & ~out & filled)


def _k1_sum(rows: Rows) -> Span:
    """Return the sum of -l of tokens, each held within +-20."""
    over = np.maximum(rows.highest - LOG_RATIO_BOUND, 0)
    under = np.maximum(-LOG_RATIO_BOUND - rows.lowest, 0)
    total = _widened(Span(rows.total, rows.total), SINGLE)
    high = total.high - over + rows.length * under
    low = total.low - rows.length * over + under
    return Span(-high, -low)


def _k2_sum(rows: Rows) -> Span:
    """Return the sum of l^2 / 2 of tokens, each held within +-20.

    K3 is l^2 / 2 times something that grows with l, so that the extremes of l bound it by the sum of K3;
    so do |l| and l by their sums (Cauchy and Schwarz).
    """
    lowest, highest = _ends(rows)
    n = np.maximum(rows.length, 1)
    held = (rows.lowest == lowest) & (rows.highest == highest)
    largest = np.maximum(np.abs(lowest), np.abs(highest))
    one_end = np.where(rows.length > 1, lowest * lowest + highest * highest, highest * highest) / 2
    low = np.maximum(one_end, np.where(held, rows.size * rows.size / (2 * n), 0.0))
    high = np.minimum(rows.size * largest / 2, n * largest * largest / 2)
    k3 = _k3_as_summed(rows)
    low = np.maximum(low, np.where(held, k3.low / _k3_over_k2(highest), 0.0))
    high = np.minimum(high, np.where(held, k3.high / _k3_over_k2(lowest), np.inf))
    return _widened(Span(np.minimum(low, high), high), OF_K3)


def _k3_as_summed(rows: Rows) -> Span:
    """Return the sum of K3 that is recorded, with what float64 loses of that of small log ratios."""
    lost = 2.0**-51 * rows.size
    return Span(rows.k3 - lost, rows.k3 + lost)


def _k3_over_k2(log_ratio: Vector) -> Vector:
    square = log_ratio * log_ratio
    return np.where(square > 0, k3_of(log_ratio) * 2 / np.where(square > 0, square, 1.0), 1.0)


def _k3_sum(rows: Rows) -> Span:
    """Return the sum of K3 of tokens, of log ratios held within +-20, which makes it smaller."""
    lowest, highest = _ends(rows)
    held = (rows.lowest == lowest) & (rows.highest == highest)
    two_ends = np.where(rows.length > 1, k3_of(lowest) + k3_of(highest), k3_of(highest))
    k3 = _k3_as_summed(rows)
    low = np.where(held, k3.low, two_ends * (1 - OF_K3))
    high = np.where(held | (rows.length > 1), k3.high, two_ends * (1 + OF_K3))
    return _widened(Span(np.minimum(low, high), high), SINGLE)


def _k2_max(rows: Rows) -> Span:
    lowest, highest = _ends(rows)
    largest = np.maximum(lowest * lowest, highest * highest) / 2
    return _widened(Span(largest, largest), SINGLE)


def _k3_max(rows: Rows) -> Span:
    """Return the highest K3 of a token, which is that of an extreme, since K3 is convex and least at 0."""
    largest = np.maximum(*(k3_of(end) for end in _ends(rows)))
    return _widened(Span(largest, largest), OF_K3)


_SUMS = {"k1": _k1_sum, "k2": _k2_sum, "k3": _k3_sum}
_MAXIMA = {"k2": _k2_max, "k3": _k3_max}


def _ends(rows: Rows) -> tuple[Vector, Vector]:
    lowest, highest = (np.clip(end, -LOG_RATIO_BOUND, LOG_RATIO_BOUND) for end in (rows.lowest, rows.highest))
    return lowest, highest


def _widened(span: Span, relative: float) -> Span:
    return Span(span.low - relative * np.abs(span.low), span.high + relative * np.abs(span.high))


def ratio_of(log_ratio: Vector) -> Vector:
    """Return exp of log ratios, held within exp(-20) and exp(20)."""
    return np.clip(np.exp(np.minimum(log_ratio, 600.0)), LOWEST_RATIO, HIGHEST_RATIO)


def token_slack(end: float) -> float:
    """Return how near to an end of an interval a log ratio of tokens is in doubt."""
    return 2 * SINGLE + OF_K3 * abs(end) if math.isfinite(end) else 0.0
