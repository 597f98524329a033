"""Policy losses that consume importance weights and the corrected mask.

Pure functions of tensors, differentiable in `logprobs` alone: weights, advantages and every other policy are constants.
What stands outside the mask reaches neither value nor gradient, and a batch with every token rejected has a loss of 0.

Three policies are told apart: `logprobs` are those of the policy as it is now, `training_logprobs` those of the policy
as it was when the step began, `rollout_logprobs` those of the policy that generated.
In decoupled form PPO stays close to the training policy, and weights make up for the rollout policy. In bypass form
nobody asks the training policy: the ratio of now to rollout does both.

Axes: B sequences, T response tokens.
"""

import difflib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_correction.correct import Correction, correct
from rolloutwatch_correction.inputs import MASK_DTYPES
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND

Count = int | float | Tensor


def _undivided(kept_BT: Tensor) -> int:
    return 1


def _own_length(kept_BT: Tensor) -> Tensor:
    return kept_BT.sum(dim=1).clamp(min=1)


def _width(kept_BT: Tensor) -> int:
    return max(kept_BT.shape[1], 1)


# what the sum of a sequence is divided by, and what the sum of all sequences is divided by
_AGGREGATIONS: dict[str, tuple[Callable[[Tensor], Tensor | int], str]] = {
    "token-mean": (_undivided, "tokens"),
    "seq-mean-token-sum": (_undivided, "sequences"),
    "seq-mean-token-mean": (_own_length, "sequences"),
    "seq-mean-token-sum-norm": (_width, "sequences"),
}
AGGREGATIONS = tuple(_AGGREGATIONS)


def aggregate(
    loss_BT: Tensor,
    mask_BT: Tensor,
    aggregation: str = "token-mean",
    *,
    tokens: Count | None = None,
    sequences: Count | None = None,
) -> Tensor:
    """Return one loss of the losses of tokens; a token or a sequence that was rejected counts nowhere.

    - "token-mean": mean over kept tokens.
    - "seq-mean-token-sum": mean over sequences of the sum of their kept tokens.
    - "seq-mean-token-mean": mean over sequences of the mean of their kept tokens.
    - "seq-mean-token-sum-norm": as "seq-mean-token-sum", divided by T (Liu et al. 2025, Dr. GRPO). The only one in which
      padding counts: keep T the same from batch to batch.

    A micro-batch divides by the count of its whole batch, and then losses and gradients of the micro-batches add up to
    those of the batch. The count is that after rejection, `(mask != 0).sum()` or `(mask != 0).any(dim=1).sum()` of the
    corrected mask: with the count from before, each rejection would shrink the loss. Where it is only known after the
    last micro-batch, give 1 and divide the gradients at the end. Where gradients are averaged over ranks, give the count of
    all ranks divided by their number.

    Args:
        loss_BT: [B, T] losses. Outside the mask nothing is looked at and the gradient is 0.
        mask_BT: [B, T] bool, integer or float; not 0 means that the token counts.
        aggregation: One of AGGREGATIONS.
        tokens: Kept tokens of the whole batch, a number or a tensor of one; None means those of `mask_BT`.
        sequences: Sequences of the whole batch that keep a token, in the same way.

    Returns:
        A tensor of one number; 0 if no token counts.

    Raises:
        ValueError: Shapes, dtypes, an aggregation or a count that cannot be.
    """
    _check("loss_BT", loss_BT, mask_BT=mask_BT)
    _check_aggregation(aggregation, tokens, sequences)
    divisor, unit = _AGGREGATIONS[aggregation]
    kept_BT = mask_BT.detach() != 0
    loss_B = _wide(loss_BT).masked_fill(~kept_BT, 0).sum(dim=1) / divisor(kept_BT)
    if unit == "tokens":
        count = kept_BT.sum() if tokens is None else tokens
    else:
        count = kept_BT.any(dim=1).sum() if sequences is None else sequences
    return loss_B.sum() / _not_zero(count, loss_B.dtype)


