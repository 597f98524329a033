"""What trainers push in these benchmarks, and runs that are long from the start."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.client_cost.content import CONFIG, FEW, NAMES, THRESHOLD
from rolloutwatch_contract import METRICS, Array, RunEnd, RunStart, StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.tables import HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_server.store import Entry, Position, Store
from rolloutwatch_server.store.chunks import LONG as COLUMN
from rolloutwatch_server.store.chunks import TIMES, write_chunk
from rolloutwatch_server.store.database import Database

PROJECT = "bench"
DIFFERENT = 4  # tables of sequences that take turns
TOKENS = 32  # of a sequence
BATCH = 200  # records that the ingest archives at once
BEGUN = 1200  # steps that are archived, and folded, where the rest is written as columns
PERIOD = 997  # a prime: as many different values has a figure, so that one in the place of another is found
LONG = run_id(PROJECT, "long")
FIGURES = tuple(METRICS)[:40]  # about as many as a run brings
SPIKED = "ratio_eff_sample_size"
SPIKE_VALUE = 0.05  # far from all else that this figure has
FOUR = ("ratio_eff_sample_size", "rollout_is_veto_fraction", "mismatch_ppl_ratio", "mismatch_k3_kl")


def figures(step: int, names: Sequence[str] = NAMES) -> dict[str, float]:
    """Return forty scalars of a step, which whoever judges the archive can compute again."""
    return {name: math.sin(step % PERIOD) + place for place, name in enumerate(names)}


class Records:
    """Records of any step with forty scalars, and with a table of 256 sequences and a histogram if so wanted."""

    def __init__(self, sequences: bool = True) -> None:
        self._tables = (
            [_tables(np.random.default_rng(seed)) for seed in range(DIFFERENT)] if sequences else []
        )

    def of(self, step: int, time: float) -> StepRecord:
        """Return the record of a step that was made at a time."""
        bare = StepRecord(step, time, figures(step))
        if not self._tables:
            return bare
        histogram, sequences = self._tables[step % len(self._tables)]
        return msgspec.structs.replace(bare, histogram=histogram, sequences=sequences)


def start(name: str, time: float) -> bytes:
    """Return the frame that a run begins with."""
    return encode(RunStart(PROJECT, name, time, dict(CONFIG), {}))


def _tables(random: np.random.Generator) -> tuple[Array, Array]:
    """Return the histogram and the table of sequences of a healthy batch, in float32 as a trainer sends them."""
    training = -2 * random.random((FEW, TOKENS))
    log_ratio = 0.05 * random.standard_normal((FEW, TOKENS))
    ratio = np.exp(log_ratio)
    columns = {
        "length": np.full(FEW, TOKENS),
        "log_ratio_sum": log_ratio.sum(1),
        "log_ratio_mean": log_ratio.mean(1),
        "log_ratio_min": log_ratio.min(1),
        "log_ratio_max": log_ratio.max(1),
        "log_ratio_min_position": log_ratio.argmin(1),
        "log_ratio_max_position": log_ratio.argmax(1),
        "k3_sum": (ratio - 1 - log_ratio).sum(1),
        "log_ratio_abs_sum": np.abs(log_ratio).sum(1),
        "training_logprob_sum": training.sum(1),
        "rollout_logprob_sum": (training - log_ratio).sum(1),
        "weight_mean": np.minimum(ratio, THRESHOLD).mean(1),
        "kept_fraction": np.ones(FEW),
        "group": np.full(FEW, -1),
        "sample_id": np.arange(FEW),
    }
    table = np.stack([columns[name] for name in SEQUENCE_COLUMNS], axis=1).astype(np.float32)
    bins = np.searchsorted(HISTOGRAM_EDGES, log_ratio.ravel())
    return Array.of(np.bincount(bins, minlength=len(HISTOGRAM_EDGES) + 1)), Array.of(table)


@dataclass(frozen=True)
class LongRun:
    """How long a run is; written `as_columns`, as the archive has it in the end, it is there at once.

    At the step `spike` one of its figures is far from where it usually is.
    """

    steps: int
    as_columns: bool
    spike: int | None = None

    def column(self, number: int, step: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return what one of the forty figures is at some steps."""
        values = curve(number, step)
        if FIGURES[number] == SPIKED and self.spike is not None:
            values[step == self.spike] = SPIKE_VALUE
        return values


def fill(path: Path, run: LongRun) -> None:
    """Make an archive that has the long run, a step a second, which has ended."""
    one_by_one = min(BEGUN, run.steps) if run.as_columns else run.steps
    with closing(Store(path)) as store:
        for batch in _batches(run, one_by_one):
            store.archive(stream_key(LONG, "s1"), batch)
    if one_by_one < run.steps:
        _write_columns(path, run, range(one_by_one, run.steps))
    with closing(Store(path)) as store:
        store.archive(stream_key(LONG, "s1"), [Entry(Position(run.steps + 2), RunEnd(float(run.steps)))])


def _batches(run: LongRun, steps: int) -> Iterator[list[Entry]]:
    frame = RunStart(PROJECT, "long", 0.0, dict(CONFIG), {})
    yield [Entry(Position(1), frame)]
    for first in range(0, steps, BATCH):
        values = [
            run.column(number, np.arange(first, min(first + BATCH, steps))) for number in range(len(FIGURES))
        ]
        rows = np.stack(values, axis=1).tolist()
        yield [
            Entry(Position(step + 2), StepRecord(step, float(step), dict(zip(FIGURES, row, strict=True))))
            for step, row in enumerate(rows, first)
        ]


def _write_columns(path: Path, run: LongRun, steps: range) -> None:
    """Write the columns that folding and merging so many steps would leave, and what is noted beside them."""
    database = Database(path)
    with database.write() as db:
        session = int(db.execute("SELECT id FROM sessions WHERE run = ?", (LONG,)).fetchone()[0])
        for first in range(steps.start, steps.stop, COLUMN):
            of = np.arange(first, min(first + COLUMN, steps.stop))
            for number, metric in enumerate(FIGURES):
                write_chunk(db, LONG, session, metric, Series(of, run.column(number, of)))
            write_chunk(db, LONG, session, TIMES, Series(of, of.astype(np.float64)))
        db.execute("UPDATE runs SET last_step = ? WHERE id = ?", (steps.stop - 1, LONG))
        db.execute(
            "UPDATE sessions SET latest_step = ?1, latest_time = ?1 WHERE id = ?2", (steps.stop - 1, session)
        )
    database.close()


def curve(number: int, step: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return a figure that wanders and has noise, as a trainer's does."""
    noise = (step * 2654435761 % 2**32) / 2**32
    values: npt.NDArray[np.float64] = 1 + 0.3 * np.sin(step / 5e4 + number) + 0.1 * noise
    return values
