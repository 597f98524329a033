"""Figures of a batch whose parts are on several ranks: statistics are gathered once a step and merged.

A collective is something every rank has to take part in, on every step, with an empty batch too.
"""

import dataclasses
import zlib
from functools import reduce
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch import distributed as dist

from rolloutwatch_correction.statistics import Statistics

ProcessGroup: TypeAlias = Any  # a torch.distributed.ProcessGroup, which not every build of torch has


def all_reduce_statistics(statistics: Statistics, process_group: ProcessGroup | None = None) -> Statistics:
    """Return the statistics of all ranks together, the same on every rank, by one collective.

    Sums and maxima cannot share a reduction, but a few hundred numbers of each rank can be gathered,
    and merged in the order of ranks they are the same everywhere to the last bit.

    Args:
        statistics: Of this rank's part of the batch; an empty part has statistics too.
        process_group: The ranks that share the batch; None means all. None is needed where only one process is.

    Raises:
        ValueError: Groups are named by what occurs on this rank alone, or ranks have other configurations or names.
            On a GPU, where to look would be to wait, all figures are NaN in the latter case.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return statistics
    if statistics.groups and not statistics.declared:
        raise ValueError(
            f"groups {', '.join(statistics.groups)} are those of one rank's batch, and other ranks may have others: "
            "expected the same names on every rank. Groups.of(labels, names=...) names all there are."
        )
    size, by_group = statistics.vector.numel(), statistics.by_group
    what = statistics.vector.new_full((1,), _digest(statistics))
    mine = torch.cat([what, statistics.vector, *([] if by_group is None else [by_group.flatten()])])
    # ranks that have other sums must still send as many numbers to be told so: gloo ends a process that does not
    mine = torch.nn.functional.pad(mine, (0, -mine.numel() % NUMBERS_AT_LEAST))
    ranks = gathered(mine, process_group)
    alike = ranks[:, 0].eq(what).all()
    if ranks.device.type == "cpu" and not alike:
        raise ValueError(
            "statistics of ranks cannot be added up: expected the same names of groups in the same order, and the same "
            f"configuration, on every rank; here they are {statistics.groups} and {statistics.config}."
        )
    ranks = torch.where(alike, ranks[:, 1:], torch.nan)
    parts = (
        dataclasses.replace(
            statistics,
            vector=rank[:size],
            by_group=None if by_group is None else rank[size : size + by_group.numel()].view_as(by_group),
        )
        for rank in ranks.unbind(0)
    )
    return reduce(Statistics.merge, parts)


NUMBERS_AT_LEAST = 4096  # 32 KiB from each rank, more than any configuration without groups has

# which has another name since torch 2.13
_gather: Any = getattr(dist, "all_gather_single", None) or getattr(dist, "all_gather_into_tensor", None)


def gathered(mine: Tensor, process_group: ProcessGroup | None) -> Tensor:
    """Return what all ranks of a group give, [ranks, n], by one collective; each has to give as many numbers, [n]."""
    world = dist.get_world_size(process_group)
    together = mine.new_empty(world * mine.numel())
    _gather(together, mine, group=process_group)
    return together.view(world, -1)


def _digest(statistics: Statistics) -> float:
    """Return a number that is the same where statistics consist of the same sums."""
    return float(zlib.crc32(repr((statistics.config, statistics.groups)).encode()))


def summed(numbers: Tensor, process_group: ProcessGroup) -> Tensor:
    """Return the sum of a small tensor over all ranks of a group."""
    total = numbers.clone()
    dist.all_reduce(total, group=process_group)
    return total