def ppo_clip_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    *,
    weights: Tensor | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    aggregation: str = "token-mean",
    tokens: Count | None = None,
    sequences: Count | None = None,
) -> Tensor:
    """Return the clipped loss of PPO, -E[w min(r A, clip(r, 1 - low, 1 + high) A)] with r = exp(logprobs - old_logprobs).

    Schulman et al., "Proximal policy optimization algorithms" (2017), equation 7. With weights it is the decoupled
    objective (Hilton et al. 2022, "Batch size-invariance for policy optimization") as verl writes it for three policies:
    r keeps the policy close to the old one, w = old / rollout makes up for who generated.
    With `dual_clip` c a negative advantage counts at most c times: max(min(r A, clip(r) A), c A) where A < 0
    (Ye et al. 2020, "Mastering complex control in MOBA games with deep reinforcement learning").

    Weights of 1 change nothing. Where `logprobs` equals `old_logprobs`, the gradient is that of `reinforce_loss`.

    Args:
        logprobs: [B, T] log-probs under the policy as it is now; what the loss is differentiated in.
        old_logprobs: [B, T] log-probs under the policy that the clip keeps it close to.
        advantages: [B, T], or one for each sequence, [B] or [B, 1].
        response_mask: [B, T] after correction; not 0 means that the token counts.
        weights: [B, T], not negative, as `correct` gives them; None is 1 everywhere. A token with a weight of 0 adds
            nothing, be its log-probs not finite, but it counts among the tokens; any other weight lets NaN through.
        clip_low: How far below 1 the ratio still earns, 0 to 1.
        clip_high: How far above 1 the ratio still earns, 0 or more.
        dual_clip: Bound of the ratio where the advantage is negative, more than 1; None is no such bound.
        aggregation: See `aggregate`, also for `tokens` and `sequences`, the counts of the whole batch for a micro-batch.
        tokens: Kept tokens of the whole batch.
        sequences: Sequences of the whole batch that keep a token.

    Returns:
        A tensor of one number, float32, or float64 if log-probs are.

    Raises:
        ValueError: Shapes, dtypes, a clip, an aggregation or a count that cannot be.
    """
    _check_clip(clip_low, clip_high, dual_clip)
    _check("logprobs", logprobs, old_logprobs=old_logprobs, response_mask=response_mask, weights=weights)
    live_BT = _live(response_mask, weights)
    log_ratio_BT = (_wide(logprobs) - _wide(old_logprobs.detach())).masked_fill(~live_BT, 0)
    ratio_BT = log_ratio_BT.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()
    advantages_BT = _per_token(advantages, ratio_BT).masked_fill(~live_BT, 0)
    clipped_BT = ratio_BT.clamp(1 - clip_low, 1 + clip_high)
    gain_BT = torch.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT)
    if dual_clip is not None:
        bounded_BT = torch.maximum(gain_BT, dual_clip * advantages_BT)
        gain_BT = torch.where(advantages_BT < 0, bounded_BT, gain_BT)
    loss_BT = -_weighted(gain_BT, weights, live_BT)
    return aggregate(loss_BT, response_mask, aggregation, tokens=tokens, sequences=sequences)


def reinforce_loss(
    logprobs: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    *,
    weights: Tensor | None = None,
    aggregation: str = "token-mean",
    tokens: Count | None = None,
    sequences: Count | None = None,
) -> Tensor:
    """Return the loss of REINFORCE, -E[w A logprobs]; its gradient is the policy gradient, its value says nothing.

    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (1992).
    Weights of 1 change nothing. With weights of the ratio itself, the gradient is that of PPO without a clip.

    Args:
        logprobs: [B, T] log-probs under the policy as it is now; what the loss is differentiated in.
        advantages: [B, T], or one for each sequence, [B] or [B, 1].
        response_mask: [B, T] after correction; not 0 means that the token counts.
        weights: As for `ppo_clip_loss`.
        aggregation: See `aggregate`, also for `tokens` and `sequences`, the counts of the whole batch for a micro-batch.
        tokens: Kept tokens of the whole batch.
        sequences: Sequences of the whole batch that keep a token.

    Returns:
        A tensor of one number, float32, or float64 if log-probs are.

    Raises:
        ValueError: Shapes, dtypes, an aggregation or a count that cannot be.
    """
    _check("logprobs", logprobs, response_mask=response_mask, weights=weights)
    live_BT = _live(response_mask, weights)
    logprobs_BT = _wide(logprobs).masked_fill(~live_BT, 0)
    advantages_BT = _per_token(advantages, logprobs_BT).masked_fill(~live_BT, 0)
    loss_BT = -_weighted(logprobs_BT * advantages_BT, weights, live_BT)
    return aggregate(loss_BT, response_mask, aggregation, tokens=tokens, sequences=sequences)


