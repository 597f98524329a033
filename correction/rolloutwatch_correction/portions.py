"""From tokens to weights, a mask, and sums of sequences, a few rows of the batch at a time.

Axes: B sequences, T response tokens; N tokens of all sequences, packed. "Of tokens" is [B, T] or [N].
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.histogram import histogram
from rolloutwatch_correction.inputs import Inputs
from rolloutwatch_correction.layouts import Padded
from rolloutwatch_correction.quantities import (
    Quantity,
    Sums,
    divergence_sums,
    ratio_within,
    sequence_ratios,
    token_quantities,
    weight_of,
)
from rolloutwatch_correction.ratios import Batch, batch_of
from rolloutwatch_correction.removal import catastrophic, kept_of, masked_out
from rolloutwatch_correction.statistics import WEIGHT
from rolloutwatch_correction.sums import Adder, entropy_sums, extremes_of_tokens, token_sums

# How many tokens are looked at together: on a CPU what fits its cache with everything made of it on the way,
# elsewhere so many that starting kernels does not count, and that what is made on the way does not fill the memory.
TOKENS_AT_ONCE = {"cpu": 2**16}
TOKENS_AT_ONCE_ELSEWHERE = 2**23


@dataclass(frozen=True)
class Corrected:
    """Weights and mask of tokens, sums of sequences, and the histogram, of a batch or of a portion of it."""

    weights: Tensor | None
    response_mask: Tensor
    sums: Sums
    histogram: Tensor


def corrected(inputs: Inputs, config: CorrectionConfig) -> Corrected:
    """Correct a few rows after the other, so that what is made on the way stays small."""
    rows = _rows_at_once(inputs)
    if rows >= inputs.sequences:
        return _portion_corrected(inputs, config)
    masks = inputs.response_mask if _keeps_all(config) else torch.empty_like(inputs.response_mask)
    weights, parts = None, []
    for at in _portions(inputs.sequences, rows):
        part = _portion_corrected(_portion(inputs, at), config)
        parts.append(part)
        if part.weights is not None:
            weights = part.weights.new_empty(inputs.response_mask.shape) if weights is None else weights
            weights[at] = part.weights
        if masks is not inputs.response_mask:
            masks[at] = part.response_mask
    sums = {name: torch.cat([part.sums[name] for part in parts]) for name in parts[0].sums}
    return Corrected(weights, masks, sums, torch.stack([part.histogram for part in parts]).sum(dim=0))


def _portion_corrected(inputs: Inputs, config: CorrectionConfig) -> Corrected:
    batch = batch_of(inputs.layout, inputs.training_logprobs, inputs.rollout_logprobs, inputs.response_mask)
    sums = token_sums(batch) | entropy_sums(batch, inputs.training_entropy)
    weight, compared = token_quantities(batch, config)
    sums |= _quantity_sums(batch, sums, weight, compared, config)
    if config.rollout_is in ("sequence", "geometric"):
        ratios = sequence_ratios(config.rollout_is, sums, batch.counted.dtype)
        weight = weight_of(ratio_within(ratios, config.bounds), config)
    if config.rollout_token_veto_threshold is not None:
        flags = catastrophic(batch, config.rollout_token_veto_threshold)
        sums["catastrophic_tokens"] = batch.layout.count(flags)
    kept = kept_of(batch, compared, sums, config)
    if len(compared) > 1:  # what one alone keeps is known
        sums["kept_tokens"] = batch.layout.count(kept.tokens)
    if weight is not None and weights_mask_tokens(config):
        outside = (1 - weight.inside) * batch.counted
        sums["tokens_in_loss"] = batch.layout.count(kept.tokens * (1 - outside))
    mask = inputs.response_mask
    return Corrected(
        weights=None if weight is None else _at_tokens(weight, batch, config),
        response_mask=mask if _keeps_all(config) else masked_out(mask, kept.at_tokens(batch)),
        sums=sums,
        histogram=_histogram(batch, sums),
    )


def _quantity_sums(
    batch: Batch, sums: Sums, weight: Quantity | None, compared: dict[str, Quantity], config: CorrectionConfig
) -> Sums:
    """Return the sums of quantities of tokens, and what those of sequences need."""
    adder = Adder(batch, sums)
    added: Sums = {}
    if weight is not None:
        added |= adder.sums_of(WEIGHT, weight)
        if weights_mask_tokens(config):
            added |= extremes_of_tokens(WEIGHT, weight, batch)
    for rejection in config.rejections:
        if rejection.level != "token":
            added |= divergence_sums(rejection, batch)
            continue
        quantity = compared[rejection.name]
        added |= adder.sums_of(rejection.name, quantity)
        if rejection.statistic != "ratio":
            added |= extremes_of_tokens(rejection.name, quantity, batch)
    return added


def weights_mask_tokens(config: CorrectionConfig) -> bool:
    """Tell whether weights are 0 where a token's ratio is out of bounds."""
    return config.rollout_is == "token" and config.rollout_is_mode == "mask"


def _at_tokens(weight: Quantity, batch: Batch, config: CorrectionConfig) -> Tensor:
    value = weight.value if config.rollout_is == "token" else batch.layout.spread(weight.value)
    return value * batch.counted


def _histogram(batch: Batch, sums: Sums) -> Tensor:
    """Count the tokens that count; the others have a log ratio of 0 and are taken out of its bin."""
    counts = histogram(batch.log_ratio)
    others = batch.log_ratio.numel() - sums["tokens"].double().sum()
    middle = counts.shape[0] // 2
    return torch.cat([counts[:middle], counts[middle : middle + 1] - others, counts[middle + 1 :]])


def _keeps_all(config: CorrectionConfig) -> bool:
    return len(config.rejections) == 0 and config.rollout_token_veto_threshold is None


def _rows_at_once(inputs: Inputs) -> int:
    """Return how many rows are looked at together: all where they are fused, or where a row is not a row."""
    if torch.compiler.is_compiling() or not isinstance(inputs.layout, Padded):
        return inputs.sequences
    tokens = TOKENS_AT_ONCE.get(inputs.response_mask.device.type, TOKENS_AT_ONCE_ELSEWHERE)
    return max(1, tokens // max(1, inputs.response_mask.shape[1]))


def _portions(sequences: int, rows: int) -> Iterator[slice]:
    return (slice(start, start + rows) for start in range(0, sequences, rows))


def _portion(inputs: Inputs, at: slice) -> Inputs:
    entropy = inputs.training_entropy
    return dataclasses.replace(
        inputs,
        training_logprobs=inputs.training_logprobs[at],
        rollout_logprobs=inputs.rollout_logprobs[at],
        response_mask=inputs.response_mask[at],
        training_entropy=entropy if entropy is None or entropy.ndim == 0 else entropy[at],
        sequences=inputs.training_logprobs[at].shape[0],
    )
