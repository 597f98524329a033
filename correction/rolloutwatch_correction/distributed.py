"""Figures of a batch whose parts are on several ranks: statistics are gathered once a step and merged.

A collective is something every rank has to take part in, on every step, with an empty batch too.
"""

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
    """
    if not (dist.is_available() and dist.is_initialized()):
        return statistics
    world = dist.get_world_size(process_group)
    size = statistics.vector.numel()
    by_group = statistics.by_group
    mine = statistics.vector if by_group is None else torch.cat([statistics.vector, by_group.flatten()])
    gathered = mine.new_empty(world * mine.numel())
    dist.all_gather_into_tensor(gathered, mine.contiguous(), group=process_group)
    return reduce(
        Statistics.merge,
        (
            Statistics(
                rank[:size],
                statistics.config,
                statistics.groups,
                None if by_group is None else rank[size:].view_as(by_group),
            )
            for rank in gathered.view(world, -1).unbind(0)
        ),
    )


def summed(numbers: Tensor, process_group: ProcessGroup) -> Tensor:
    """Return the sum of a small tensor over all ranks of a group."""
    total = numbers.clone()
    dist.all_reduce(total, group=process_group)
    return total