def decoupled_loss(
    logprobs: Tensor,
    training_logprobs: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    config: CorrectionConfig,
    *,
    weights: Tensor | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    aggregation: str = "token-mean",
    tokens: Count | None = None,
    sequences: Count | None = None,
) -> Tensor:
    """Return the loss of `config.loss_type` for a batch that was corrected before its first update.

    "ppo_clip" is `ppo_clip_loss` against the training policy, "reinforce" is `reinforce_loss`; both multiply by the
    weights. (verl reads `loss_type` in bypass mode only and is always PPO here.)

    Args:
        logprobs: [B, T] log-probs under the policy as it is now; what the loss is differentiated in.
        training_logprobs: [B, T] what `correct` was given.
        advantages: [B, T], or one for each sequence, [B] or [B, 1].
        response_mask: [B, T] what `correct` gave back, or the rows of a micro-batch.
        config: What `correct` was given.
        weights: [B, T] what `correct` gave back; must be there if `config.rollout_is` is.
        clip_low: As for `ppo_clip_loss`, like the rest.
        clip_high: As for `ppo_clip_loss`.
        dual_clip: As for `ppo_clip_loss`.
        aggregation: As for `aggregate`.
        tokens: As for `aggregate`.
        sequences: As for `aggregate`.

    Raises:
        ValueError: As the losses do; or the configuration asks for bypass mode, or for weights that did not come.
    """
    if config.bypass_mode:
        raise ValueError(
            "bypass_mode is true: expected false for decoupled_loss. Call bypass_loss, or set bypass_mode to false."
        )
    if config.rollout_is is not None and weights is None:
        raise ValueError(
            f"weights is None but rollout_is is {config.rollout_is!r}: expected the weights of `correct`. "
            "Pass them, or set rollout_is to null."
        )
    if config.loss_type == "reinforce":
        _check("logprobs", logprobs, training_logprobs=training_logprobs)
        return reinforce_loss(
            logprobs, advantages, response_mask, weights=weights,
            aggregation=aggregation, tokens=tokens, sequences=sequences,
        )  # fmt: skip
    return ppo_clip_loss(
        logprobs, training_logprobs, advantages, response_mask, weights=weights,
        clip_low=clip_low, clip_high=clip_high, dual_clip=dual_clip,
        aggregation=aggregation, tokens=tokens, sequences=sequences,
    )  # fmt: skip


def bypass_loss(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    config: CorrectionConfig,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    aggregation: str = "token-mean",
    tokens: Count | None = None,
    sequences: Count | None = None,
    **more: Any,
) -> tuple[Tensor, Correction]:
    """Correct the batch for the policy as it is now, and return the loss of `config.loss_type` and the correction.

    "ppo_clip" is `ppo_clip_loss` against the rollout policy and takes the mask alone: its ratio is already now / rollout,
    and weights would count that twice. "reinforce" takes mask and weights.
    A valid token with log-probs that are not finite has a weight of 0 in both, as `correct` gives it.
    Where the policy is still the training policy, "reinforce" is exactly the decoupled loss.

    What is rejected depends on the policy as it is now, so the count of a whole batch is known only after its last
    micro-batch: give 1 as `tokens` or `sequences`, add up the counts of `correction.response_mask`, and divide the gradients.
    With `rollout_is_batch_normalize` each micro-batch has weights with a mean of 1, whatever the others have.

    Args:
        logprobs: [B, T] log-probs under the policy as it is now; what the loss is differentiated in.
        rollout_logprobs: [B, T] log-probs under the policy that generated.
        advantages: [B, T], or one for each sequence, [B] or [B, 1].
        response_mask: [B, T] before correction.
        config: What to correct, with `bypass_mode`.
        clip_low: As for `ppo_clip_loss`, like the rest.
        clip_high: As for `ppo_clip_loss`.
        dual_clip: As for `ppo_clip_loss`.
        aggregation: As for `aggregate`.
        tokens: As for `aggregate`.
        sequences: As for `aggregate`.
        more: What else `correct` takes, such as groups.

    Raises:
        ValueError: As the losses and `correct` do; or the configuration does not ask for bypass mode.
    """
    if not config.bypass_mode:
        raise ValueError(
            "bypass_mode is false: expected true for bypass_loss. Call decoupled_loss, or set bypass_mode to true."
        )
    _check("logprobs", logprobs, rollout_logprobs=rollout_logprobs, response_mask=response_mask)
    correction = correct(logprobs.detach(), rollout_logprobs, response_mask, config, **more)
    reinforce = config.loss_type == "reinforce"
    weights = correction.weights if reinforce else None
    if weights is None:
        weights = (logprobs.detach().float() - rollout_logprobs.detach().float()).isfinite()
    if reinforce:
        loss = reinforce_loss(
            logprobs, advantages, correction.response_mask, weights=weights,
            aggregation=aggregation, tokens=tokens, sequences=sequences,
        )  # fmt: skip
    else:
        loss = ppo_clip_loss(
            logprobs, rollout_logprobs, advantages, correction.response_mask, weights=weights,
            clip_low=clip_low, clip_high=clip_high, dual_clip=dual_clip,
            aggregation=aggregation, tokens=tokens, sequences=sequences,
        )  # fmt: skip
    return loss, correction


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _live(response_mask: Tensor, weights: Tensor | None) -> Tensor:
    """Return which tokens add to the loss. The others must be put out before exp: after it, NaN * 0 is a NaN gradient."""
    kept_BT = response_mask.detach() != 0
    return kept_BT if weights is None else kept_BT & (weights.detach() != 0)


