"""Veto: one catastrophic token removes its sequence.

Axes: B sequences, T response tokens.
"""

import math

import torch
from torch import Tensor


def catastrophic_tokens(
    training_logprobs: Tensor, rollout_logprobs: Tensor, valid_BT: Tensor, threshold: float | None
) -> Tensor:
    """Return which valid tokens have a ratio below the threshold, [B, T]; none without a threshold.

    A token that the training policy finds impossible (log-prob -inf) is catastrophic too, though no figure counts it.
    """
    if threshold is None:
        return torch.zeros_like(valid_BT)
    log_ratio = training_logprobs.detach().float() - rollout_logprobs.detach().float()
    return valid_BT & (log_ratio < math.log(threshold))
