"""What is taken out of the loss: by rejection, by veto, and by weights of 0.

Axes: B sequences. "Of tokens" and flags as in `ratios`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.quantities import Quantity, Sums, compared_sequences
from rolloutwatch_correction.ratios import Batch, below


@dataclass(frozen=True)
class Kept:
    """What stays: flags of tokens and of whole sequences, both of which must be set."""

    tokens: Tensor
    sequences: Tensor

    def at_tokens(self, batch: Batch) -> Tensor:
        """Return flags of tokens alone."""
        return self.tokens * batch.layout.spread(self.sequences)


def kept_of(
    batch: Batch, of_tokens: Mapping[str, Quantity], sums: Mapping[str, Tensor], config: CorrectionConfig
) -> Kept:
    """Return what rejection and veto leave of valid tokens.

    A token that is not finite has no ratio that could be within bounds; nor has its sequence.

    Args:
        batch: The tokens.
        of_tokens: What rejections of tokens look at, by name.
        sums: The sums of sequences that have been taken so far, those of `catastrophic` with a veto.
        config: What was asked for.
    """
    dtype = batch.counted.dtype
    tokens = batch.counted if len(config.rejections) else batch.valid
    for quantity in of_tokens.values():
        tokens = tokens * quantity.inside
    sequences = torch.ones_like(sums["tokens"])
    for rejection in config.rejections:
        if rejection.level != "token":
            sequences = sequences * compared_sequences(rejection, sums, dtype).inside * whole(sums).to(dtype)
    if config.rollout_token_veto_threshold is not None:
        sequences = sequences * (sums["catastrophic_tokens"] == 0).to(dtype)
    return Kept(tokens, sequences)


def catastrophic(batch: Batch, threshold: float) -> Tensor:
    """Flag valid tokens whose ratio is below the threshold, each of which removes its sequence.

    A token that the training policy finds impossible (log-prob -inf) is one too, though figures of ratios leave it out.
    """
    return below(batch.difference, math.log(threshold)).to(batch.valid.dtype) * batch.valid


def whole(sums: Mapping[str, Tensor]) -> Tensor:
    """Return which sequences have nothing but finite tokens."""
    return sums["tokens"] == sums["valid_tokens"]


def removal_sums(
    sums: Mapping[str, Tensor],
    weight: Quantity | None,
    compared: Mapping[str, Quantity | None],
    config: CorrectionConfig,
) -> Sums:
    """Return how many tokens of each sequence rejection, veto and weights of 0 take out, float64 [B].

    Args:
        sums: The sums of sequences.
        weight: The weights, where they are of sequences.
        compared: What each rejection looks at, by name, None where that is of tokens.
        config: What was asked for.
    """
    valid, kept = sums["valid_tokens"], sums["kept_tokens"]
    in_loss = sums.get("tokens_in_loss", kept)
    removal: Sums = {}
    for name, quantity in compared.items():
        if quantity is None:
            left = sums["tokens"] - sums[f"{name}.high"] - sums[f"{name}.low"]
        else:
            stays = quantity.inside.double() * whole(sums)
            left, kept, in_loss = sums["tokens"] * stays, kept * stays, in_loss * stays
        removal[f"{name}.rejected"] = valid - left
    removal["rejected_tokens"] = valid - kept
    vetoed = (sums["catastrophic_tokens"] > 0).double()
    if weight is not None and config.rollout_is_mode == "mask":
        # a token that is not finite has no weight that could be out of bounds
        in_loss = in_loss - (1 - weight.inside.double()) * torch.minimum(in_loss, sums["tokens"])
    removal["vetoed_sequences"] = vetoed
    removal["removed_tokens"] = valid - in_loss * (1 - vetoed)
    return removal


def masked_out(response_mask: Tensor, kept: Tensor, out: Tensor) -> Tensor:
    """Write a mask of the dtype that came in, with its values where flags are set and 0 elsewhere, and return it."""
    if response_mask.is_floating_point():  # whose values may be no numbers
        return out.copy_(response_mask).masked_fill_(kept == 0, 0)
    out.copy_(kept)
    return out.logical_and_(response_mask) if response_mask.dtype == torch.bool else out.mul_(response_mask)
