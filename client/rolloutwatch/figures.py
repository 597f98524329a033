"""What is measured of a batch: on its device, on the way to the host, and put together from what several ranks have.

Axes: R rows of the per-sequence table that there is room for; C sequences whose tokens go along, W words for each.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from rolloutwatch.transfer import Arrays
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import Correction, Statistics, worst_rows
from rolloutwatch_correction.statistics import fields_of

_SAMPLE_ID = SEQUENCE_COLUMNS.index("sample_id")
_SHARE = SEQUENCE_COLUMNS.index("k3_sum")


@dataclass(frozen=True)
class Figures:
    """Figures of a batch, or of one rank's part of it.

    Attributes:
        statistics: What metrics are derived from.
        sequences: float64 [R, columns], the rows of the per-sequence table that there is room for.
        sample_ids: int64 [R], the trainer's own numbers for them, exact.
        tokens: int64 [C, W], as `tokens.captured` packs them: place in `sequences`, length, veto, then the tokens.
    """

    statistics: Statistics
    sequences: Tensor
    sample_ids: Tensor | None = None
    tokens: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """Return what has to travel."""
        return [self.statistics.vector, self.sequences, *self._optional().values()]

    def arrived(self, arrays: Arrays) -> "Figures":
        """Return the same of what has arrived of `tensors`."""
        vector, sequences, *optional = (torch.from_numpy(array) for array in arrays)
        by_name = dict(zip(self._optional(), optional, strict=True))
        statistics = dataclasses.replace(self.statistics, vector=vector, by_group=by_name.get("by_group"))
        return Figures(statistics, sequences, by_name.get("sample_ids"), by_name.get("tokens"))

    def _optional(self) -> dict[str, Tensor]:
        named = {
            "by_group": self.statistics.by_group,
            "sample_ids": self.sample_ids,
            "tokens": self.tokens,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def figures_of(correction: Correction, room: int, tokens: Tensor | None = None) -> Figures:
    """Return the figures of a correction, with the worst rows of its table where it has more than there is room for."""
    sequences, sample_ids = correction.sequences, correction.sample_ids
    if sequences.shape[0] > room:
        kept = worst_rows(sequences, correction.vetoed, room)
        sequences = sequences.index_select(0, kept)
        sample_ids = None if sample_ids is None else sample_ids.index_select(0, kept)
        if tokens is not None:  # the worst few are among the worst, and stand elsewhere now
            places = torch.searchsorted(kept, tokens[:, 0].contiguous())
            tokens = torch.cat([places[:, None], tokens[:, 1:]], dim=1)
    return Figures(correction.statistics, sequences, sample_ids, tokens)


def together(parts: Sequence[Figures]) -> Figures:
    """Return the figures of a whole batch, of which ranks have the parts, in the order of ranks; all on the host."""
    with_ids = [part.sample_ids is not None for part in parts if part.sequences.shape[0]]
    sample_ids = None
    if with_ids and all(with_ids):
        sample_ids = torch.cat([part.sample_ids for part in parts if part.sample_ids is not None])
    sequences = torch.cat([part.sequences for part in _numbered(parts)])
    return Figures(
        reduce(Statistics.merge, _grouped([part.statistics for part in parts])),
        sequences,
        sample_ids,
        _worst_tokens(parts, sequences),
    )


def _grouped(parts: Sequence[Statistics]) -> Sequence[Statistics]:
    """Return statistics in which a part without groups has nothing in each group that others have."""
    known = next((part.by_group for part in parts if part.by_group is not None), None)
    if known is None:
        return parts
    nothing = torch.zeros_like(known)
    nothing[:, len(fields_of(parts[0].config).sums) :] = -torch.inf
    return [
        part if part.by_group is not None else dataclasses.replace(part, by_group=nothing) for part in parts
    ]


def _numbered(parts: Sequence[Figures]) -> list[Figures]:
    """Return parts in which a sequence without a number of its own has its place in the whole batch."""
    numbered, before = [], 0.0
    for part in parts:
        if part.sample_ids is None:
            sequences = part.sequences.clone()
            sequences[:, _SAMPLE_ID] += before
            part = dataclasses.replace(part, sequences=sequences)
        numbered.append(part)
        fields = fields_of(part.statistics.config)
        before += float(part.statistics.vector[fields.sums.index("sequences")])
    return numbered


def _worst_tokens(parts: Sequence[Figures], sequences: Tensor) -> Tensor | None:
    """Return the tokens of as many sequences as one rank has of its own: the worst of all, with their places in the whole."""
    with_tokens = [part.tokens for part in parts if part.tokens is not None]
    if not with_tokens:
        return None
    rows, before = [], 0
    for part in parts:
        if part.tokens is not None:
            own = part.tokens.clone()
            own[:, 0] += before
            rows += list(own)
        before += part.sequences.shape[0]
    rows.sort(key=lambda row: (-int(row[2]), -float(sequences[int(row[0]), _SHARE])))
    most = max(len(tokens) for tokens in with_tokens)
    return torch.stack(rows[:most]) if rows else None
