"""What is added up over the tokens of each sequence: everything after this works on [B] numbers, not on tokens.

Metrics, the per-sequence table and figures of groups are all derived from these sums,
so that a figure and the rows it is made of cannot disagree, and tokens are read once.

Axes: B sequences. All sums are [B].
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rolloutwatch_correction.exponential import copy, probability
from rolloutwatch_correction.layouts import PLACES
from rolloutwatch_correction.quantities import Quantity, Sums
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND, Batch, above, below, where_counted

BLOCK_SUMS = (
    "value", "off_ideal", "raw", "held", "held_squared", "held_off_ideal", "held_off_ideal_squared", "high", "low",
)  # fmt: skip


def token_sums(batch: Batch) -> Sums:
    """Return sums and extremes of the log ratio and what follows from it, and how many tokens there are."""
    layout, counted, log_ratio = batch.layout, batch.counted, batch.log_ratio
    size, ratio = log_ratio.abs(), batch.ratios.ratio * counted
    not_counted = lowest_where_not(counted)
    highest, highest_at = layout.first_highest(not_counted + log_ratio)
    lowest, lowest_at = layout.first_highest(not_counted - log_ratio)
    training = layout.sum(batch.training_logprobs)
    rollout, rollout_squared = layout.moments(batch.rollout_logprobs)
    off_one, off_one_squared = layout.moments(batch.ratios.off_one)
    return {
        "valid_tokens": layout.count(batch.valid),
        "tokens": layout.count(counted),
        "log_ratio": training - rollout,
        "log_ratio_abs": layout.sum(size),
        "highest": highest,
        "highest_at": highest_at,
        "minus_lowest": lowest,
        "lowest_at": lowest_at,
        "k3": layout.sum(batch.k3),
        "ratio": layout.total(ratio),
        "ratio_squared": layout.total(ratio * ratio),
        "ratio_off_one": off_one,
        "ratio_off_one_squared": off_one_squared,
        "saturated": layout.count(above(size, LOG_RATIO_BOUND)),
        "outside_2x": layout.count(above(size, math.log(2))),
        "zero_logprob": layout.count(batch.rollout_logprobs.clone().eq_(0).mul_(counted)),
        "training_logprob": training,
        "rollout_logprob": rollout,
        "rollout_logprob_squared": rollout_squared,
        # in float64, where two log-probs of any size have a product
        "logprob_product": layout.sum(layout.precise(batch.rollout_logprobs).mul_(log_ratio)),
        **_quarters(batch, size),
        **_probabilities(batch),
    }


def _quarters(batch: Batch, size: Tensor) -> Sums:
    """Return sums of |log ratio| over the first and the last quarter of each response, and how many tokens count there.

    A response reaches from its first valid token to its last one. All places are whole numbers, so that nothing is rounded.
    """
    layout = batch.layout
    place = layout.places(size)
    first = PLACES - layout.highest(batch.valid * (PLACES - place))
    last = layout.highest(batch.valid * place)
    quarter = (last + 1 - first) / 4
    # whole numbers held within 0 and 1, which is as cheap as to compare them
    begins, begins_tokens = _flagged(
        (layout.spread(first + quarter.ceil()) - place).clamp_(0, 1), batch, size
    )
    ends, ends_tokens = _flagged((place - layout.spread(last - quarter.floor())).clamp_(0, 1), batch, size)
    return {
        "log_ratio_abs_first": begins,
        "tokens_first": begins_tokens,
        "log_ratio_abs_last": ends,
        "tokens_last": ends_tokens,
    }


def _flagged(flags: Tensor, batch: Batch, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of what is flagged and how many tokens of it count; the flags are used up."""
    total = batch.layout.total(size * flags)
    return total, batch.layout.count(flags.mul_(batch.counted))


def _probabilities(batch: Batch) -> Sums:
    """Return moments of the rollout probability and of how much more the training probability is.

    The moments of the two probabilities themselves would cancel where the policies nearly agree.
    """
    rollout = probability(batch.rollout_logprobs, copy).mul_(batch.counted)
    prob, prob_squared = batch.layout.moments(rollout)
    more = probability(batch.training_logprobs, batch.layout.precise).mul_(batch.counted).sub_(rollout)
    return {
        "rollout_prob": prob,
        "rollout_prob_squared": prob_squared,
        "prob_difference": batch.layout.sum(more),
        "prob_product": batch.layout.sum(rollout.mul_(more)),
        "prob_difference_squared": batch.layout.sum(more.square_()),
    }


