"""What a trainer of these tests logs at each step, which whoever judges the archive can compute again."""

import functools
import math

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract import Array
from rolloutwatch_correction import Correction, CorrectionConfig, correct, histogram_of, metrics_of
from tests.client.batches import batch

NAMES = ("chaos/step", *(f"chaos/figure_{number}" for number in range(7)))
CONFIG = {"rollout_is": "token"}
STEPS_BETWEEN_CORRECTIONS = 50  # a correction brings a histogram and a table, in a record of its own
STEPS_BETWEEN_MARKS = 20
MARK = "weight_sync"

_DELICATE = (math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, -2.2e-308, 1.7976931348623157e308, 0.1)
_ROWS = 8191  # a prime, so that a value in the place of another one is found


@functools.cache
def _table(seed: int) -> npt.NDArray[np.float64]:
    """Doubles of any bits, and each kind that a careless encoding would lose."""
    generator = np.random.default_rng(seed)
    table = generator.integers(0, 2**64, _ROWS, dtype=np.uint64).view(np.float64)
    table[np.isnan(table)] = math.nan  # what a NaN carries along is lost where the processor computes with it
    table[generator.choice(_ROWS, len(_DELICATE) * 100, replace=False)] = _DELICATE * 100
    return table


def scalars(seed: int, step: int) -> dict[str, float]:
    """What is logged at a step."""
    table = _table(seed)
    figures = [float(table[(step * 7 + number * 1009) % _ROWS]) for number in range(len(NAMES) - 1)]
    return dict(zip(NAMES, [float(step), *figures], strict=True))


def column(seed: int, name: str, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What is logged under a name at each of these steps."""
    number = NAMES.index(name) - 1
    return steps.astype(np.float64) if number < 0 else _table(seed)[(steps * 7 + number * 1009) % _ROWS]


@functools.cache
def _corrections() -> tuple[Correction, ...]:
    config = CorrectionConfig.from_mapping(CONFIG)
    return tuple(correct(*batch(8, 16, seed).values(), config) for seed in range(5))


def has_correction(step: int) -> bool:
    return step % STEPS_BETWEEN_CORRECTIONS == 0


def correction(step: int) -> Correction:
    """What is recorded at a step that has a correction."""
    return _corrections()[step // STEPS_BETWEEN_CORRECTIONS % 5]


def measured(step: int) -> dict[str, float]:
    """The metrics of the correction of a step."""
    return dict(metrics_of(_vector(step), correction(step).config))


def has_mark(step: int) -> bool:
    return step % STEPS_BETWEEN_MARKS == 0


def tables(step: int) -> tuple[Array, Array]:
    """Histogram and table of the correction of a step."""
    one = correction(step)
    return Array.of(histogram_of(_vector(step), one.config)), Array.of(
        one.sequences.numpy().astype(np.float32)
    )


def records(steps: int) -> int:
    """How many records so many steps are."""
    return steps + sum(
        len(range(0, steps, every)) for every in (STEPS_BETWEEN_CORRECTIONS, STEPS_BETWEEN_MARKS)
    )


def _vector(step: int) -> npt.NDArray[np.float64]:
    return correction(step).statistics.vector.numpy()
