"""The tokens of the worst sequences, for people to read: chosen on the device, made into text in the background.

Axes: B sequences, T response tokens; C sequences that are chosen, L tokens that there is room for of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rolloutwatch.shown import shown
from rolloutwatch_contract import Array, SequenceTokens
from rolloutwatch_contract.record import MAX_TOKEN_LETTERS, MAX_TOKENS
from rolloutwatch_correction import Correction, worst_rows
from rolloutwatch_correction.groups import is_of_integers

MAX_CAPTURED = 64
HEAD = 3  # numbers before the tokens of a sequence: its place in the table, how many tokens there are, whether it is vetoed


@dataclass(frozen=True)
class TokenCapture:
    """Asks for the tokens of the worst sequences of each step.

    Attributes:
        decode: Returns the text of a token by its number, such as `lambda number: tokenizer.decode([number])`.
            It is called on a thread of its own, once for each number that occurs. If it raises, or takes longer
            than two seconds in a step, tokens are shown by their numbers; after three such steps it is not called again.
        sequences: How many sequences, at most MAX_CAPTURED. They share the room for MAX_TOKENS tokens:
            of four sequences 4096 tokens each, from the beginning of the response.

    Raises:
        ValueError: `decode` cannot be called, or `sequences` is no number there can be.
    """

    decode: Callable[[int], str]
    sequences: int = 4
    _known: dict[int, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check what came."""
        if not callable(self.decode):
            raise ValueError(
                f"decode is a {type(self.decode).__name__}: expected a function from a token's number to its text, "
                "such as lambda number: tokenizer.decode([number])."
            )
        if type(self.sequences) is not int or not 1 <= self.sequences <= MAX_CAPTURED:
            raise ValueError(
                f"sequences is {shown(self.sequences, 50)}: expected an integer from 1 to {MAX_CAPTURED}."
            )

    @property
    def room(self) -> int:
        """Return how many tokens of each sequence there is room for."""
        return MAX_TOKENS // self.sequences

    @property
    def words(self) -> int:
        """Return how many numbers a captured sequence takes."""
        return HEAD + self.room

    def text(self, number: int) -> str:
        """Return the text of a token, cut to what a record takes; whatever `decode` raises."""
        if number not in self._known:
            # half a letter, which a token may be, is no text
            text = str(self.decode(number)).encode(errors="backslashreplace").decode()
            self._known[number] = text[:MAX_TOKEN_LETTERS]
        return self._known[number]

    def known(self) -> frozenset[int]:
        """Return the tokens whose text is known."""
        return frozenset(self._known)


def captured(
    capture: TokenCapture,
    correction: Correction,
    tokens: Sequence[Any],
    cu_seqlens: Tensor | None,
) -> Tensor:
    """Return the tokens of the worst sequences, int64 [C, HEAD + L]; nothing is waited for.

    A token is its number in the upper half and the bits of its log ratio, float32, in the lower one;
    a token outside the mask has NaN. The first number of a sequence is its place in the batch.

    Args:
        capture: How many.
        correction: What tells which are the worst.
        tokens: Numbers of tokens, training and rollout log-probs and mask, in one of the layouts.
        cu_seqlens: As for `correct`.

    Raises:
        ValueError: The numbers of tokens are none, or not as many as there are log-probs.
    """
    _check_numbers(tokens[0], tokens[1])
    rows = worst_rows(correction.sequences, correction.vetoed, capture.sequences)
    chosen = [_rows(values, rows, capture.room, cu_seqlens) for values in tokens]
    numbers_CL, training_CL, rollout_CL, mask_CL = chosen
    valid_CL = mask_CL != 0
    log_ratio_CL = (training_CL.double() - rollout_CL.double()).float().masked_fill(~valid_CL, torch.nan)
    places_L = torch.arange(1, capture.room + 1, device=rows.device)
    head = [rows, (valid_CL * places_L).amax(dim=1), correction.vetoed.index_select(0, rows).long()]
    bits_CL = log_ratio_CL.view(torch.int32).long() & 0xFFFFFFFF
    return torch.cat([torch.stack(head, dim=1), (numbers_CL.long() << 32) | bits_CL], dim=1)


def read(packed: npt.NDArray[np.int64], text: Callable[[int], str]) -> SequenceTokens:
    """Return the tokens of one sequence as the record has them."""
    row, length = int(packed[0]), int(packed[1])
    tokens = packed[HEAD : HEAD + length]
    log_ratios = (tokens & 0xFFFFFFFF).astype(np.uint32).view(np.float32)
    texts = tuple(text(number) for number in (tokens >> 32).tolist())
    return SequenceTokens(row, texts, Array.of(log_ratios))


def numbers_of(packed: npt.NDArray[np.int64]) -> set[int]:
    """Return which tokens occur in one sequence."""
    return set((packed[HEAD : HEAD + int(packed[1])] >> 32).tolist())


def _check_numbers(numbers: Any, logprobs: Any) -> None:
    several = isinstance(logprobs, list | tuple)
    pairs = [(numbers, logprobs)]
    if several and isinstance(numbers, list | tuple) and len(numbers) == len(logprobs):
        pairs = list(zip(numbers, logprobs, strict=True))
    for own, other in pairs:
        if not isinstance(own, Tensor) or not is_of_integers(own) or own.shape != other.shape:
            came = (
                f"of {own.dtype} and shape {tuple(own.shape)}"
                if isinstance(own, Tensor)
                else type(own).__name__
            )
            raise ValueError(
                f"token_ids is {came}: expected integers, as many as there are log-probs and in the same layout."
            )


def _rows(values: Any, rows: Tensor, room: int, cu_seqlens: Tensor | None) -> Tensor:
    """Return the first tokens of some sequences, [C, room], 0 where a sequence has ended."""
    if cu_seqlens is not None:
        return _packed_rows(values, rows, room, cu_seqlens)
    padded = values if isinstance(values, Tensor) else _side_by_side(values)
    chosen = padded.detach().index_select(0, rows)[:, :room]
    return torch.nn.functional.pad(chosen, (0, room - chosen.shape[1]))


def _side_by_side(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True) if len(rows) else torch.zeros(0, 0)


def _packed_rows(values_N: Tensor, rows: Tensor, room: int, cu_seqlens: Tensor) -> Tensor:
    starts, ends = (
        bounds.long().index_select(0, rows)[:, None] for bounds in (cu_seqlens[:-1], cu_seqlens[1:])
    )
    places = starts + torch.arange(room, device=rows.device)
    nowhere = values_N.shape[0]
    ended = torch.cat([values_N.detach(), values_N.new_zeros(1)])
    places = torch.where((places >= 0) & (places < ends), places, nowhere).clamp(max=nowhere)
    return ended.index_select(0, places.flatten()).view(places.shape)
