"""From tokens to weights, a mask, and sums of sequences, a few rows of the batch at a time.

Axes: B sequences, T response tokens; N tokens of all sequences, packed. "Of tokens" is [B, T] or [N].
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.histogram import bins_of, histogram
from rolloutwatch_correction.layouts import Layout, Padded
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
class Tokens:
    """What is looked at together, of tokens each, in one layout."""

    layout: Layout
    training_logprobs: Tensor
    rollout_logprobs: Tensor
    response_mask: Tensor
    training_entropy: Tensor | None

    def rows(self, at: slice, layout: Padded) -> "Tokens":
        """Return some of the rows of padded tokens."""
        entropy = self.training_entropy
        return Tokens(
            layout,
            self.training_logprobs[at],
            self.rollout_logprobs[at],
            self.response_mask[at],
            entropy if entropy is None or entropy.ndim == 0 else entropy[at],
        )


@dataclass(frozen=True)
class Pass:
    """What one pass over tokens gives: weights, mask and bins of the histogram for tokens, and sums of sequences."""

    weights: Tensor | None
    response_mask: Tensor
    bins: Tensor
    sums: Sums


@dataclass(frozen=True)
class Corrected:
    """Weights and mask of tokens, sums of sequences, and the histogram of a batch."""

    weights: Tensor | None
    response_mask: Tensor
    sums: Sums
    histogram: Tensor


def corrected(
    tokens: Tokens, config: CorrectionConfig, one_pass: Callable[[Tokens, CorrectionConfig], Pass] | None
) -> Corrected:
    """Correct a batch in one pass, where one is given that fuses all it does; else a few rows after the other.

    What is made on the way stays small then, and on a CPU in its cache.
    """
    mask = tokens.response_mask
    rows = None if one_pass is not None else _rows_at_once(tokens)
    if rows is None:
        whole = (one_pass or pass_over)(tokens, config)
        return Corrected(whole.weights, whole.response_mask, whole.sums, _histogram(whole))
    masks = mask if keeps_all(config) else torch.empty_like(mask)
    weights, sums, histograms = None, [], []
    layout = Padded(torch.empty(rows * mask.shape[1], dtype=torch.float64, device=mask.device))
    for start in range(0, mask.shape[0], rows):
        at = slice(start, start + rows)
        part = pass_over(tokens.rows(at, layout), config, None if masks is mask else masks[at])
        if part.weights is not None:
            weights = part.weights.new_empty(mask.shape) if weights is None else weights
            weights[at] = part.weights
        sums.append(part.sums)
        histograms.append(_histogram(part))
    joined = {name: torch.cat([each[name] for each in sums]) for name in sums[0]}
    return Corrected(weights, masks, joined, torch.stack(histograms).sum(dim=0))


def pass_over(tokens: Tokens, config: CorrectionConfig, masked: Tensor | None = None) -> Pass:
    """Correct tokens that are looked at together; `masked` is where the mask is to be written, None to make one."""
    mask = tokens.response_mask
    masked = torch.empty_like(mask) if masked is None and not keeps_all(config) else masked
    batch = batch_of(tokens.layout, tokens.training_logprobs, tokens.rollout_logprobs, mask)
    sums = token_sums(batch) | entropy_sums(batch, tokens.training_entropy)
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
    return Pass(
        weights=None if weight is None else _at_tokens(weight, batch, config),
        response_mask=mask if masked is None else masked_out(mask, kept.at_tokens(batch), masked),
        bins=bins_of(batch.log_ratio),
        sums=sums,
    )


def keeps_all(config: CorrectionConfig) -> bool:
    """Tell whether nothing can be taken out of the response mask."""
    return len(config.rejections) == 0 and config.rollout_token_veto_threshold is None


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


def _histogram(part: Pass) -> Tensor:
    return histogram(part.bins, part.sums["tokens"].double().sum())


def _rows_at_once(tokens: Tokens) -> int | None:
    """Return how many rows are looked at together; None for all where they are fused, or where a row is not a row."""
    mask = tokens.response_mask
    if torch.compiler.is_compiling() or not isinstance(tokens.layout, Padded) or mask.shape[0] == 0:
        return None
    at_once = TOKENS_AT_ONCE.get(mask.device.type, TOKENS_AT_ONCE_ELSEWHERE)
    return min(mask.shape[0], max(1, at_once // max(1, mask.shape[1])))
