"""Importance weights: what multiplies the loss so that samples of the rollout policy stand for the training policy.

Axes: B sequences, T response tokens.
"""

from collections.abc import Callable

from torch import Tensor

from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND, Batch


def token_level(batch: Batch) -> Tensor:
    """Return each token's own log ratio, [B, T]."""
    return batch.log_ratio_BT


def sequence_level(batch: Batch) -> Tensor:
    """Return the log ratio of each whole sequence, the sum over its tokens, [B, 1]."""
    return batch.log_ratio_BT.double().sum(dim=1, keepdim=True).to(batch.log_ratio_BT.dtype)


LEVELS: dict[str, Callable[[Batch], Tensor]] = {"token": token_level, "sequence": sequence_level}


def ratios_at_level(batch: Batch, level: str) -> Tensor:
    """Return the ratios before truncation, 0 where no token counts, [B, T].

    The clamp acts on the aggregate, so that opposite extremes within a sequence still cancel.
    """
    log_ratio = LEVELS[level](batch).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    return log_ratio.exp() * batch.counted_BT


def truncate(ratio_BT: Tensor, config: CorrectionConfig) -> Tensor:
    """Return weights: ratios cut off at the upper threshold (Ionides 2008, truncated importance sampling)."""
    return ratio_BT.clamp(max=config.rollout_is_threshold)
