"""What the trainer's calls leave behind for the background: jobs that become records when their figures have arrived."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rolloutwatch.surroundings import environment
from rolloutwatch.transfer import Arrival
from rolloutwatch_contract import Array, Record, RunStart, StepRecord
from rolloutwatch_correction import CorrectionConfig, group_metrics_of, histogram_of, metrics_of

BYTES_OF_A_SMALL_JOB = 500
_LARGEST = 3e38


class Job(Protocol):
    """Something to be made into a record when its figures have arrived."""

    size: int

    def ready(self) -> bool:
        """Tell, without waiting, whether `record` can be called."""

    def record(self, dropped: dict[str, int]) -> Record:
        """Make the record; `dropped` is the tally that goes with it."""


class Ready:
    """A record that waits for nothing."""

    size = BYTES_OF_A_SMALL_JOB

    def __init__(self, make: Callable[[dict[str, int]], Record]) -> None:
        self._make = make

    def ready(self) -> bool:
        return True

    def record(self, dropped: dict[str, int]) -> Record:
        return self._make(dropped)


@dataclass
class Start:
    """The beginning of a run; what surrounds it is looked up in the background."""

    project: str
    name: str
    config: CorrectionConfig
    size: int = BYTES_OF_A_SMALL_JOB

    def ready(self) -> bool:
        return True

    def record(self, dropped: dict[str, int]) -> Record:
        return RunStart(self.project, self.name, time.time(), self.config.as_dict(), environment())


@dataclass
class Measured:
    """What was measured in a step, on its way from the device."""

    step: int
    time: float
    arrival: Arrival
    config: CorrectionConfig
    groups: tuple[str, ...]
    size: int

    def ready(self) -> bool:
        return self.arrival.ready()

    def record(self, dropped: dict[str, int]) -> Record:
        vector, sequences, *by_group = self.arrival.take()
        metrics = metrics_of(vector, self.config)
        if by_group:
            metrics |= group_metrics_of(by_group[0], self.groups, self.config)
        return StepRecord(
            step=self.step,
            time=self.time,
            metrics=metrics,
            histogram=Array.of(histogram_of(vector, self.config)),
            # a sum of disasters is beyond float32, and still a number
            sequences=Array.of(sequences.clip(-_LARGEST, _LARGEST).astype(np.float32)),
            dropped=dropped,
        )


@dataclass
class Logged:
    """Scalars that were logged as tensors of a GPU, on their way from it."""

    step: int
    time: float
    names: list[str]
    arrival: Arrival
    size: int = BYTES_OF_A_SMALL_JOB

    def ready(self) -> bool:
        return self.arrival.ready()

    def record(self, dropped: dict[str, int]) -> Record:
        (values,) = self.arrival.take()
        return StepRecord(
            self.step, self.time, dict(zip(self.names, values.tolist(), strict=True)), dropped=dropped
        )
