"""What follows for each sequence from the sums over its tokens; from here on everything is float64 [B].

Axes: B sequences.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.quantities import (
    Quantity,
    Sums,
    compared_sequences,
    ratio_within,
    sequence_ratios,
    weight_of,
)
from rolloutwatch_correction.ratios import ratios_of
from rolloutwatch_correction.removal import removal_sums
from rolloutwatch_correction.statistics import WEIGHT
from rolloutwatch_correction.sums import sums_of_sequences


def completed(sums: Mapping[str, Tensor], config: CorrectionConfig, dtype: torch.dtype) -> Sums:
    """Add what quantities of sequences amount to, the extremes of ratios, and what is taken out of the loss.

    Args:
        sums: What was added up over tokens.
        config: What was asked for.
        dtype: The precision of the ratios, in which they are compared with bounds.
    """
    done = {name: value.double() for name, value in sums.items()}
    nothing = torch.zeros_like(done["tokens"])
    for name in ("entropy", "entropy_tokens", "catastrophic_tokens"):
        done.setdefault(name, nothing)
    done |= _ratio_extremes(done, config, dtype) | _implied(done, config)
    weight = None
    if config.rollout_is in ("sequence", "geometric"):
        ratios = sequence_ratios(config.rollout_is, done, dtype)
        weight = weight_of(ratio_within(ratios, config.bounds), config)
        done |= sums_of_sequences(WEIGHT, weight, done["tokens"])
    compared: dict[str, Quantity | None] = {}
    for rejection in config.rejections:
        of_tokens = rejection.level == "token"
        quantity = None if of_tokens else compared_sequences(rejection, done, dtype)
        compared[rejection.name] = quantity
        if quantity is not None:
            done |= sums_of_sequences(rejection.name, quantity, done["tokens"])
    return done | removal_sums(done, weight, compared, config)


def _implied(sums: Mapping[str, Tensor], config: CorrectionConfig) -> Sums:
    """Return sums that were not taken over tokens because others tell them."""
    implied: Sums = {}
    tokens = sums["tokens"]
    for name in [WEIGHT, *(r.name for r in config.rejections)]:
        if f"{name}.held_off_ideal" in sums and f"{name}.held" not in sums:
            off_one, squared = sums[f"{name}.held_off_ideal"], sums[f"{name}.held_off_ideal_squared"]
            implied[f"{name}.held"] = tokens + off_one
            implied[f"{name}.held_squared"] = tokens + 2 * off_one + squared
    if "kept_tokens" not in sums:
        kept = tokens if len(config.rejections) else sums["valid_tokens"]
        for rejection in config.rejections:
            if rejection.level == "token":
                kept = kept - sums[f"{rejection.name}.high"] - sums[f"{rejection.name}.low"]
        implied["kept_tokens"] = kept
    return implied


def _ratio_extremes(sums: Mapping[str, Tensor], config: CorrectionConfig, dtype: torch.dtype) -> Sums:
    """Return the extremes of ratios of tokens, and of weights that grow with them, from those of the log ratio."""
    highest = ratios_of(sums["highest"].to(dtype))
    lowest = ratios_of(-sums["minus_lowest"].to(dtype))
    extremes: Sums = {}
    if config.rollout_is == "token" and config.rollout_is_mode != "mask":
        weights = [weight_of(ratio_within(end, config.bounds), config).value for end in (highest, lowest)]
        extremes[f"{WEIGHT}.highest"] = weights[0].double()
        extremes[f"{WEIGHT}.minus_lowest"] = -weights[1].double()
    for rejection in config.rejections:
        if rejection.level == "token" and rejection.statistic == "ratio":
            extremes[f"{rejection.name}.highest"] = highest.ratio.double()
            extremes[f"{rejection.name}.minus_lowest"] = -lowest.ratio.double()
    return extremes
