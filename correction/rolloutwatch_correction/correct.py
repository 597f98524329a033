"""The conductor: log-probs in, weights, mask and figures out."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.metrics import metrics_of
from rolloutwatch_correction.ratios import batch_of
from rolloutwatch_correction.sequences import sequence_table
from rolloutwatch_correction.statistics import Outcome, Statistics, statistics_of
from rolloutwatch_correction.veto import catastrophic_tokens
from rolloutwatch_correction.weights import ratios_at_level, truncate


@dataclass(frozen=True)
class Metrics:
    """Figures of a batch, still on its device."""

    statistics: Statistics
    config: CorrectionConfig

    def as_dict(self) -> dict[str, float]:
        """Return metrics by name. This waits for the device; nothing else here does."""
        return metrics_of(self.statistics.vector.cpu().numpy(), self.config)


@dataclass(frozen=True)
class Correction:
    """What `correct` returns.

    Attributes:
        weights: [B, T] float32 (float64 if log-probs are), detached, 0 outside the mask and where log-probs are
            not finite; None without `rollout_is`.
        response_mask: [B, T] of the dtype that came in; 0 for tokens that are out of the loss.
        statistics: What metrics are derived from; adds up over micro-batches and ranks.
        sequences: [B, columns] float32, columns as in `rolloutwatch_contract.tables.SEQUENCE_COLUMNS`.
        config: What was asked for.
    """

    weights: Tensor | None
    response_mask: Tensor
    statistics: Statistics
    sequences: Tensor
    config: CorrectionConfig

    @property
    def metrics(self) -> Metrics:
        """Return the figures of the batch."""
        return Metrics(self.statistics, self.config)


@torch.no_grad()
def correct(
    training_logprobs: Tensor,
    rollout_logprobs: Tensor,
    response_mask: Tensor,
    config: CorrectionConfig | None = None,
    *,
    training_entropy: Tensor | None = None,
) -> Correction:
    """Return importance weights, the mask after veto, and what metrics are derived from.

    Args:
        training_logprobs: [B, T] log-probs of the sampled tokens under the policy that is trained.
        rollout_logprobs: [B, T] the same under the policy that generated them, as it reported them.
        response_mask: [B, T] bool, integer or float; not 0 means a valid response token.
            Nothing outside it is looked at.
        config: What to correct; None measures only.
        training_entropy: [B, T] entropy of the training policy at each token, or a tensor of one number, its mean.

    Raises:
        ValueError: Shapes or dtypes that cannot be; the message names the tensor, what was expected and what came.
    """
    config = config or CorrectionConfig()
    batch = batch_of(training_logprobs, rollout_logprobs, response_mask)
    _check_entropy(training_entropy, training_logprobs)
    ratio = None if config.rollout_is is None else ratios_at_level(batch, config.rollout_is)
    weights = None if ratio is None else truncate(ratio, config)
    catastrophic = catastrophic_tokens(
        training_logprobs, rollout_logprobs, batch.valid_BT, config.rollout_token_veto_threshold
    )
    vetoed = catastrophic.any(dim=1)
    kept = batch.valid_BT & ~vetoed[:, None]
    outcome = Outcome(ratio, weights, catastrophic, vetoed, kept)
    return Correction(
        weights=weights,
        response_mask=response_mask.detach() * (~vetoed)[:, None].to(response_mask.dtype),
        statistics=statistics_of(batch, outcome, config, training_entropy),
        sequences=sequence_table(batch, outcome),
        config=config,
    )


def uncorrected(
    training_logprobs: object, response_mask: Tensor, config: CorrectionConfig | None = None
) -> Correction:
    """Return what leaves a loss as it is: weights of 1 where `correct` gives weights, the mask as it came, no figures.

    For a trainer that goes on although `correct` has raised; nothing that came need be sound.
    """
    config = config or CorrectionConfig()
    nothing = correct(torch.zeros(0, 0), torch.zeros(0, 0), torch.zeros(0, 0), config)
    like = training_logprobs if isinstance(training_logprobs, Tensor) else torch.zeros(())
    ones = torch.ones_like(like, dtype=torch.float64 if like.dtype == torch.float64 else torch.float32)
    return dataclasses.replace(
        nothing, weights=None if config.rollout_is is None else ones, response_mask=response_mask
    )


def _check_entropy(entropy: Tensor | None, logprobs: Tensor) -> None:
    if entropy is None:
        return
    if not isinstance(entropy, Tensor):
        raise ValueError(
            f"training_entropy is a {type(entropy).__name__}: expected a torch.Tensor, [B, T] or of one number."
        )
    if not entropy.is_floating_point():
        raise ValueError(f"training_entropy is of {entropy.dtype}: expected a floating-point type.")
    if entropy.ndim != 0 and entropy.shape != logprobs.shape:
        raise ValueError(
            f"training_entropy has shape {tuple(entropy.shape)} but training_logprobs has {tuple(logprobs.shape)}: "
            "expected the same, or one number."
        )
