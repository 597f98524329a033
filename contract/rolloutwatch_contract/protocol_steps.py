"""What a dashboard may ask of one step: everything that was recorded there."""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.alerts import AlertView

Vector = npt.NDArray[np.float64]


class AttemptView(msgspec.Struct, frozen=True):
    """A session that did a step, and how many metrics it brought; `shown` if it speaks for the step."""

    session: str
    metrics: int
    shown: bool


class SequencesView(msgspec.Struct, frozen=True):
    """The per-sequence table of a step: float64 [rows] for each column of `SEQUENCE_COLUMNS` that came.

    Of each row its sample id, -1 where none is known, and the name of its group, None where it has none.
    `n_sequences` is how many the batch had, if that is known; where there are fewer rows only the worst were sent.
    """

    columns: dict[str, Vector]
    sample_ids: tuple[int, ...]
    groups: tuple[str | None, ...]
    n_sequences: int | None = None

    @property
    def total(self) -> int:
        """Return how many rows there are."""
        return len(self.sample_ids)

    @property
    def is_whole(self) -> bool:
        """Tell whether every sequence of the batch has a row, as far as is known."""
        return self.n_sequences is None or self.n_sequences <= self.total


class TokensView(msgspec.Struct, frozen=True):
    """The tokens of the sequence in a row of the table, as text, and the log ratio of each, float64 [tokens].

    It is NaN for a token outside the mask.
    """

    row: int
    texts: tuple[str, ...]
    log_ratios: Vector


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it is shown, or as the session of another attempt did it.

    `time` is the trainer's clock in seconds since 1970, None where that is not known.
    `histogram` counts the log ratio of tokens, int64 [bins]; those of `rolloutwatch_contract.tables` unless a stranger made it.
    `alerts` are those that stand after the step, as recorded; None for an attempt that is not shown.
    `previous` and `next` are the recorded steps beside it. What else came of a step without figures may be its marks alone.
    """

    run: str
    step: int
    session: str
    shown: bool
    time: float | None
    metrics: dict[str, float]
    histogram: npt.NDArray[np.int64] | None = None
    sequences: SequencesView | None = None
    tokens: tuple[TokensView, ...] = ()
    alerts: tuple[AlertView, ...] | None = ()
    attempts: tuple[AttemptView, ...] = ()
    previous: int | None = None
    next: int | None = None


class NoStep(msgspec.Struct, frozen=True, kw_only=True):
    """There is no such step, or no such attempt of it.

    `attempts` are the sessions that did it: without one of them it is not recorded; otherwise it was given up when
    the run was resumed, or another attempt was asked for. `previous` and `next` are the recorded steps beside it.
    """

    run: str
    step: int
    attempts: tuple[str, ...] = ()
    previous: int | None = None
    next: int | None = None


def k3_shares(sequences: SequencesView, metrics: Mapping[str, float]) -> Vector:
    """Return which share of the step's mismatch each sequence has, by the sum of K3, float64 [rows].

    It is of all tokens of the batch. Where only the worst sequences were sent and the step's figures do not tell
    what the others have, it is of those that were. A row whose K3 is not known, or beyond all numbers, has NaN.
    """
    own = sequences.columns.get("k3_sum")
    if own is None:
        return np.full(sequences.total, math.nan)
    total = float(own[np.isfinite(own)].sum())
    if not sequences.is_whole:
        total = max(total, _k3_of_batch(metrics))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Vector = np.where(np.isfinite(own), own / total if total > 0 else own * 0.0, math.nan)
    return shares


def _k3_of_batch(metrics: Mapping[str, float]) -> float:
    """Return the sum of K3 over all tokens of a batch, 0 where its figures do not tell."""
    broken = metrics.get("nonfinite_fraction", 0.0)
    total = metrics.get("mismatch_k3_kl", math.nan) * metrics.get("n_tokens", math.nan) * (1 - broken)
    return total if math.isfinite(total) else 0.0
