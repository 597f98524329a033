"""How the tokens of a batch lie in memory, behind the few verbs that the rest needs of it.

Axes: B sequences, T response tokens; N tokens of all sequences, packed. "Of tokens" is [B, T] or [N].
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

PLACES = 2.0**24  # float32 tells whole numbers apart up to here


class Layout(Protocol):
    """Sums and extremes over each sequence, and the way back. Of a sequence without tokens every sum is 0."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over each sequence, float64 [B]."""

    def moments(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums over each sequence of values and of their squares, float64 [B] each."""

    def precise(self, values: Tensor) -> Tensor:
        """Return a copy in float64, which lasts until others than float64 are summed."""

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over each sequence of values of which none is negative, [B].

        It may be taken in their own precision, since nothing cancels.
        """

    def count(self, flags: Tensor) -> Tensor:
        """Return how many flags are set in each sequence, [B], exactly up to 16 million."""

    def highest(self, values: Tensor) -> Tensor:
        """Return the highest value of each sequence, [B]."""

    def first_highest(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the highest value of each sequence and where it first stands in it, [B] each."""

    def spread(self, values_B: Tensor) -> Tensor:
        """Return each sequence's value at each of its tokens, in a shape that broadcasts with them."""

    def places(self, values: Tensor) -> Tensor:
        """Return where each token stands in its sequence, float32 that counts to PLACES, in a shape that broadcasts."""


@dataclass(frozen=True)
class Padded:
    """Tokens are [B, T].

    `scratch` is a vector of float64 with room for them, in which they are made precise to be added up:
    memory that is asked for anew costs more than the sum. Without it, as where all is fused, there is none.
    """

    scratch: Tensor | None = None

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the tokens."""
        if self.scratch is None or values.dtype == torch.float64:
            return values.sum(dim=1, dtype=torch.float64)
        return self.precise(values).sum(dim=1)

    def moments(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the tokens; squares are of float64, so that what does not vary has no variance."""
        precise = self.precise(values)
        return precise.sum(dim=1), precise.square_().sum(dim=1)

    def precise(self, values: Tensor) -> Tensor:
        """Copy into the scratch memory, if there is some."""
        if self.scratch is None:
            return values.to(torch.float64, copy=True)
        return self.scratch[: values.numel()].view(values.shape).copy_(values)

    def total(self, values: Tensor) -> Tensor:
        """Sum over the tokens, pairwise in their own precision.

        A compiled sum would be neither pairwise nor, in float32, the same code for any length.
        """
        return values.sum(dim=1, dtype=torch.float64 if torch.compiler.is_compiling() else None)

    def highest(self, values: Tensor) -> Tensor:
        """Look along the tokens."""
        return _with_a_column(values).amax(dim=1)

    def count(self, flags: Tensor) -> Tensor:
        """Sum over the tokens; what is compiled adds integers faster than floats."""
        if torch.compiler.is_compiling():
            return (flags > 0).sum(dim=1, dtype=torch.int32)
        return flags.sum(dim=1)

    def first_highest(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Look along the tokens."""
        values = _with_a_column(values)
        if not torch.compiler.is_compiling():
            value, position = values.max(dim=1)
            return value, position
        # one pass more, which costs less than to carry places along
        value = values.amax(dim=1)
        return value, torch.where(values == value[:, None], self.places(values), PLACES).amin(dim=1)

    def spread(self, values_B: Tensor) -> Tensor:
        """Add the axis of the tokens."""
        return values_B[:, None]

    def places(self, values: Tensor) -> Tensor:
        """Count the columns."""
        return torch.arange(values.shape[1], dtype=torch.float32, device=values.device)


@dataclass(frozen=True)
class Packed:
    """Tokens are [N]; those of sequence b are starts_B[b] and following, and sequence_N names each token's sequence."""

    starts_B: Tensor
    sequence_N: Tensor

    def sum(self, values: Tensor) -> Tensor:
        """Add each token to its sequence."""
        sums = torch.zeros(self.starts_B.shape, dtype=torch.float64, device=values.device)
        return sums.index_add_(0, self.sequence_N, values.double())

    def moments(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add each token to its sequence."""
        precise = values.double()
        return self.sum(precise), self.sum(precise * precise)

    def precise(self, values: Tensor) -> Tensor:
        """Copy."""
        return values.to(torch.float64, copy=True)

    def total(self, values: Tensor) -> Tensor:
        """Add each token to its sequence."""
        return self.sum(values)

    def highest(self, values: Tensor) -> Tensor:
        """Compare each token with what its sequence has."""
        lowest = torch.finfo(values.dtype).min
        top = torch.full(self.starts_B.shape, lowest, dtype=values.dtype, device=values.device)
        return top.scatter_reduce(0, self.sequence_N, values, "amax")

    def count(self, flags: Tensor) -> Tensor:
        """Add each flag to its sequence."""
        return self.sum(flags)

    def first_highest(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Look for the value, then for the first place that has it."""
        top = self.highest(values)
        here = torch.arange(values.shape[0], device=values.device)
        nowhere = values.shape[0]
        place = torch.where(values == top[self.sequence_N], here, nowhere)
        first = torch.full_like(self.starts_B, nowhere).scatter_reduce(0, self.sequence_N, place, "amin")
        return top, first - self.starts_B

    def spread(self, values_B: Tensor) -> Tensor:
        """Look up each token's sequence."""
        return values_B[self.sequence_N]

    def places(self, values: Tensor) -> Tensor:
        """Count from where the sequence begins."""
        here = torch.arange(values.shape[0], device=values.device)
        return (here - self.spread(self.starts_B)).float()


def _with_a_column(values: Tensor) -> Tensor:
    """Let a batch of no columns have a maximum too, the lowest number there is."""
    if values.shape[1]:
        return values
    return values.new_full((values.shape[0], 1), torch.finfo(values.dtype).min)


def packed(cu_seqlens: Tensor, tokens: int) -> tuple[Packed, Tensor]:
    """Return the layout of tokens packed by cumulative lengths, [B + 1] from 0, and which of the tokens are in it, bool [N]."""
    ends = cu_seqlens[1:].long()
    here = torch.arange(tokens, device=cu_seqlens.device)
    sequence = torch.bucketize(here, ends, right=True)
    inside = (sequence < ends.shape[0]) & (here >= cu_seqlens[0])
    return Packed(cu_seqlens[:-1].long(), sequence.clamp(max=ends.shape[0] - 1)), inside
