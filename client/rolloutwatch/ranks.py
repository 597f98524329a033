"""Ranks that share a batch: once a step each gives its part to all, and one of them pushes the whole.

Every rank takes part in that one collective whenever the others do: with an empty batch, and with nothing at all
where its part could not be measured. What is sent has the same size on every rank and step, agreed on at the beginning.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.figures import Figures, together, whole
from rolloutwatch.shown import said, shown, told
from rolloutwatch.transfer import Arrays
from rolloutwatch_contract.record import MAX_SEQUENCES
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import (
    Correction,
    CorrectionConfig,
    Groups,
    brought,
    correct,
    gathered,
    normalized,
    weight_sums,
)
from rolloutwatch_correction.distributed import ProcessGroup
from rolloutwatch_correction.statistics import Statistics, fields_of

T = TypeVar("T")

NO_STEP = -1
# Each rank may send all rows that a record has, up to eight ranks; beyond that they share 2.4 MB a step.
MAX_ROWS_TOGETHER = 8 * MAX_SEQUENCES
# Rows travel as what a record has of them, float32, with the veto; two such numbers in the place of one.
_WIDTH = len(SEQUENCE_COLUMNS) + 1 + (len(SEQUENCE_COLUMNS) + 1) % 2
_LARGEST = 3e38
_REASONS = tuple(reason.value for reason in DropReason)
# what stands before the figures of a rank
_HEAD = ("step", "measured", "has_groups", "has_sample_ids", "rows", "captured", *_REASONS)


@dataclass(frozen=True)
class Agreement:
    """What has to be the same on every rank.

    Attributes:
        config: The correction.
        groups: The names of all groups there are, () if figures of groups are not wanted.
        words: How many numbers the tokens of one sequence take, 0 if none are captured.
        captured: Of how many sequences of a rank they are.
    """

    config: CorrectionConfig
    groups: tuple[str, ...] = ()
    words: int = 0
    captured: int = 0


@dataclass(frozen=True)
class Parcel:
    """What has to be brought to the host, and how figures are made of it there; None if there are none.

    `weight_sums` is what weights of all ranks are divided by the mean of, where they are.
    """

    tensors: list[Tensor]
    opened: Callable[[Arrays], Figures | None]
    weight_sums: Tensor | None = None


class Company(Protocol):
    """The processes that share a batch."""

    pushes: bool  # whether this one pushes
    room: int  # for rows of the per-sequence table

    def accepted(self, groups: Groups) -> Groups:
        """Return groups of sequences if figures of them can be brought together; else raises ValueError."""

    def corrected(self, training: Any, rollout: Any, mask: Any, **more: Any) -> Correction:
        """Correct this process's part; raises as `correct` does."""

    def gather(self, step: int, figures: Figures | None) -> Parcel | None:
        """Bring figures together, None where there are none to give; None if there is nothing to push."""

    def completed(self, correction: Correction, parcel: Parcel | None) -> Correction:
        """Add to a correction of `corrected` what needs the other processes."""


class Alone:
    """One process that has the whole batch."""

    room = MAX_SEQUENCES

    def __init__(self, agreement: Agreement, *, pushes: bool = True) -> None:
        self.pushes = pushes
        self._config = agreement.config

    def accepted(self, groups: Groups) -> Groups:
        return groups

    def corrected(self, training: Any, rollout: Any, mask: Any, **more: Any) -> Correction:
        return correct(training, rollout, mask, self._config, **more)

    def gather(self, step: int, figures: Figures | None) -> Parcel | None:
        if step == NO_STEP or figures is None:
            return None
        return Parcel(figures.tensors(), figures.arrived)

    def completed(self, correction: Correction, parcel: Parcel | None) -> Correction:
        return correction


