"""What may be handed to `correct`, checked, and brought into one of two layouts.

Axes: B sequences, T response tokens; N tokens of all sequences, packed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rolloutwatch_correction.groups import is_of_integers
from rolloutwatch_correction.layouts import Layout, Padded, packed
from rolloutwatch_correction.portions import Tokens
from rolloutwatch_correction.ratios import precision

# A tensor in one of the layouts, or one tensor for each sequence.
TokensLike = Tensor | Sequence[Tensor]

MASK_DTYPES = frozenset({
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
})  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """Tokens in one layout, of how many sequences, and the way back to the shape that came."""

    tokens: Tokens
    sequences: int
    back: Callable[[Tensor], Any]

    @property
    def precision(self) -> torch.dtype:
        """Return the dtype in which ratios are computed."""
        return precision(self.tokens.training_logprobs, self.tokens.rollout_logprobs)


def read_inputs(
    training_logprobs: TokensLike,
    rollout_logprobs: TokensLike,
    response_mask: TokensLike,
    cu_seqlens: Tensor | None,
    training_entropy: TokensLike | None,
) -> Inputs:
    """Check what came and return it in one layout.

    Raises:
        ValueError: Shapes, dtypes or devices that cannot be; the message names the tensor, what was expected and what came.
    """
    named: dict[str, Any] = {
        "training_logprobs": training_logprobs,
        "rollout_logprobs": rollout_logprobs,
        "response_mask": response_mask,
    }
    entropy = training_entropy
    if isinstance(entropy, Tensor) and entropy.ndim == 0:
        _check_dtype("training_entropy", entropy)
    elif entropy is not None:
        named["training_entropy"] = entropy
    if isinstance(training_logprobs, list | tuple):
        return _ragged(named, cu_seqlens, entropy)
    _check_all(named, dimensions=1 if cu_seqlens is not None else 2)
    if cu_seqlens is None:
        return _inputs(Padded(), named, entropy, named["training_logprobs"].shape[0], lambda x: x)
    return _packed(named, cu_seqlens, entropy)


def _inputs(
    layout: Layout, named: dict[str, Any], entropy: Any, sequences: int, back: Callable[[Tensor], Any]
) -> Inputs:
    tokens = Tokens(
        layout,
        named["training_logprobs"].detach(),
        named["rollout_logprobs"].detach(),
        named["response_mask"].detach(),
        None if entropy is None else named.get("training_entropy", entropy).detach(),
    )
    return Inputs(tokens, sequences, back)


def _packed(named: dict[str, Tensor], cu_seqlens: Tensor, entropy: Any) -> Inputs:
    tokens = named["training_logprobs"].shape[0]
    _check_cu_seqlens(cu_seqlens, named["training_logprobs"])
    layout, inside = packed(cu_seqlens, tokens)
    mask = named["response_mask"]
    named = named | {"response_mask": mask.masked_fill(~inside, 0)}
    return _inputs(layout, named, entropy, cu_seqlens.shape[0] - 1, lambda x: x)


def _ragged(named: dict[str, Any], cu_seqlens: Tensor | None, entropy: Any) -> Inputs:
    """Pad lists of tensors, whose lengths the host knows."""
    if cu_seqlens is not None:
        raise ValueError(
            "cu_seqlens came with lists of tensors: expected one packed tensor each. Leave cu_seqlens out."
        )
    first = named["training_logprobs"]
    for name, rows in named.items():
        if not isinstance(rows, list | tuple) or len(rows) != len(first):
            came = f"a list of {len(rows)}" if isinstance(rows, list | tuple) else f"a {type(rows).__name__}"
            raise ValueError(
                f"training_logprobs is a list of {len(first)} tensors but {name} is {came}: "
                "expected as many tensors, one for each sequence, or all of them as [batch, response length]."
            )
    for place in range(len(first)):
        _check_all({f"{name}[{place}]": rows[place] for name, rows in named.items()}, dimensions=1)
    for place, row in enumerate(first):
        if row.device != first[0].device:
            raise ValueError(
                f"training_logprobs[{place}] is on {row.device} but training_logprobs[0] is on {first[0].device}: "
                "expected the same device."
            )
    lengths = [row.shape[0] for row in first]
    padded = {name: _padded(rows) for name, rows in named.items()}

    def back(values: Tensor) -> list[Tensor]:
        return [row[:length] for row, length in zip(values.unbind(0), lengths, strict=True)]

    return _inputs(Padded(), padded, entropy, len(lengths), back)


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Return rows side by side, in the dtype that holds all of theirs."""
    if len(rows) == 0:
        return torch.zeros(0, 0)
    dtype = reduce(torch.promote_types, (row.dtype for row in rows))
    return pad_sequence([row.to(dtype) for row in rows], batch_first=True)


def _check_all(tensors: dict[str, Any], dimensions: int) -> None:
    reference, first = next(iter(tensors.items()))
    expected = {
        1: "one dimension, [tokens]",
        2: "two dimensions, [batch, response length], or lists of tensors, or cu_seqlens with packed ones",
    }[dimensions]
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is a {type(tensor).__name__}: expected a torch.Tensor of {expected}.")
        if name == reference and tensor.ndim != dimensions:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}: expected {expected}.")
        if tensor.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} but {reference} has {tuple(first.shape)}: "
                f"expected the same{', or one number' if name.startswith('training_entropy') else ''}. "
                f"{_cure(tensor, first)}"
            )
        if tensor.device != first.device:
            raise ValueError(
                f"{name} is on {tensor.device} but {reference} is on {first.device}: "
                f"expected the same device; move it with .to({str(first.device)!r})."
            )
        _check_dtype(name, tensor)


def _cure(tensor: Tensor, first: Tensor) -> str:
    """Return what to do about shapes that differ: most often the log-probs of one side begin a token later."""
    if tensor.ndim == first.ndim and tensor.shape[:-1] == first.shape[:-1]:
        if abs(tensor.shape[-1] - first.shape[-1]) == 1:
            return "They differ by one token: drop the prompt token's shift."
        return "Cut or pad both to the same response length."
    return "Look whether both are of the same sequences, in the same layout."


def _check_dtype(name: str, tensor: Tensor) -> None:
    if name.startswith("response_mask"):
        if tensor.dtype not in MASK_DTYPES:
            raise ValueError(
                f"{name} is of {tensor.dtype}: expected bool, integers or floats, 1 for valid tokens; "
                "convert it with .bool()."
            )
    elif not tensor.is_floating_point():
        raise ValueError(
            f"{name} is of {tensor.dtype}: expected a floating-point type; convert it with .float()."
        )


def _check_cu_seqlens(cu_seqlens: object, logprobs: Tensor) -> None:
    if not isinstance(cu_seqlens, Tensor):
        came = f"a {type(cu_seqlens).__name__}"
    elif cu_seqlens.ndim != 1 or cu_seqlens.shape[0] == 0 or not is_of_integers(cu_seqlens):
        came = f"of {cu_seqlens.dtype} and shape {tuple(cu_seqlens.shape)}"
    elif cu_seqlens.shape[0] == 1 and logprobs.shape[0]:
        came = f"of no sequence, but there are {logprobs.shape[0]} tokens"
    elif cu_seqlens.device != logprobs.device:
        came = f"on {cu_seqlens.device}, but the log-probs are on {logprobs.device}"
    else:
        return
    raise ValueError(
        f"cu_seqlens is {came}: expected a tensor of integers [sequences + 1] on the device of the log-probs, "
        "where each sequence begins and the last one ends: 0, n_0, n_0 + n_1, ..."
    )
