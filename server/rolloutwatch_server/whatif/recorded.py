"""What is recorded of some steps, side by side, and what of it cannot be believed.

Axes: S steps, R rows, H bins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.tables import HISTOGRAM_BINS, SEQUENCE_COLUMNS
from rolloutwatch_server.store import StepTables

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

COUNTS = ("n_tokens", "n_sequences", "n_empty_sequences", "nonfinite_fraction")
MOMENTS = ("ratio_mean", "ratio_std", "ratio_eff_sample_size")
FIGURES = (*COUNTS, *MOMENTS)

NO_TABLES = "nothing is recorded of its sequences or tokens"
NO_COUNTS = "n_tokens, n_sequences and n_empty_sequences of the step are not recorded"
STRANGE_TABLE = "its table of sequences is none that a correction makes"
STRANGE_HISTOGRAM = "its histogram is none that a correction makes"
NOT_TOGETHER = "its figures and its tables are not of the same batch"

_USED = SEQUENCE_COLUMNS[: SEQUENCE_COLUMNS.index("rollout_logprob_sum") + 1]


@dataclass(frozen=True)
class Rows:
    """Columns of per-sequence tables, float64 [S, R] each; 0 in an empty sequence."""

    length: Vector
    total: Vector
    mean: Vector
    lowest: Vector
    highest: Vector
    k3: Vector
    size: Vector
    rollout: Vector

    @property
    def filled(self) -> Flags:
        """Flag sequences that have a token."""
        return self.length > 0


@dataclass(frozen=True)
class Recorded:
    """Steps with what is known of each.

    Attributes:
        step: int64 [S].
        rows: The per-sequence tables.
        histogram: float64 [S, H], counts; 0 where there is none.
        has_histogram: bool [S].
        valid: float64 [S], valid tokens; `counted` those of them whose log-probs are finite.
        valid_sequences: float64 [S], sequences with a valid token.
        missing_rows: float64 [S], how many sequences have no row; `missing_tokens` how many tokens are in them.
        moments: float64 [S] each, of the untouched ratios; NaN where they are not recorded.
        trouble: For each step why nothing can be said of it, empty if something can.
    """

    step: npt.NDArray[np.int64]
    rows: Rows
    histogram: Vector
    has_histogram: Flags
    valid: Vector
    counted: Vector
    valid_sequences: Vector
    missing_rows: Vector
    missing_tokens: Vector
    moments: Mapping[str, Vector]
    trouble: Sequence[str]

    @property
    def is_whole(self) -> Flags:
        """Flag steps of which every sequence has a row."""
        whole: Flags = self.missing_rows == 0
        return whole

    @property
    def nonfinite(self) -> Vector:
        """Return how many valid tokens have log-probs that are not finite."""
        return self.valid - self.counted


def recorded(steps: Sequence[int], tables: Sequence[StepTables], figures: Mapping[str, Vector]) -> Recorded:
    """Put steps side by side.

    Args:
        steps: Their numbers.
        tables: What goes along with each.
        figures: float64 [S] of each of FIGURES, NaN where there is none.
    """
    read = [_table(one) for one in tables]
    histograms = [_histogram(one) for one in tables]
    rows = _side_by_side(read)
    counts = np.array([0 if table is None else len(table) for table in read], dtype=np.float64)
    histogram = np.array([np.zeros(HISTOGRAM_BINS) if one is None else one for one in histograms])
    tokens = rows.length.sum(axis=1)
    valid = figures["n_tokens"]
    # absent where no token is valid
    broken = np.where(valid == 0, 0.0, figures["nonfinite_fraction"])
    with np.errstate(invalid="ignore"):
        counted = np.rint(valid * (1 - broken))
        has_histogram = np.array([one.histogram is not None for one in tables])
        fit = (figures["n_sequences"] >= counts) & (counted >= tokens)
        fit &= (figures["n_sequences"] != counts) | (counted == tokens)
        fit &= ~has_histogram | (histogram.sum(axis=1) == counted)
    known = np.isfinite(figures["n_sequences"] + figures["n_empty_sequences"] + counted)
    trouble = [
        _trouble(*each) for each in zip(tables, read, histograms, known.tolist(), fit.tolist(), strict=True)
    ]
    return Recorded(
        step=np.array(steps, dtype=np.int64),
        rows=rows,
        histogram=histogram,
        has_histogram=has_histogram,
        valid=valid,
        counted=counted,
        valid_sequences=figures["n_sequences"] - figures["n_empty_sequences"],
        missing_rows=figures["n_sequences"] - counts,
        missing_tokens=counted - tokens,
        moments={name: figures[name] for name in MOMENTS},
        trouble=trouble,
    )


def _side_by_side(read: Sequence[Vector | None]) -> Rows:
    """Return the rows of all steps, filled up with rows of 0 to the most that one has."""
    most = max([1, *(len(table) for table in read if table is not None)])
    padded = np.zeros((len(read), most, len(_USED)))
    for at, table in enumerate(read):
        if table is not None:
            padded[at, : len(table)] = table
    column = {name: padded[:, :, place] for place, name in enumerate(_USED)}
    return Rows(
        length=column["length"],
        total=column["log_ratio_sum"],
        mean=column["log_ratio_mean"],
        lowest=column["log_ratio_min"],
        highest=column["log_ratio_max"],
        k3=column["k3_sum"],
        size=column["log_ratio_abs_sum"],
        rollout=column["rollout_logprob_sum"],
    )


def _table(tables: StepTables) -> Vector | None:
    """Return the columns that are used, [rows, columns], None if this is no table of sequences."""
    if tables.sequences is None:
        return np.zeros((0, len(_USED)))
    table = tables.sequences.numpy()
    if table.ndim != 2 or table.shape[1] != len(SEQUENCE_COLUMNS):
        return None
    used = table[:, : len(_USED)].astype(np.float64)
    length = used[:, 0]
    is_sound = bool(np.isfinite(used).all() and (length >= 0).all() and (length == np.rint(length)).all())
    return used if is_sound else None


def _histogram(tables: StepTables) -> Vector | None:
    if tables.histogram is None:
        return np.zeros(HISTOGRAM_BINS)
    counts = tables.histogram.numpy()
    if counts.shape != (HISTOGRAM_BINS,) or not (counts >= 0).all():
        return None
    return counts.astype(np.float64)


def _trouble(
    tables: StepTables, table: Vector | None, histogram: Vector | None, is_known: bool, fits: bool
) -> str:
    if tables.sequences is None and tables.histogram is None:
        return NO_TABLES
    if table is None:
        return STRANGE_TABLE
    if histogram is None:
        return STRANGE_HISTOGRAM
    if not is_known:
        return NO_COUNTS
    return "" if fits else NOT_TOGETHER
