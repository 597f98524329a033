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

_GROUP = SEQUENCE_COLUMNS.index("group")
_SAMPLE_ID = SEQUENCE_COLUMNS.index("sample_id")
_SHARE = SEQUENCE_COLUMNS.index("k3_sum")


@dataclass(frozen=True)
class Figures:
    """Figures of a batch, or of one rank's part of it.

    Attributes:
        statistics: What metrics are derived from.
        sequences: float64 [R, columns], the rows of the per-sequence table that there is room for,
            with the place of each in the batch for its number.
        vetoed: bool [R].
        there_were: int64 [2], how many sequences there were before some were left out, and how many of them vetoed.
        sample_ids: int64 [R], the trainer's own numbers for them, exact.
        tokens: int64 [C, W], as `tokens.captured` packs them: place in `sequences`, length, veto, then the tokens.
    """

    statistics: Statistics
    sequences: Tensor
    vetoed: Tensor
    there_were: Tensor
    sample_ids: Tensor | None = None
    tokens: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """Return what has to travel."""
        always = [self.statistics.vector, self.sequences, self.vetoed, self.there_were]
        return [*always, *self._optional().values()]

    def arrived(self, arrays: Arrays) -> "Figures":
        """Return the same of what has arrived of `tensors`."""
        vector, sequences, vetoed, there_were, *optional = (torch.from_numpy(array) for array in arrays)
        by_name = dict(zip(self._optional(), optional, strict=True))
        statistics = dataclasses.replace(self.statistics, vector=vector, by_group=by_name.get("by_group"))
        ids, tokens = by_name.get("sample_ids"), by_name.get("tokens")
        return Figures(statistics, sequences, vetoed, there_were, ids, tokens)

    def table(self) -> Tensor:
        """Return the per-sequence table, with the trainer's own numbers where it has given any."""
        if self.sample_ids is None:
            return self.sequences
        table = self.sequences.clone()
        table[:, _SAMPLE_ID] = self.sample_ids.double()
        return table

    def within(self, room: int) -> "Figures":
        """Return the same; with the vetoed sequences and the worst of the others where there are more than there is room for."""
        if self.sequences.shape[0] <= room:
            return self
        kept = worst_rows(self.sequences, self.vetoed, room)
        tokens = self.tokens
        if tokens is not None:  # the worst few are among the worst, and stand elsewhere now
            places = torch.searchsorted(kept, tokens[:, 0].contiguous())
            tokens = torch.cat([places[:, None], tokens[:, 1:]], dim=1)
        return dataclasses.replace(
            self,
            sequences=self.sequences.index_select(0, kept),
            vetoed=self.vetoed.index_select(0, kept),
            sample_ids=None if self.sample_ids is None else self.sample_ids.index_select(0, kept),
            tokens=tokens,
        )

    def _optional(self) -> dict[str, Tensor]:
        named = {
            "by_group": self.statistics.by_group,
            "sample_ids": self.sample_ids,
            "tokens": self.tokens,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}


def figures_of(correction: Correction, room: int, tokens: Tensor | None = None) -> Figures:
    """Return the figures of a correction, with the worst rows of its table where it has more than there is room for.

    Nothing of them is the trainer's own, which it may write over.
    """
    sequences, ids, vetoed = correction.sequences, correction.sample_ids, correction.vetoed
    if ids is not None:
        sequences, ids = by_place(sequences), ids.clone()
    there_were = torch.stack([vetoed.new_full((), len(vetoed), dtype=torch.int64), vetoed.sum()])
    return Figures(correction.statistics, sequences, vetoed, there_were, ids, tokens).within(room)


def by_place(sequences: Tensor) -> Tensor:
    """Return a table in which each sequence has its place in the batch for its number."""
    placed = sequences.clone()
    placed[:, _SAMPLE_ID] = torch.arange(len(placed), dtype=placed.dtype, device=placed.device)
    return placed


def whole(parts: Sequence[Figures]) -> tuple[list[Figures], list[str]]:
    """Return parts without what only some of them have, and the names of that: it would be shown as that of the whole.

    What a part without a sequence has, or has not, does not matter.
    """
    filled = [part for part in parts if part.sequences.shape[0]]
    lacking = {
        "sample_ids": [part.sample_ids is None for part in filled],
        "groups": [part.statistics.by_group is None for part in filled],
        "training_entropy": [not _sum(part, "entropy_tokens") for part in filled if _sum(part, "tokens")],
    }
    names = [name for name, missing in lacking.items() if any(missing) and not all(missing)]
    return [_without(part, names) for part in parts], names


def together(parts: Sequence[Figures], room: int) -> Figures:
    """Return the figures of a whole batch, of which ranks have the parts, in the order of ranks; all on the host."""
    ids = [part.sample_ids for part in parts if part.sample_ids is not None]
    sequences = torch.cat([part.sequences for part in _numbered(parts)])
    all_of_it = Figures(
        reduce(Statistics.merge, _grouped([part.statistics for part in parts])),
        sequences,
        torch.cat([part.vetoed for part in parts]),
        torch.stack([part.there_were for part in parts]).sum(dim=0),
        torch.cat(ids) if ids else None,
    )
    left = all_of_it.within(room)
    return dataclasses.replace(left, tokens=_worst_tokens(parts, left))


def _without(part: Figures, names: Sequence[str]) -> Figures:
    """Return figures without some of those that a trainer need not ask for."""
    statistics, sequences = part.statistics, part.sequences
    if "groups" in names:
        statistics = dataclasses.replace(statistics, by_group=None)
        sequences = sequences.clone()
        sequences[:, _GROUP] = -1
    if "training_entropy" in names:
        sums = fields_of(statistics.config).sums
        places = [sums.index("entropy"), sums.index("entropy_tokens")]
        vector, by_group = statistics.vector.clone(), statistics.by_group
        vector[places] = 0
        if by_group is not None:
            by_group = by_group.clone()
            by_group[:, places] = 0
        statistics = dataclasses.replace(statistics, vector=vector, by_group=by_group)
    ids = None if "sample_ids" in names else part.sample_ids
    return dataclasses.replace(part, statistics=statistics, sequences=sequences, sample_ids=ids)


def _sum(part: Figures, name: str) -> float:
    return float(part.statistics.vector[fields_of(part.statistics.config).sums.index(name)])


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
    """Return parts in which a sequence has its place in the whole batch for its number."""
    numbered, before = [], 0
    for part in parts:
        sequences = part.sequences.clone()
        sequences[:, _SAMPLE_ID] += before
        numbered.append(dataclasses.replace(part, sequences=sequences))
        before += int(part.there_were[0])
    return numbered


def _worst_tokens(parts: Sequence[Figures], left: Figures) -> Tensor | None:
    """Return the tokens of as many sequences as one rank has of its own: the worst of all that have a row left.

    A sequence is found by its place in the whole batch, which its row is numbered by.
    """
    with_tokens = [part.tokens for part in parts if part.tokens is not None]
    if not with_tokens:
        return None
    row_of = {int(place): row for row, place in enumerate(left.sequences[:, _SAMPLE_ID].tolist())}
    rows = []
    for part, numbered in zip(parts, _numbered(parts), strict=True):
        for one in [] if part.tokens is None else part.tokens:
            row = row_of.get(int(numbered.sequences[int(one[0]), _SAMPLE_ID]))
            if row is not None:
                rows.append(torch.cat([one.new_full((1,), row), one[1:]]))
    rows.sort(key=lambda row: (-int(row[2]), -float(left.sequences[int(row[0]), _SHARE])))
    most = max(len(tokens) for tokens in with_tokens)
    return torch.stack(rows[:most]) if rows else None
