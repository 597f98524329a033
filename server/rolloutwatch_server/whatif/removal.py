"""How many tokens and sequences rejection, veto and weights of 0 would have taken out of the loss.

Axes: S steps, R rows, H bins.
"""

import math
from dataclasses import dataclass

import numpy as np

from rolloutwatch_server.whatif.bounds import (
    BINS,
    OF_K3,
    SINGLE,
    Interval,
    Span,
    Verdict,
    token_slack,
)
from rolloutwatch_server.whatif.recorded import Flags, Recorded, Rows, Vector


@dataclass(frozen=True)
class Removal:
    """One way to take out: rows as a whole, and tokens outside an interval.

    Attributes:
        rows: Which sequences go as a whole.
        tokens: The log ratios of tokens that stay.
        rejects: Whether tokens that are not finite go too, and sequences of which a token goes as a whole with them.
        takes_rows: Whether sequences can go as a whole, also those that have no row.
        by_veto: Whether a sequence may go for a token that is not finite.
    """

    rows: Verdict
    tokens: Interval
    rejects: bool
    takes_rows: bool
    by_veto: bool


def vetoed(rows: Rows, threshold: float) -> Verdict:
    """Return which sequences have a token whose ratio is below the threshold.

    The correction compares differences of float32, which may be off from those of float64 by what log-probs have lost.
    """
    limit = math.log(threshold)
    largest = np.abs(rows.rollout) + np.maximum(np.abs(rows.lowest), np.abs(rows.highest))
    slack = SINGLE * largest + OF_K3
    out = (rows.lowest < limit - slack) & rows.filled
    return Verdict(out, (rows.lowest < limit + slack) & rows.filled & ~out)


def removed_tokens(recorded: Recorded, removal: Removal) -> Span:
    """Return how many valid tokens go, [S] each."""
    rows, n = recorded.rows, recorded.rows.length
    some = tokens_of_rows(rows, removal.tokens)
    all_of_them = tokens_outside(recorded, removal.tokens)
    out, maybe = removal.rows.out, removal.rows.out | removal.rows.doubt
    low = np.maximum(np.where(out, n, some.low).sum(axis=1), all_of_them.low)
    missing = recorded.missing_tokens if removal.takes_rows else 0.0
    high_by_rows = np.where(maybe, n, some.high).sum(axis=1) + recorded.missing_tokens
    # of tokens outside the interval those in rows that go are counted already
    elsewhere = np.maximum(all_of_them.high - np.where(maybe, some.low, 0).sum(axis=1), 0)
    high = np.where(maybe, n, 0).sum(axis=1) + missing + elsewhere
    if removal.tokens.is_open and not removal.takes_rows:
        high_by_rows = np.zeros_like(high)
    span = Span(low, np.minimum(np.minimum(high, high_by_rows), recorded.counted))
    return _with_nonfinite(recorded, removal, span)


def _with_nonfinite(recorded: Recorded, removal: Removal, span: Span) -> Span:
    """Add tokens that are not finite, whose sequences have no name.

    Rejection takes each of them out, and with it its sequence; so does a veto if it is -inf.
    """
    some = recorded.nonfinite > 0
    low = span.low + (recorded.nonfinite if removal.rejects else 0.0)
    high = span.high + (recorded.nonfinite if removal.rejects or removal.by_veto else 0.0)
    if removal.takes_rows and (removal.rejects or removal.by_veto):
        high = np.where(some, recorded.valid, high)
    return Span(low, np.minimum(high, recorded.valid))


def removed_sequences(recorded: Recorded, removal: Removal) -> Span:
    """Return from how many sequences at least one valid token goes, [S] each."""
    some = tokens_of_rows(recorded.rows, removal.tokens)
    filled = recorded.rows.filled
    certain = (removal.rows.out | (some.low > 0)) & filled
    possible = (removal.rows.out | removal.rows.doubt | (some.high > 0)) & filled
    low, high = certain.sum(axis=1).astype(np.float64), possible.sum(axis=1).astype(np.float64)
    if removal.takes_rows or not removal.tokens.is_open:
        high = high + np.minimum(recorded.missing_rows, recorded.missing_tokens)
    if removal.rejects or removal.by_veto:
        # of those that have no other token each one has some that is not finite
        empty = np.where(recorded.is_whole, recorded.valid_sequences - filled.sum(axis=1), 0.0)
        low = low + (np.maximum(empty, 0.0) if removal.rejects else 0.0)
        high = high + recorded.nonfinite
    return Span(low, np.minimum(high, recorded.valid_sequences))


def tokens_of_rows(rows: Rows, stay: Interval) -> Span:
    """Return how many tokens of each row are outside an interval, [S, R] each, as its two extremes tell."""
    nothing = np.zeros(rows.length.shape)
    if stay.is_open:
        return Span(nothing, nothing)
    below, above = token_slack(stay.lower), token_slack(stay.upper)
    n = rows.length
    outside = ((rows.lowest < stay.lower - below) & rows.filled) * 1.0
    outside += (rows.highest > stay.upper + above) & rows.filled
    all_outside = (rows.highest < stay.lower - below) | (rows.lowest > stay.upper + above)
    inside = (rows.lowest >= stay.lower + below) | (rows.lowest == stay.lower)
    inside_above = (rows.highest <= stay.upper - above) | (rows.highest == stay.upper)
    kept = _within(rows.lowest, stay, below, above) | _within(rows.highest, stay, below, above)
    high = np.where(inside & inside_above, 0.0, np.where(kept, np.maximum(n - 1, 0), n))
    return Span(np.where(all_outside, n, np.minimum(outside, n)), np.where(rows.filled, high, 0.0))


def _within(end: Vector, stay: Interval, below: float, above: float) -> Flags:
    return (end >= stay.lower + below) & (end <= stay.upper - above)


def tokens_outside(recorded: Recorded, stay: Interval) -> Span:
    """Return how many finite tokens of each step are outside an interval, [S] each, as the histogram tells."""
    if stay.is_open:
        nothing = np.zeros(len(recorded.step))
        return Span(nothing, nothing)
    # bins are those of float32
    lower, upper = token_slack(stay.lower), token_slack(stay.upper)
    outside = (BINS.high < stay.lower - lower) | (BINS.low > stay.upper + upper)
    inside = (BINS.low >= stay.lower + lower) & (BINS.high <= stay.upper - upper)
    low, high = recorded.histogram @ outside, recorded.histogram @ ~inside
    return Span(
        np.where(recorded.has_histogram, low, 0.0), np.where(recorded.has_histogram, high, recorded.counted)
    )
