"""Processes that are ranks of one group, for tests of what they do together."""

import datetime
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

BOUNDED = datetime.timedelta(seconds=60)
SECONDS = 100

needs_ranks = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(),
    reason="this torch cannot talk to other processes",
)


class Collectives(TorchDispatchMode):
    """Counts what ranks have to take part in."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace in ("c10d", "_c10d_functional"):
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def outcomes_of(part: Callable[[int], Any], world: int, directory: Path) -> list[Any]:
    """Return what a function returns on each rank; it is called with the rank's number, in a process of its own.

    Processes are forked from one that has torch already, which saves its import.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "torch.distributed", "rolloutwatch_correction", "hypothesis.extra.numpy"]
    )
    processes = [
        context.Process(target=_take_part, args=(part, rank, world, str(directory))) for rank in range(world)
    ]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join(SECONDS)
        assert [process.exitcode for process in processes] == [0] * world
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
    return [torch.load(directory / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _take_part(part: Callable[[int], Any], rank: int, world: int, directory: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{directory}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world, timeout=BOUNDED)
    torch.save(part(rank), Path(directory) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
