"""A batch of log-probs, and sinks that misbehave."""

import threading
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from rolloutwatch import MemorySink, Monitor, SinkError
from rolloutwatch.sink import StreamLost
from rolloutwatch_contract import Record, StepRecord


def in_seconds(seconds: float) -> float:
    """A moment of time.monotonic()."""
    return time.monotonic() + seconds


def batch(sequences: int = 4, length: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """Arguments for `correct` and `observe`."""
    generator = torch.Generator().manual_seed(seed)
    training = -torch.rand(sequences, length, generator=generator)
    rollout = training + 0.1 * torch.randn(sequences, length, generator=generator)
    return {
        "training_logprobs": training,
        "rollout_logprobs": rollout,
        "response_mask": torch.ones(sequences, length),
    }


def monitor(sink: MemorySink, **options: object) -> Monitor:
    return Monitor(project="math", run="grpo", sink=sink, **options)  # type: ignore[arg-type]


def steps(records: Sequence[Record]) -> list[StepRecord]:
    return [record for record in records if isinstance(record, StepRecord)]


class Gate(MemorySink):
    """A sink that refuses everything while it is shut, and may take frames without saying so."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.silent_takes = 0  # how many batches are taken, and answered by an error
        self.forgetting = False  # whether all that was taken is lost before the next batch

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        self._pass()
        if self.forgetting:
            self.forgetting = False
            self.frames.clear()
            raise StreamLost("the stream is spoilt", self.archived)
        super().send(frames)
        if self.silent_takes:
            self.silent_takes -= 1
            raise SinkError("the answer was lost")
        return self.archived

    def _pass(self) -> None:
        if not self.open.is_set():
            raise SinkError("nobody is there")
