"""What a dashboard may ask of whoever has the data.

The server hands the dashboard a Source; so does a test, with a MemorySource.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt


class RunState(enum.Enum):
    """How a run is: its last session writes, is silent without having ended, ended, or ended badly."""

    LIVE = "live"
    STALLED = "stalled"
    FINISHED = "finished"
    CRASHED = "crashed"


class RunSummary(msgspec.Struct, frozen=True):
    """A run in one line. Steps are None before the first one; times are seconds since 1970."""

    id: str
    project: str
    name: str
    state: RunState
    first_step: int | None
    last_step: int | None
    started_at: float
    updated_at: float


class RunDetail(msgspec.Struct, frozen=True):
    """A run as a whole: its summary, the metrics it has, and what its trainer said of itself.

    `dropped` counts what the trainer could not deliver, by reason.
    `generation` names the history that series show: it is another one as soon as a session that was resumed
    takes over steps of an earlier one, and then all that was read before has to be read again.
    """

    summary: RunSummary
    metrics: tuple[str, ...]
    config: dict[str, str | int | float | bool | None]
    environment: dict[str, str]
    dropped: dict[str, int]
    generation: str = ""


class Series(msgspec.Struct, frozen=True):
    """One metric over steps: `step` int64 [n] ascending, `value` float64 [n], where NaN and infinity are values."""

    step: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]


class Source(Protocol):
    """Where the dashboard gets its data. Every call may come from any thread."""

    def runs(self) -> Sequence[RunSummary]:
        """Return all runs, the most recently updated first."""

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
    ) -> Mapping[str, Series]:
        """Return the series asked for, steps `from_step` to `to_step` inclusive.

        More than `points` values are thinned to about that many, keeping every column's minimum and maximum.
        A metric the run does not have gives an empty series.
        """