class Together:
    """One rank of several. They have to call `gather` equally often, each step, in the same order."""

    def __init__(
        self, process_group: ProcessGroup, agreement: Agreement, ledger: Ledger, *, pushes: bool
    ) -> None:
        world = dist.get_world_size(process_group)
        self.rank = dist.get_rank(process_group)
        self.pushes = pushes and self.rank == 0
        self.room = max(1, min(MAX_SEQUENCES, MAX_ROWS_TOGETHER // world))
        self._process_group = process_group
        self._device = _device_of(process_group)
        self._agreement = agreement
        self._ledger = ledger
        self._letter = Letter(agreement, self.room)
        # weights are divided by the mean over all ranks, which comes with the figures
        self._own_config = dataclasses.replace(agreement.config, rollout_is_batch_normalize=False)
        self._lost = False

    def accepted(self, groups: Groups) -> Groups:
        _check_names(groups.names, self._agreement)
        return groups

    def corrected(self, training: Any, rollout: Any, mask: Any, **more: Any) -> Correction:
        correction = correct(training, rollout, mask, self._own_config, **more)
        config = self._agreement.config
        statistics = dataclasses.replace(correction.statistics, config=config)
        return dataclasses.replace(correction, statistics=statistics, config=config)

    def gather(self, step: int, figures: Figures | None) -> Parcel | None:
        """Take part in the collective of this step, with nothing if there are no figures."""
        if self._lost:
            self._ledger.drop(DropReason.NOT_MEASURED)
            return None
        mine = self._written(step, figures)
        try:
            ranks = gathered(mine, self._process_group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the trainer's
            self._lost = True
            self._ledger.drop(
                DropReason.NOT_MEASURED,
                f"Step {step} and those after it are not measured: the other ranks cannot be reached: {said(error)}",
            )
            return None
        config = self._agreement.config
        sums = self._letter.weight_sums(ranks) if config.rollout_is_batch_normalize else None
        return Parcel([ranks], lambda arrays: self._opened(arrays[0], step), sums)

    def completed(self, correction: Correction, parcel: Parcel | None) -> Correction:
        config = self._agreement.config
        if correction.weights is None or not config.rollout_is_batch_normalize:
            return correction
        if parcel is None or parcel.weight_sums is None:
            raise RuntimeError(
                "weights cannot be divided by their mean over all ranks, as rollout_is_batch_normalize wants it: "
                "the other ranks cannot be reached. Look why one of them is gone."
            )
        return normalized(correction, parcel.weight_sums)

    def _written(self, step: int, figures: Figures | None) -> Tensor:
        """Return what this rank gives to the others; nothing but its tally where figures are not those agreed on."""
        if figures is not None:
            try:
                return self._letter.write(step, figures, self._ledger.tally(), self._device)
            except Exception as error:  # noqa: BLE001 - the others wait for this rank all the same
                self._ledger.drop(DropReason.NOT_MEASURED, f"Step {step} was not measured: {said(error)}")
        return self._letter.write(step, None, self._ledger.tally(), self._device)

    def _opened(self, ranks: Any, step: int) -> Figures | None:
        """Put together what the ranks have given, note what they have lost, and count whose part is missing."""
        letters = [self._letter.read(numbers) for numbers in ranks]
        others = [tally for place, (_, tally, _) in enumerate(letters) if place != self.rank]
        self._ledger.hear(others)
        for place, (at, _, _) in enumerate(letters):
            # one that has no step has counted that itself
            if at not in (step, NO_STEP):
                self._ledger.drop(
                    DropReason.NOT_MEASURED,
                    f"Rank {place} was at step {at} while rank {self.rank} was at step {step}, and its part is left out: "
                    "call the monitor equally often on every rank.",
                )
        parts = [figures for at, _, figures in letters if figures is not None and at == step]
        parts, missing = whole(parts)
        for name in missing:
            self._ledger.drop(
                DropReason.NOT_MEASURED,
                f"Step {step} is measured without {name}: some ranks have given none. Give it on every rank, or on none.",
            )
        return together(parts, MAX_SEQUENCES) if parts else None


class Letter:
    """How the figures of one rank are written into one row of numbers: as many on every rank and step."""

    def __init__(self, agreement: Agreement, room: int) -> None:
        fields = fields_of(agreement.config)
        self._agreement = agreement
        self._of_group = len(fields.sums) + len(fields.maxima)
        sizes = {
            "head": len(_HEAD),
            "vector": fields.length,
            "by_group": len(agreement.groups) * self._of_group,
            "there_were": 2,
            "sequences": room * _WIDTH // 2,
            "sample_ids": room,
            "tokens": agreement.captured * agreement.words,
        }
        ends = np.cumsum([0, *sizes.values()]).tolist()
        self._at = {name: slice(ends[place], ends[place + 1]) for place, name in enumerate(sizes)}
        self.length = ends[-1]

    def write(
        self, step: int, figures: Figures | None, tally: dict[str, int], device: torch.device
    ) -> Tensor:
        """Return float64 [length] on a device; integers are written with their own bits.

        Raises:
            ValueError: Figures are of another configuration, or of other groups, than agreed on.
        """
        letter = torch.zeros(self.length, dtype=torch.float64, device=device)
        head = dict.fromkeys(_HEAD, 0) | tally | {"step": step}
        if figures is not None:
            self._check(figures.statistics)
            self._write_figures(letter, figures)
            head |= {
                "measured": 1,
                "has_groups": figures.statistics.by_group is not None,
                "has_sample_ids": figures.sample_ids is not None,
                "rows": figures.sequences.shape[0],
                "captured": 0 if figures.tokens is None else figures.tokens.shape[0],
            }
        numbers = torch.tensor([float(head[name]) for name in _HEAD], dtype=torch.float64)
        letter[self._at["head"]].copy_(brought(numbers, device))
        return letter

    def read(self, numbers: Any) -> tuple[int, dict[str, int], Figures | None]:
        """Return step, tally and figures of a rank; None if it had none."""
        head = dict(zip(_HEAD, numbers[self._at["head"]].tolist(), strict=True))
        tally = {reason: int(head[reason]) for reason in _REASONS if head[reason]}
        return int(head["step"]), tally, self._read_figures(numbers, head) if head["measured"] else None

    def weight_sums(self, ranks: Tensor) -> Tensor:
        """Return the sum and the number of the weights of all ranks that have any, [2], on their device.

        Whatever they call this step: weights that are used together have one mean.
        """
        present = ranks[:, _HEAD.index("measured")] == 1
        sums = weight_sums(ranks[:, self._at["vector"]], self._agreement.config)
        return sums.masked_fill(~present[:, None], 0).sum(dim=0)

    def _write_figures(self, letter: Tensor, figures: Figures) -> None:
        integers = letter.view(torch.int64)
        statistics = figures.statistics
        for name, tensor, where in (
            ("vector", statistics.vector, letter),
            ("by_group", statistics.by_group, letter),
            ("there_were", figures.there_were, integers),
            ("sequences", _as_pairs(figures), letter),
            ("sample_ids", figures.sample_ids, integers),
            ("tokens", figures.tokens, integers),
        ):
            if tensor is not None:
                numbers = tensor.flatten()
                there = brought(numbers, letter.device) if numbers.device.type == "cpu" else numbers
                where[self._at[name]][: numbers.numel()].copy_(there)

    def _read_figures(self, numbers: Any, head: dict[str, float]) -> Figures:
        agreement, rows = self._agreement, int(head["rows"])
        integers = numbers.view(np.int64)
        by_group = sample_ids = tokens = None
        if head["has_groups"]:
            by_group = self._table(numbers, "by_group", len(agreement.groups), self._of_group)
        if head["has_sample_ids"]:
            sample_ids = torch.from_numpy(integers[self._at["sample_ids"]][:rows])
        if head["captured"]:
            tokens = self._table(integers, "tokens", int(head["captured"]), agreement.words)
        vector = torch.from_numpy(numbers[self._at["vector"]])
        table = self._table(numbers.view(np.float64), "sequences", rows, _WIDTH // 2).view(torch.float32)
        return Figures(
            Statistics(vector, agreement.config, agreement.groups, by_group),
            table[:, : len(SEQUENCE_COLUMNS)].double(),
            table[:, len(SEQUENCE_COLUMNS)] != 0,
            torch.from_numpy(integers[self._at["there_were"]]),
            sample_ids,
            tokens,
        )

    def _table(self, numbers: Any, name: str, rows: int, columns: int) -> Tensor:
        return torch.from_numpy(numbers[self._at[name]][: rows * columns]).view(rows, columns)

    def _check(self, statistics: Statistics) -> None:
        agreed = self._agreement
        if statistics.config != agreed.config:
            raise ValueError(
                f"the correction is one of {statistics.config}: expected the monitor's own, {agreed.config}."
            )
        if statistics.by_group is not None:
            _check_names(statistics.groups, agreed)


def _as_pairs(figures: Figures) -> Tensor:
    """Return rows as float32 with the veto behind them, two numbers in the place of one float64."""
    # a sum of disasters is beyond float32, and still a number
    rows = figures.sequences.clamp(-_LARGEST, _LARGEST).float()
    marked = torch.cat([rows, figures.vetoed[:, None].float()], dim=1)
    return torch.nn.functional.pad(marked, (0, _WIDTH - marked.shape[1])).contiguous().view(torch.float64)


def _check_names(groups: tuple[str, ...], agreement: Agreement) -> None:
    if groups != agreement.groups:
        raise ValueError(
            f"groups are {', '.join(groups)}: expected those that every rank has been told of, "
            f"{', '.join(agreement.groups) or 'none'}. Name all there are: Monitor(group_names=[...])."
        )


def company_of(
    process_group: ProcessGroup | None, agreement: Agreement, ledger: Ledger, *, push: bool
) -> Company:
    """Return who shares the batch."""
    if process_group is None:
        return Alone(agreement, pushes=push)
    return Together(process_group, agreement, ledger, pushes=push)


def agreed(
    process_group: ProcessGroup | None,
    settings: Callable[[], T],
    differing: Callable[[T], Mapping[str, object]],
) -> T:
    """Return the settings of the first rank; every rank has to call this at the same time.

    Args:
        process_group: The ranks; None means that there is only this process.
        settings: Makes the settings of this rank, and may raise ValueError.
        differing: Returns what of them has to be the same on every rank, by the names of the arguments.

    Raises:
        ValueError: Settings of a rank cannot be, or are not those of the first one; on all ranks, lest one waits.
    """
    if process_group is None:
        return settings()
    _check_group(process_group)
    try:
        own: T | ValueError = settings()
    except ValueError as error:
        own = error
    except Exception as error:  # noqa: BLE001 - the others wait for this rank all the same
        own = ValueError(told(error))
    everyone: list[Any] = [None] * dist.get_world_size(process_group)
    dist.all_gather_object(everyone, own, group=process_group)
    for rank, other in enumerate(everyone):
        if isinstance(other, ValueError):
            raise ValueError(f"Rank {rank} cannot take part: {other}")
    first: T = everyone[0]
    expected = differing(first)
    for rank, other in enumerate(everyone):
        came = differing(other)
        if names := [name for name in expected if came[name] != expected[name]]:
            here = "; ".join(
                f"{name} is {shown(expected[name])} on rank 0 and {shown(came[name])} on rank {rank}"
                for name in names
            )
            raise ValueError(
                f"Ranks have built other monitors: expected the same arguments on every rank, but {here}."
            )
    return first


def _check_group(process_group: object) -> None:
    if not (dist.is_available() and dist.is_initialized()):
        raise ValueError(
            "process_group needs torch.distributed: call torch.distributed.init_process_group first, "
            "or leave process_group out where one process has the whole batch."
        )
    if process_group is dist.GroupMember.NON_GROUP_MEMBER or not isinstance(process_group, dist.ProcessGroup):
        raise ValueError(
            f"process_group is {shown(process_group)}: expected a group that this process is a member of, "
            "such as torch.distributed.group.WORLD."
        )


def _device_of(process_group: ProcessGroup) -> torch.device:
    """Return where a group talks, the same kind of place on every rank whatever its batch is."""
    backends = dist.get_backend_config(process_group)
    return torch.device("cuda" if "nccl" in str(backends) and torch.cuda.is_available() else "cpu")
