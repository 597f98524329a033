"""The log ratio of the two policies, which of its tokens can be trusted, and what follows from it for each token.

Axes: B sequences, T response tokens. "Of tokens" is [B, T], or [N] where sequences are packed.
A flag is a float that is 0 or 1: arithmetic on it is several times faster on a CPU than `where` on booleans,
and the same on a GPU.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_correction.exponential import Exponential, exponential
from rolloutwatch_correction.layouts import Layout

# exp(20) is 5e8: a ratio beyond it tells nothing more, and float32 still holds its square
LOG_RATIO_BOUND = 20.0
HIGHEST_RATIO = math.exp(LOG_RATIO_BOUND)
LOWEST_RATIO = math.exp(-LOG_RATIO_BOUND)


@dataclass(frozen=True)
class Ratios:
    """Ratios of tokens or of sequences, held within exp(-20) and exp(20), and what remains of them less 1."""

    log_ratio: Tensor
    ratio: Tensor
    off_one: Tensor


@dataclass(frozen=True)
class Batch:
    """What everything else is computed from, of tokens each. Where `counted` is 0, log-probs and log ratio are 0, the ratio 1.

    `valid` flags the response mask; `counted` valid tokens whose log-probs, and their difference, are finite in float32.
    `difference` is the difference as it came, in float32, which may be no number.
    `k3` is not held within the bounds of a ratio.
    """

    layout: Layout
    valid: Tensor
    counted: Tensor
    difference: Tensor
    training_logprobs: Tensor
    rollout_logprobs: Tensor
    ratios: Ratios
    k3: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """Return the log ratio of tokens, not held within bounds."""
        return self.ratios.log_ratio


def batch_of(
    layout: Layout, training_logprobs: Tensor, rollout_logprobs: Tensor, response_mask: Tensor
) -> Batch:
    """Take the difference of the log-probs, in float32 or, where one of them has it, in float64.

    Nothing outside the mask is trusted: padding may hold -1, token ids, NaN or infinity.
    """
    precise = precision(training_logprobs, rollout_logprobs)
    training, rollout = training_logprobs.to(precise), rollout_logprobs.to(precise)
    valid = flags(response_mask, precise)
    # in float32, so that two finite extremes whose difference or sum is infinite are left out too
    difference = training.float() - rollout.float()
    counted = below(difference.abs(), math.inf).to(precise) * valid
    training, rollout = where_counted(training, counted), where_counted(rollout, counted)
    log_ratio = training - rollout
    exp = exponential(log_ratio)
    return Batch(layout, valid, counted, difference, training, rollout, _held(log_ratio, exp), exp.k3)


def ratios_of(log_ratio: Tensor) -> Ratios:
    """Return the ratios of finite log ratios, of float32 or float64."""
    return _held(log_ratio, exponential(log_ratio))


def _held(log_ratio: Tensor, exp: Exponential) -> Ratios:
    return Ratios(
        log_ratio,
        exp.exp.clamp(LOWEST_RATIO, HIGHEST_RATIO),
        exp.expm1.clamp(LOWEST_RATIO - 1, HIGHEST_RATIO - 1),
    )


def where_counted(values: Tensor, counted: Tensor) -> Tensor:
    """Return 0 where a value does not count, whatever it is there."""
    if torch.compiler.is_compiling():
        return torch.where(counted > 0, values, 0.0)
    # several times faster than `where` if nothing is fused
    return values.nan_to_num(0.0, 0.0, 0.0).mul_(counted)


def precision(*logprobs: Tensor) -> torch.dtype:
    """Return float64 if one of them has it, else float32."""
    return torch.float64 if any(x.dtype == torch.float64 for x in logprobs) else torch.float32


def flags(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 where a mask is not 0."""
    # of float64 only itself can tell small numbers from 0
    return (
        mask.to(torch.float64 if mask.dtype == torch.float64 else torch.float32, copy=True).ne_(0).to(dtype)
    )


def above(values: Tensor, bound: float) -> Tensor:
    """Flag values above a bound."""
    return values.clone().gt_(bound)


def below(values: Tensor, bound: float) -> Tensor:
    """Flag values below a bound; NaN is not."""
    return values.clone().lt_(bound)
