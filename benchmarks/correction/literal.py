"""The correction as its formulas stand on paper: token weights, token rejection, veto, and all 43 metrics.

What one would write first: a line of PyTorch for each formula, and each metric a number as soon as it is known.
Nothing is slow on purpose. The formulas are those of the first version of verl that had them, quirks included:
fractions and extremes of the weights are taken after truncation, and an empty sequence counts with a mean of 0.

Axes: B sequences, T response tokens.
"""

import math

import torch
from torch import Tensor

LOG_RATIO_BOUND = 20.0
IS_UPPER = 2.0
RS_LOWER, RS_UPPER = 0.5, 2.0
VETO = 1e-4


@torch.no_grad()
def correct(
    training_BT: Tensor, rollout_BT: Tensor, mask_BT: Tensor
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Return weights, the mask after rejection and veto, and the metrics."""
    log_ratio = training_BT - rollout_BT
    ratio = torch.exp(torch.clamp(log_ratio, -LOG_RATIO_BOUND, LOG_RATIO_BOUND))
    weights = torch.clamp(ratio, max=IS_UPPER) * mask_BT
    keep = ((ratio >= RS_LOWER) & (ratio <= RS_UPPER)).float()
    catastrophic = (log_ratio < math.log(VETO)) & (mask_BT != 0)
    vetoed = catastrophic.any(dim=-1, keepdim=True)
    metrics = {
        **_ratio_metrics("rollout_is", weights, mask_BT, 1 / IS_UPPER, IS_UPPER),
        **_ratio_metrics("rollout_rs", ratio, mask_BT, RS_LOWER, RS_UPPER),
        **_rejection_metrics(keep, mask_BT),
        **_veto_metrics(catastrophic, vetoed, mask_BT),
        **_mismatch_metrics(training_BT, rollout_BT, mask_BT),
    }
    return weights, mask_BT * keep * (~vetoed).float(), metrics


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the sum over valid tokens, whatever stands outside the mask."""
    return (torch.where(mask != 0, values, 0.0) * mask).sum(dim)


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the mean over valid tokens."""
    return masked_sum(values, mask, dim) / (mask.sum(dim) + 1e-8)


def _ratio_metrics(name: str, q: Tensor, mask: Tensor, lower: float, upper: float) -> dict[str, float]:
    """Return the fourteen figures of weights, or of the ratios that rejection looks at."""
    valid = mask != 0
    bounded = torch.clamp(q, lower, upper)
    variance = masked_mean(bounded.square(), mask) - masked_mean(bounded, mask).square()
    normalized = bounded / (masked_mean(bounded, mask) + 1e-8)
    row_mean = masked_mean(q, mask, dim=-1)
    return {
        f"{name}_mean": masked_mean(q, mask).item(),
        f"{name}_max": q.masked_fill(~valid, -math.inf).max().item(),
        f"{name}_min": q.masked_fill(~valid, math.inf).min().item(),
        f"{name}_std": torch.sqrt(torch.clamp(variance, min=0)).item(),
        f"{name}_eff_sample_size": 1 / masked_mean(normalized.square(), mask).item(),
        f"{name}_ratio_fraction_high": masked_mean((q > upper).float(), mask).item(),
        f"{name}_ratio_fraction_low": masked_mean((q < lower).float(), mask).item(),
        f"{name}_seq_mean": row_mean.mean().item(),
        f"{name}_seq_std": row_mean.std().item(),
        f"{name}_seq_max": row_mean.max().item(),
        f"{name}_seq_min": row_mean.min().item(),
        f"{name}_seq_max_deviation": (row_mean - 1).abs().max().item(),
        f"{name}_seq_fraction_high": (row_mean > upper).float().mean().item(),
        f"{name}_seq_fraction_low": (row_mean < lower).float().mean().item(),
    }


def _rejection_metrics(keep: Tensor, mask: Tensor) -> dict[str, float]:
    """Return what rejection removed, before veto."""
    loses_one = ((1 - keep) * mask).sum(dim=-1) > 0
    return {
        "rollout_rs_masked_fraction": masked_mean(1 - keep, mask).item(),
        "rollout_rs_seq_masked_fraction": loses_one.float().mean().item(),
    }


def _veto_metrics(catastrophic: Tensor, vetoed: Tensor, mask: Tensor) -> dict[str, float]:
    """Return what veto found and removed."""
    return {
        "rollout_is_veto_fraction": vetoed.float().mean().item(),
        "rollout_is_catastrophic_token_fraction": masked_mean(catastrophic.float(), mask).item(),
    }


def _mismatch_metrics(training: Tensor, rollout: Tensor, mask: Tensor) -> dict[str, float]:
    """Return perplexities and divergences."""
    log_ratio = training - rollout
    training_mean = masked_mean(training, mask, dim=-1)
    rollout_mean = masked_mean(rollout, mask, dim=-1)
    difference = rollout_mean - training_mean
    return {
        "mismatch_training_ppl": torch.exp(-training_mean).mean().item(),
        "mismatch_training_log_ppl": (-training_mean).mean().item(),
        "mismatch_rollout_ppl": torch.exp(-rollout_mean).mean().item(),
        "mismatch_rollout_log_ppl": (-rollout_mean).mean().item(),
        "mismatch_kl": masked_mean(rollout - training, mask).item(),
        "mismatch_k3_kl": masked_mean(torch.exp(log_ratio) - log_ratio - 1, mask).item(),
        "mismatch_log_ppl_diff": difference.mean().item(),
        "mismatch_log_ppl_abs_diff": difference.abs().mean().item(),
        "mismatch_log_ppl_diff_max": difference.max().item(),
        "mismatch_log_ppl_diff_min": difference.min().item(),
        "mismatch_ppl_ratio": torch.exp(difference).mean().item(),
    }
