"""The log ratio of the two policies, and which of its tokens can be trusted.

Axes: B sequences, T response tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# exp(20) is 5e8: a ratio beyond it tells nothing more, and float32 still holds its square
LOG_RATIO_BOUND = 20.0

MASK_DTYPES = frozenset({
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
})  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """What everything else is computed from. Where `counted_BT` is false, every tensor holds 0.

    `valid_BT` is the response mask as bool; `counted_BT` are valid tokens whose log-probs, and the difference, are finite.
    """

    log_ratio_BT: Tensor
    training_logprobs_BT: Tensor
    rollout_logprobs_BT: Tensor
    valid_BT: Tensor
    counted_BT: Tensor
    length_B: Tensor

    @property
    def filled_B(self) -> Tensor:
        """Return which sequences have a token that counts."""
        return self.length_B > 0


def batch_of(training_logprobs: Tensor, rollout_logprobs: Tensor, response_mask: Tensor) -> Batch:
    """Check shapes and dtypes and take the difference of the log-probs, in float32 or more.

    Nothing outside the mask is trusted: padding may hold -1, token ids, NaN or infinity.

    Raises:
        ValueError: Shapes differ, or a tensor is of a kind that it cannot be.
    """
    _check(training_logprobs, rollout_logprobs, response_mask)
    precise = (
        torch.float64 if torch.float64 in (training_logprobs.dtype, rollout_logprobs.dtype) else torch.float32
    )
    training = training_logprobs.detach().to(precise)
    rollout = rollout_logprobs.detach().to(precise)
    valid = response_mask.detach() != 0
    # in float32, so that two finite extremes whose difference or sum is infinite are left out too
    counted = valid & (training.float() - rollout.float()).isfinite()
    training, rollout = training.masked_fill(~counted, 0), rollout.masked_fill(~counted, 0)
    return Batch(training - rollout, training, rollout, valid, counted, counted.sum(dim=1))


def _check(training_logprobs: Tensor, rollout_logprobs: Tensor, response_mask: Tensor) -> None:
    tensors = {
        "training_logprobs": training_logprobs,
        "rollout_logprobs": rollout_logprobs,
        "response_mask": response_mask,
    }
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"{name} is a {type(tensor).__name__}: expected a torch.Tensor of shape [batch, response length]."
            )
        if tensor.ndim != 2:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}: expected two dimensions, [batch, response length]."
            )
        if tensor.shape != training_logprobs.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} but training_logprobs has {tuple(training_logprobs.shape)}: "
                "expected the same. If they differ by one, drop the prompt token's shift."
            )
        if tensor.device != training_logprobs.device:
            raise ValueError(
                f"{name} is on {tensor.device} but training_logprobs is on {training_logprobs.device}: "
                f"expected the same device; move it with .to({str(training_logprobs.device)!r})."
            )
        if name != "response_mask" and not tensor.is_floating_point():
            raise ValueError(f"{name} is of {tensor.dtype}: expected log-probs of a floating-point type.")
    if response_mask.dtype not in MASK_DTYPES:
        raise ValueError(
            f"response_mask is of {response_mask.dtype}: expected bool, integers or floats, 1 for valid tokens."
        )
