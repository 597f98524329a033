"""Mean and effective sample size of weights of which each is known, or lies within known bounds.

Axes: S steps, G groups of tokens (rows of a table, or bins of a histogram).
"""

from dataclasses import dataclass

import numpy as np

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_server.whatif.bounds import (
    HIGHEST_RATIO,
    LOWEST_RATIO,
    Span,
    ratio_of,
    ratio_verdict,
)
from rolloutwatch_server.whatif.recorded import Recorded, Vector

ROUNDING = (
    1e-5  # relative; weights of float32 may be off by half of it, of log ratios that float32 has rounded too
)


@dataclass(frozen=True)
class Groups:
    """Tokens whose weights lie between two known ones, and what spread is of, which is held within both bounds.

    Attributes:
        n: [S, G], how many tokens.
        value: [S, G], their weights.
        held: [S, G], the same as the effective sample size sees it.
    """

    n: Vector
    value: Span
    held: Span


def weights_of_sequences(recorded: Recorded, config: CorrectionConfig) -> Groups:
    """Return the weights of whole sequences: those that have a row are known, the others lie within the bounds."""
    rows, bounds = recorded.rows, config.bounds
    log_ratio = rows.mean if config.rollout_is == "geometric" else rows.total
    ratio = ratio_of(log_ratio)
    n = np.hstack([rows.length, recorded.missing_tokens[:, None]])
    highest = min(bounds.upper, HIGHEST_RATIO)
    if config.rollout_is_mode == "mask":
        verdict = ratio_verdict(log_ratio, rows.filled, bounds)
        low = _with_a_column(np.where(verdict.out | verdict.doubt, 0.0, ratio), 0.0)
        value = Span(low, _with_a_column(np.where(verdict.out, 0.0, ratio), highest))
        return Groups(n, value, value)
    cut, held = np.minimum(ratio, bounds.upper), np.clip(ratio, bounds.lower, bounds.upper)
    return Groups(
        n,
        Span(_with_a_column(cut, LOWEST_RATIO), _with_a_column(cut, highest)),
        Span(_with_a_column(held, bounds.lower), _with_a_column(held, bounds.upper)),
    )


def _with_a_column(rows: Vector, value: float) -> Vector:
    return np.hstack([rows, np.full((len(rows), 1), value)])


def mean_of(groups: Groups, tokens: Vector) -> Span:
    """Return the mean weight over tokens, [S] each."""
    low = (groups.n * groups.value.low).sum(axis=1) / tokens
    high = (groups.n * groups.value.high).sum(axis=1) / tokens
    return Span(low, high)


def eff_sample_size_of(groups: Groups, tokens: Vector) -> Span:
    """Return (mean of weights)^2 / mean of their squares, [S] each, 0 where all are 0."""
    n, low, high = groups.n, *groups.held
    exact = ((low == high) | (n == 0)).all(axis=1)
    span = Span(np.zeros(len(n)), np.ones(len(n)))
    if exact.any():
        value = _ess(
            (n[exact] * low[exact]).sum(axis=1), (n[exact] * low[exact] ** 2).sum(axis=1), tokens[exact]
        )
        span.low[exact] = span.high[exact] = value
    if (vague := ~exact).any():
        n, low, high, tokens = n[vague], low[vague], high[vague], tokens[vague]
        span.low[vague] = _lowest(n, low, high, tokens) * (1 - ROUNDING)
        span.high[vague] = np.minimum(_highest(n, low, high, tokens) * (1 + ROUNDING), 1.0)
    return span


def _ess(total: Vector, squares: Vector, tokens: Vector) -> Vector:
    there = squares > 0
    return np.where(there, total * total / (tokens * np.where(there, squares, 1.0)), 0.0)


def _highest(n: Vector, low: Vector, high: Vector, tokens: Vector) -> Vector:
    """Return the highest effective sample size: every weight as near as it can be to one number.

    That number is the ratio of the second moment to the first; the sum below falls with it, and is 0 there.
    """
    below, above = np.zeros(len(n)), high.max(axis=1)
    for _ in range(60):
        middle = (below + above) / 2
        weight = np.clip(middle[:, None], low, high)
        falls_short = (n * weight * (weight - middle[:, None])).sum(axis=1) > 0
        below, above = np.where(falls_short, middle, below), np.where(falls_short, above, middle)
    weight = np.clip(above[:, None], low, high)
    return _ess((n * weight).sum(axis=1), (n * weight * weight).sum(axis=1), tokens)


def _lowest(n: Vector, low: Vector, high: Vector, tokens: Vector) -> Vector:
    """Return a bound of the lowest effective sample size: every weight at one of its ends.

    For a given sum the squares are largest where those groups are at their upper end of which both ends are highest.
    So groups are raised in this order, one after the other; within the one that is raised a part of it may be.
    """
    order = np.argsort(-(low + high), axis=1, kind="stable")
    n, low, high = (np.take_along_axis(each, order, axis=1) for each in (n, low, high))
    rise, rise_of_squares = n * (high - low), n * (high * high - low * low)
    nothing = np.zeros((len(n), 1))
    total = (n * low).sum(axis=1, keepdims=True) + np.cumsum(np.hstack([nothing, rise]), axis=1)
    squares = (n * low * low).sum(axis=1, keepdims=True) + np.cumsum(
        np.hstack([nothing, rise_of_squares]), axis=1
    )
    # of (p + q f)^2 / (r + s f) the least is where f is p / q - 2 r / s, or at an end
    p, r = total[:, :-1], squares[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.nan_to_num(np.clip(p / rise - 2 * r / rise_of_squares, 0, 1))
    within = _ess(p + rise * part, r + rise_of_squares * part, tokens[:, None])
    at_ends = _ess(total, squares, tokens[:, None])
    lowest: Vector = np.minimum(within.min(axis=1), at_ends.min(axis=1))
    return lowest