def entropy_sums(batch: Batch, entropy: Tensor | None) -> Sums:
    """Return the sum of the entropy and of how many tokens it is known; nothing without one."""
    if entropy is None:
        return {}
    known = below(entropy.abs(), math.inf) * batch.counted
    return {
        "entropy": batch.layout.sum(where_counted(entropy.to(known.dtype).expand_as(known), known)),
        "entropy_tokens": batch.layout.count(known),
    }


class Adder:
    """Adds up quantities over the tokens that count; what several quantities share is added up once."""

    def __init__(self, batch: Batch, sums: Sums) -> None:
        self._layout = batch.layout
        self._counted = batch.counted
        self._totals: _Done = [(batch.ratios.ratio, sums["ratio"])]
        self._sums: _Done = [(batch.ratios.off_one, sums["ratio_off_one"])]
        self._counts: _Done = []
        self._squares: _Done = []
        self._moments: _Done = []

    def sums_of(self, name: str, quantity: Quantity) -> Sums:
        """Return the sums of a quantity under names that begin with `name`."""
        layout = self._layout
        held_off_ideal, held_off_ideal_squared = self._once(
            self._moments, quantity.held_off_ideal, layout.moments
        )
        sums = {
            f"{name}.value": self._once(self._totals, quantity.value, layout.total),
            f"{name}.off_ideal": self._once(self._sums, quantity.off_ideal, layout.sum),
            f"{name}.raw": self._once(self._totals, quantity.raw, layout.total),
            f"{name}.held_off_ideal": held_off_ideal,
            f"{name}.held_off_ideal_squared": held_off_ideal_squared,
            f"{name}.high": self._once(self._counts, quantity.high, layout.count),
            f"{name}.low": self._once(self._counts, quantity.low, layout.count),
        }
        if quantity.may_vanish:
            sums[f"{name}.held"] = self._once(self._totals, quantity.held, layout.total)
            sums[f"{name}.held_squared"] = self._once(self._squares, quantity.held, self._total_of_squares)
        return sums

    def _once(self, done: "_Done", values: Tensor, add: Callable[[Tensor], Any]) -> Any:
        for tensor, result in done:
            if tensor is values:
                return result
        result = add(values * self._counted)
        done.append((values, result))
        return result

    def _total_of_squares(self, values: Tensor) -> Tensor:
        return self._layout.total(values * values)


_Done = list[tuple[Tensor, Any]]


def extremes_of_tokens(name: str, quantity: Quantity, batch: Batch) -> Sums:
    """Return the extremes of a quantity over the tokens that count."""
    not_counted = lowest_where_not(batch.counted)
    value = quantity.value * batch.counted
    return {
        f"{name}.highest": batch.layout.highest(not_counted + value),
        f"{name}.minus_lowest": batch.layout.highest(not_counted - value),
    }


def sums_of_sequences(name: str, quantity: Quantity, n_B: Tensor) -> Sums:
    """Return the same of a quantity of sequences, as often as there are tokens in each."""
    value, off_ideal, raw, held, held_off, high, low = (
        x.double()
        for x in (
            quantity.value, quantity.off_ideal, quantity.raw, quantity.held, quantity.held_off_ideal,
            quantity.high, quantity.low,
        )
    )  # fmt: skip
    return {
        f"{name}.value": value * n_B,
        f"{name}.off_ideal": off_ideal * n_B,
        f"{name}.raw": raw * n_B,
        f"{name}.held": held * n_B,
        f"{name}.held_squared": held * held * n_B,
        f"{name}.held_off_ideal": held_off * n_B,
        f"{name}.held_off_ideal_squared": held_off * held_off * n_B,
        f"{name}.high": high * n_B,
        f"{name}.low": low * n_B,
        f"{name}.highest": value,
        f"{name}.minus_lowest": -value,
    }


def lowest_where_not(counted: Tensor) -> Tensor:
    """Return 0 where tokens count and the lowest number where they do not: added to others it keeps them out of a maximum."""
    return (counted - 1).mul_(torch.finfo(counted.dtype).max)
