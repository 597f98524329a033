"""Mean and effective sample size of weights of tokens, as far as histogram, extremes and moments tell.

Two ways lead there, and what comes of both is within both. From the histogram each weight is known up to the width of its bin.
From the moments of the untouched ratios, which are recorded, what the bounds cut off is taken away:
where no token is out of bounds nothing is, and the figure is exact.

Axes: S steps, G groups of tokens: bins of the histogram, and rows of the table where there is no histogram.
"""

from typing import NamedTuple

import numpy as np

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_server.whatif.bounds import BINS, OF_K3, Span, ratio_of
from rolloutwatch_server.whatif.recorded import Flags, Recorded, Vector
from rolloutwatch_server.whatif.weights import Groups, eff_sample_size_of, mean_of


class _Ratios(NamedTuple):
    """How many tokens there are in each group, and between which ratios they lie."""

    n: Vector
    low: Vector
    high: Vector


def token_weights(recorded: Recorded, config: CorrectionConfig) -> tuple[Span, Span, Flags]:
    """Return mean and effective sample size of the weights, [S] each, and where anything is known of them."""
    ratios = _ratios(recorded)
    groups = _weights(ratios, config)
    mean, spread = mean_of(groups, recorded.counted), eff_sample_size_of(groups, recorded.counted)
    by_moments = _by_moments(recorded, ratios, config)
    known = recorded.has_histogram | recorded.is_whole
    return (_both(mean, by_moments[0]), _both(spread, by_moments[1]), known)


def _ratios(recorded: Recorded) -> _Ratios:
    """Return groups of tokens: bins, no further than the extremes of a whole table; rows where there is no histogram."""
    rows = recorded.rows
    lowest = np.where(rows.filled, rows.lowest, np.inf).min(axis=1)
    highest = np.where(rows.filled, rows.highest, -np.inf).max(axis=1)
    lowest, highest = (
        np.where(recorded.is_whole & (recorded.counted > 0), end, otherwise)
        for end, otherwise in ((lowest, -np.inf), (highest, np.inf))
    )
    low = np.minimum(np.maximum(BINS.low, lowest[:, None]), BINS.high)
    high = np.maximum(np.minimum(BINS.high, highest[:, None]), BINS.low)
    without = ~recorded.has_histogram[:, None]
    n = np.hstack([recorded.histogram, np.where(without, rows.length, 0.0)])
    low, high = np.hstack([low, rows.lowest]), np.hstack([high, rows.highest])
    some = np.asarray(n.any(axis=0))  # of most bins no step has a token
    some[0] = True
    n, low, high = n[:, some], low[:, some], high[:, some]
    return _Ratios(n, ratio_of(low) * (1 - OF_K3), ratio_of(high) * (1 + OF_K3))


def _weights(ratios: _Ratios, config: CorrectionConfig) -> Groups:
    bounds = config.bounds
    if config.rollout_is_mode == "mask":
        inside, outside = _stands(ratios, config)
        value = Span(
            np.where(inside, ratios.low, 0.0), np.where(outside, 0.0, np.minimum(ratios.high, bounds.upper))
        )
        return Groups(ratios.n, value, value)
    return Groups(
        ratios.n,
        Span(np.minimum(ratios.low, bounds.upper), np.minimum(ratios.high, bounds.upper)),
        Span(*(np.clip(end, bounds.lower, bounds.upper) for end in ratios[1:])),
    )


def _stands(ratios: _Ratios, config: CorrectionConfig) -> tuple[Flags, Flags]:
    """Return of which groups every token is within the bounds, and of which none is."""
    inside = (ratios.low >= config.bounds.lower) & (ratios.high <= config.bounds.upper)
    return inside, (ratios.high < config.bounds.lower) | (ratios.low > config.bounds.upper)


def _by_moments(recorded: Recorded, ratios: _Ratios, config: CorrectionConfig) -> tuple[Span, Span]:
    """Return the same from what is recorded of untouched ratios, less what the bounds take from it."""
    mean, std = recorded.moments["ratio_mean"], recorded.moments["ratio_std"]
    ess, n = recorded.moments["ratio_eff_sample_size"], recorded.counted
    first, second = mean, std * std + mean * mean
    taken = _taken(ratios, config)
    of_weights, of_held, _ = (_is_nothing(ratios.n, span) for span in taken)
    value, total, squares = (
        _less(moment, Span(*((ratios.n * end).sum(axis=1) / n for end in span)))
        for moment, span in zip((first, first, second), taken, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(squares.high > 0, np.maximum(total.low, 0) ** 2 / squares.high, 0.0)
        high = np.where(squares.low > 0, total.high**2 / squares.low, 1.0)
    value = Span(*(np.where(of_weights, mean, end) for end in value))
    spread = Span(*(np.where(of_held, ess, end) for end in (low, high)))
    return _or_anything(value), _or_anything(spread)


def _is_nothing(n: Vector, taken: Span) -> Flags:
    """Tell of which steps nothing is taken from any token."""
    flags: Flags = ((n == 0) | ((taken.low == 0) & (taken.high == 0))).all(axis=1)
    return flags


def _taken(ratios: _Ratios, config: CorrectionConfig) -> tuple[Span, Span, Span]:
    """Return what the bounds take from each token: from its weight, from what spread is of, and from the square of that."""
    bounds, low, high = config.bounds, ratios.low, ratios.high
    if config.rollout_is_mode == "mask":
        inside, outside = _stands(ratios, config)
        first = Span(np.where(outside, low, 0.0), np.where(inside, 0.0, high))
        return first, first, Span(first.low**2, first.high**2)
    above = Span(np.maximum(low - bounds.upper, 0), np.maximum(high - bounds.upper, 0))
    below = Span(np.minimum(low - bounds.lower, 0), np.minimum(high - bounds.lower, 0))
    squares = [
        np.maximum(end**2 - bounds.upper**2, 0) + np.minimum(end**2 - bounds.lower**2, 0)
        for end in (low, high)
    ]
    return above, Span(above.low + below.low, above.high + below.high), Span(*squares)


def _less(moment: Vector, taken: Span) -> Span:
    """Return a moment less what is taken from it, which may be nearly all of it."""
    rounding = OF_K3 * np.abs(moment)
    return Span(moment - taken.high - rounding, moment - taken.low + rounding)


def _or_anything(span: Span) -> Span:
    """Return a span that says nothing where moments are not recorded."""
    known = np.isfinite(span.low) & np.isfinite(span.high)
    return Span(np.where(known, span.low, -np.inf), np.where(known, span.high, np.inf))


def _both(one: Span, other: Span) -> Span:
    """Return what is within both; where the other one is a single number, that."""
    low, high = np.maximum(one.low, other.low), np.minimum(one.high, other.high)
    exact = other.low == other.high
    low, high = np.where(exact, other.low, low), np.where(exact, other.high, high)
    return Span(np.minimum(low, high), np.maximum(low, high))
