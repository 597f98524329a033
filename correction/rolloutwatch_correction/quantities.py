"""What is held against bounds: weights, ratios and divergences, of each token or of each sequence.

Axes: B sequences. "Of tokens" and flags as in `ratios`; a quantity of sequences is [B].
Of tokens that do not count nothing is promised; whoever adds them up leaves them out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.values import Bounds, Rejection
from rolloutwatch_correction.exponential import exponential
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND, Batch, Ratios, above, below, ratios_of

Sums = dict[str, Tensor]

SMALL_BOUND = 0.01  # a ratio held above it is told by its distance from 1


class Interval(NamedTuple):
    """Bounds of anything, which belong to it."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Quantity:
    """A figure and how it stands to its bounds.

    Attributes:
        value: What is used.
        off_ideal: `value` less what it is where the policies agree (1 for ratios), to full precision near 0.
        held: What spread and effective sample size are of: `value` held within the bounds.
        held_off_ideal: The same for `held`.
        raw: What is compared with the bounds.
        high: Flags `raw` above the upper bound.
        low: Flags `raw` below the lower bound.
        may_vanish: Whether `held` can be so near 0 that its moments about 1 do not tell it.
    """

    value: Tensor
    off_ideal: Tensor
    held: Tensor
    held_off_ideal: Tensor
    raw: Tensor
    high: Tensor
    low: Tensor
    may_vanish: bool

    @property
    def inside(self) -> Tensor:
        """Flag what is within the bounds, which belong to them."""
        return 1 - self.high - self.low


def ratio_within(ratios: Ratios, bounds: Bounds) -> Quantity:
    """Return an untouched ratio and its bounds."""
    ratio, off_one = ratios.ratio, ratios.off_one
    return Quantity(
        value=ratio,
        off_ideal=off_one,
        held=ratio.clamp(bounds.lower, bounds.upper),
        held_off_ideal=off_one.clamp(bounds.lower - 1, bounds.upper - 1),
        raw=ratio,
        high=above(ratio, bounds.upper),
        low=below(ratio, bounds.lower),
        may_vanish=bounds.lower < SMALL_BOUND,
    )


def truncated(ratio: Quantity, bounds: Bounds) -> Quantity:
    """Return weights cut off at the upper bound (Ionides 2008, truncated importance sampling)."""
    return replace(
        ratio,
        value=ratio.raw.clamp(max=bounds.upper),
        off_ideal=ratio.off_ideal.clamp(max=bounds.upper - 1),
    )


def masked(ratio: Quantity, bounds: Bounds) -> Quantity:
    """Return weights that are 0 outside the bounds (IcePop; Ling team 2025, "Every Step Evolves")."""
    inside = ratio.inside
    value = ratio.raw * inside
    off_one = ratio.off_ideal * inside - (1 - inside)
    return replace(ratio, value=value, off_ideal=off_one, held=value, held_off_ideal=off_one, may_vanish=True)


def divergence_within(value: Tensor, bounds: Interval) -> Quantity:
    """Return k1, k2 or k3 and its own bounds; it is 0 where the policies agree."""
    held = value.clamp(bounds.lower, bounds.upper)
    high, low = above(value, bounds.upper), below(value, bounds.lower)
    return Quantity(value, value, held, held, value, high, low, may_vanish=False)


MODES: Mapping[str, Callable[[Quantity, Bounds], Quantity]] = {"truncate": truncated, "mask": masked}


def weight_of(ratio: Quantity, config: CorrectionConfig) -> Quantity:
    """Return the importance weights that ratios within the bounds of `rollout_is` give."""
    return MODES[config.rollout_is_mode or "truncate"](ratio, config.bounds)


def token_quantities(batch: Batch, config: CorrectionConfig) -> tuple[Quantity | None, dict[str, Quantity]]:
    """Return the weights of tokens, None if they are of sequences, and what each rejection of tokens looks at."""
    ratio = ratio_within(batch.ratios, config.bounds) if config.rollout_is == "token" else None
    compared = {}
    for rejection in config.rejections:
        if rejection.level != "token":
            continue
        if rejection.statistic != "ratio":
            compared[rejection.name] = divergence_within(divergence(rejection, batch), own_bounds(rejection))
        elif ratio is not None and rejection.bounds == config.bounds:
            compared[rejection.name] = ratio  # the same within the same bounds, and added up once
        else:
            compared[rejection.name] = ratio_within(batch.ratios, rejection.bounds)
    return None if ratio is None else weight_of(ratio, config), compared


def compared_sequences(rejection: Rejection, sums: Mapping[str, Tensor], dtype: torch.dtype) -> Quantity:
    """Return what a rejection of sequences looks at, given what `divergence_sums` has added up for it."""
    if rejection.statistic == "ratio":
        return ratio_within(sequence_ratios(rejection.level, sums, dtype), rejection.bounds)
    value = sums[f"{rejection.name}.divergence"]
    value = value / sums["tokens"].clamp(min=1) if rejection.level == "geometric" else value
    bounds = own_bounds(rejection)
    # compared in the precision of the ratios, as tokens are; what is added up stays as precise as it is
    compared = divergence_within(value.to(dtype), bounds)
    held = value.clamp(bounds.lower, bounds.upper)
    return replace(compared, value=value, off_ideal=value, raw=value, held=held, held_off_ideal=held)


def divergence_sums(rejection: Rejection, batch: Batch) -> Sums:
    """Return what `compared_sequences` needs beyond the sums that are always there, [B]."""
    if rejection.statistic == "ratio":
        return {}
    values = divergence(rejection, batch)
    if rejection.level == "seq_max":
        return {f"{rejection.name}.divergence": batch.layout.highest(values).clamp(min=0)}
    return {f"{rejection.name}.divergence": batch.layout.sum(values)}


def divergence(rejection: Rejection, batch: Batch) -> Tensor:
    """Return k1, k2 or k3 of each token, 0 where none counts; the clamp acts on the token, as in verl since v0.7.1."""
    return DIVERGENCES[rejection.statistic](batch.log_ratio.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND))


def own_bounds(rejection: Rejection) -> Interval:
    """Return the bounds of what is compared: those of k1 = -log(ratio) are the ratio's, in logs and swapped."""
    lower, upper = rejection.bounds.lower, rejection.bounds.upper
    if rejection.statistic == "k1":
        return Interval(-math.log(upper), -math.log(lower))
    return Interval(lower, upper)


def sequence_ratios(level: str, sums: Mapping[str, Tensor], dtype: torch.dtype) -> Ratios:
    """Return ratios of whole sequences, the sum of log ratios, or of their geometric mean, [B].

    The clamp acts on the aggregate, so that opposite extremes within a sequence still cancel.
    """
    total = sums["log_ratio"]
    log_ratio = total / sums["tokens"].clamp(min=1) if level == "geometric" else total
    return ratios_of(log_ratio.to(dtype))


# Schulman, "Approximating KL divergence" (2020)
DIVERGENCES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "k1": lambda log_ratio: -log_ratio,
    "k2": lambda log_ratio: log_ratio.square() / 2,
    "k3": lambda log_ratio: exponential(log_ratio).k3,
}
