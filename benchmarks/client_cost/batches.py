"""What a trainer hands over in a step: forty scalars, and what was measured of each sequence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.client_cost.content import CONFIG, NAMES
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import Correction, CorrectionConfig, correct

TOKENS = 32  # of a sequence; what is handed over does not depend on it
DIFFERENT = 4  # batches that take turns
LOG_RATIO = SEQUENCE_COLUMNS.index("log_ratio_mean")


@dataclass(frozen=True)
class Batch:
    """What was measured of a batch before the clock starts, and its mean log ratios, which others make a histogram of."""

    correction: Correction
    log_ratios: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Content:
    """What is logged in a step; `batch` is None where only scalars are."""

    scalars: dict[str, float]
    batch: Batch | None


class Contents:
    """Contents of any step, with so many sequences, 0 for scalars alone."""

    def __init__(self, sequences: int) -> None:
        self._batches = [_batch(sequences, seed) for seed in range(DIFFERENT)] if sequences else [None]

    def of(self, step: int) -> Content:
        """Return what a step logs: numbers as a trainer has them, Python's own."""
        scalars = {name: place + step / 7 for place, name in enumerate(NAMES)}
        return Content(scalars, self._batches[step % len(self._batches)])


def _batch(sequences: int, seed: int) -> Batch:
    random = torch.Generator().manual_seed(seed)
    training = -2 * torch.rand(sequences, TOKENS, generator=random)
    rollout = training + 0.05 * torch.randn(sequences, TOKENS, generator=random)
    mask = torch.ones(sequences, TOKENS)
    correction = correct(training, rollout, mask, CorrectionConfig.from_mapping(CONFIG))
    return Batch(correction, correction.sequences[:, LOG_RATIO].numpy().copy())
