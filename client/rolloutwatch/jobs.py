"""What the trainer's calls leave behind for the background: jobs that become records when their figures have arrived."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from rolloutwatch.decoding import Decoder
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.figures import Figures
from rolloutwatch.ranks import Parcel
from rolloutwatch.surroundings import environment
from rolloutwatch.transfer import Arrival
from rolloutwatch_contract import Array, Record, RunStart, SequenceTokens, StepRecord
from rolloutwatch_correction import CorrectionConfig, group_metrics_of, histogram_of, metrics_of

BYTES_OF_A_SMALL_JOB = 500
BYTES_OF_A_THING = 150  # with what Python needs for it
_LARGEST = 3e38


class Job(Protocol):
    """Something to be made into a record when its figures have arrived."""

    size: int

    def ready(self) -> bool:
        """Tell, without waiting, whether `record` can be called."""

    def record(self, dropped: dict[str, int]) -> Record:
        """Make the record; `dropped` is the tally that goes with it."""


class Ready:
    """A record that waits for nothing; `things` is how many names and values are in it."""

    def __init__(self, make: Callable[[dict[str, int]], Record], things: int = 0) -> None:
        self.size = BYTES_OF_A_SMALL_JOB + BYTES_OF_A_THING * things
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
    """What was measured in a step, on its way from the device; `beside` are figures of it that are known already."""

    step: int
    time: float
    arrival: Arrival
    parcel: Parcel
    decoder: Decoder | None
    ledger: Ledger
    size: int
    beside: dict[str, float]

    def ready(self) -> bool:
        return self.arrival.ready()

    def record(self, dropped: dict[str, int]) -> Record:
        figures = self.parcel.opened(self.arrival.take())
        if figures is None:
            return StepRecord(self.step, self.time, {}, dropped=self.ledger.tally())
        statistics, vector = figures.statistics, figures.statistics.vector.numpy()
        metrics = metrics_of(vector, statistics.config) | self.beside
        if statistics.by_group is not None:
            metrics |= group_metrics_of(statistics.by_group.numpy(), statistics.groups, statistics.config)
        # a sum of disasters is beyond float32, and still a number
        sequences = figures.table().numpy().clip(-_LARGEST, _LARGEST).astype(np.float32)
        sample_ids = figures.sample_ids
        self._count_what_is_left_out(figures)
        return StepRecord(
            step=self.step,
            time=self.time,
            metrics=metrics,
            histogram=Array.of(histogram_of(vector, statistics.config)),
            sequences=Array.of(sequences),
            sample_ids=None if sample_ids is None else Array.of(sample_ids.numpy()),
            groups=statistics.groups if statistics.by_group is not None else (),
            tokens=() if figures.tokens is None else self._tokens(figures.tokens),
            # with what was lost on the way here, and what other ranks have told of
            dropped=self.ledger.tally(),
        )

    def _tokens(self, packed: Tensor) -> tuple[SequenceTokens, ...]:
        assert self.decoder is not None
        return self.decoder.read(self.step, packed.numpy())

    def _count_what_is_left_out(self, figures: Figures) -> None:
        rows, vetoed = figures.sequences.shape[0], int(figures.vetoed.sum())
        there_were, were_vetoed = figures.there_were.tolist()
        others = (there_were - rows) - (were_vetoed - vetoed)
        if others > 0:
            self.ledger.drop(
                DropReason.TOO_MANY,
                f"Step {self.step} has {there_were} sequences, of which the worst {rows} are sent one by one; "
                "figures are of all of them.",
                times=others,
            )
        if were_vetoed > vetoed:
            self.ledger.drop(
                DropReason.VETOED_LEFT_OUT,
                f"Step {self.step} has {were_vetoed} vetoed sequences, of which {vetoed} are sent one by one; "
                "figures are of all of them.",
                times=were_vetoed - vetoed,
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