def _weighted(gain_BT: Tensor, weights: Tensor | None, live_BT: Tensor) -> Tensor:
    if weights is None:
        return gain_BT
    return gain_BT * weights.detach().to(gain_BT.dtype).masked_fill(~live_BT, 0)


def _per_token(advantages: Tensor, like_BT: Tensor) -> Tensor:
    """Return advantages as [B, T], of the dtype of the other tensor."""
    sequences, tokens = like_BT.shape
    if not isinstance(advantages, Tensor):
        raise ValueError(
            f"advantages is a {type(advantages).__name__}: expected a torch.Tensor, [B, T], or [B] for one a sequence."
        )
    if tuple(advantages.shape) not in ((sequences, tokens), (sequences, 1), (sequences,)):
        raise ValueError(
            f"advantages has shape {tuple(advantages.shape)} but logprobs has {(sequences, tokens)}: expected the same, "
            f"or {(sequences,)} or {(sequences, 1)} for one a sequence."
        )
    _check_device("advantages", advantages, "logprobs", like_BT)
    if advantages.dtype not in MASK_DTYPES:
        raise ValueError(f"advantages is of {advantages.dtype}: expected floats or integers.")
    each = advantages.detach().to(like_BT.dtype)
    return (each[:, None] if each.ndim == 1 else each).expand(sequences, tokens)


def _not_zero(count: Count, dtype: torch.dtype) -> Tensor | float:
    """Return a count to divide by: nothing kept is a sum of 0, and stays 0."""
    if isinstance(count, Tensor):
        number = count.detach().reshape(()).to(dtype)
        return number.masked_fill(number == 0, 1)
    return count or 1


def _check(first: str, like_BT: Tensor, **others: Tensor | None) -> None:
    for name, tensor in {first: like_BT, **others}.items():
        if name == "weights" and tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name} is a {type(tensor).__name__}: expected a torch.Tensor of shape [batch, response length]. "
                "Pad sequences to one length."
            )
        if tensor.ndim != 2:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}: expected two dimensions, [batch, response length]. "
                "Pad sequences to one length."
            )
        if tensor.shape != like_BT.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} but {first} has {tuple(like_BT.shape)}: "
                "expected the same. If they differ by one, drop the prompt token's shift."
            )
        _check_device(name, tensor, first, like_BT)
        # masks and weights may be of any real dtype
        if name not in ("response_mask", "mask_BT", "weights") and not tensor.is_floating_point():
            raise ValueError(f"{name} is of {tensor.dtype}: expected a floating-point type.")
        if tensor.dtype not in MASK_DTYPES:
            raise ValueError(f"{name} is of {tensor.dtype}: expected bool, integers or floats.")


def _check_device(name: str, tensor: Tensor, first: str, like: Tensor) -> None:
    if tensor.device != like.device:
        raise ValueError(
            f"{name} is on {tensor.device} but {first} is on {like.device}: "
            f"expected the same device; move it with .to({str(like.device)!r})."
        )


def _check_aggregation(aggregation: str, tokens: Count | None, sequences: Count | None) -> None:
    if aggregation not in _AGGREGATIONS:
        near = difflib.get_close_matches(str(aggregation), AGGREGATIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"aggregation is {aggregation!r}: expected one of {', '.join(AGGREGATIONS)}.{hint}")
    counts = {"tokens": tokens, "sequences": sequences}
    for name, count in counts.items():
        if isinstance(count, Tensor):
            if count.numel() != 1:
                raise ValueError(
                    f"{name} has shape {tuple(count.shape)}: expected a number, or a tensor of one. Give the sum."
                )
        elif count is not None:
            expected = "what the whole batch keeps, a number from 0, or a tensor of one"
            _check_number(name, count, lambda x: 0 <= x < math.inf, expected)
    unit = _AGGREGATIONS[aggregation][1]
    other = "sequences" if unit == "tokens" else "tokens"
    if counts[unit] is None and counts[other] is not None:
        raise ValueError(
            f"{other} came but {aggregation!r} divides by {unit}: expected {unit} of the whole batch. "
            f"Give {unit}, or leave out {other}."
        )


def _check_clip(clip_low: float, clip_high: float, dual_clip: float | None) -> None:
    _check_number("clip_low", clip_low, lambda x: 0 <= x <= 1, "0 to 1; the ratio earns down to 1 - clip_low")
    _check_number(
        "clip_high", clip_high, lambda x: 0 <= x < math.inf, "0 or more; the ratio earns up to 1 + clip_high"
    )
    if dual_clip is not None:
        expected = "more than 1 such as 3.0, or None for no such bound"
        _check_number("dual_clip", dual_clip, lambda x: 1 < x < math.inf, expected)


def _check_number(name: str, value: object, legal: Callable[[float], bool], expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not legal(value):
        raise ValueError(f"{name} is {value!r}: expected {expected}.")
