"""Steps with all that goes along with one, from the log ratios of their tokens: plain NumPy, no correction."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract import Array, SequenceTokens, StepRecord
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES, SEQUENCE_COLUMNS

Tokens = npt.NDArray[np.float32]


def sequence_row(tokens: Tokens, group: int = -1, sample: int = -1, kept: float = 1.0) -> list[float]:
    """Return the row of a sequence in the table."""
    wide = tokens.astype(np.float64)
    figures = {
        "length": len(wide),
        "log_ratio_sum": wide.sum(),
        "log_ratio_mean": wide.mean(),
        "log_ratio_min": wide.min(),
        "log_ratio_max": wide.max(),
        "log_ratio_min_position": wide.argmin(),
        "log_ratio_max_position": wide.argmax(),
        "k3_sum": (np.expm1(wide) - wide).sum(),
        "log_ratio_abs_sum": np.abs(wide).sum(),
        "training_logprob_sum": -float(len(wide)) + wide.sum(),
        "rollout_logprob_sum": -float(len(wide)),
        "weight_mean": np.exp(wide).clip(max=2.0).mean(),
        "kept_fraction": kept,
        "group": group,
        "sample_id": sample,
    }
    return [float(figures[name]) for name in SEQUENCE_COLUMNS]


def histogram_of(sequences: Sequence[Tokens]) -> Array:
    """Count the log ratios of all tokens in the bins of the contract."""
    edges = np.array(HISTOGRAM_EDGES)
    places = np.searchsorted(edges, np.concatenate(sequences).astype(np.float64), side="right")
    return Array.of(np.bincount(places, minlength=HISTOGRAM_BINS))


def step_record(
    step: int,
    time: float,
    sequences: Sequence[Tokens],
    metrics: Mapping[str, float] | None = None,
    *,
    groups: Sequence[str] = (),
    kept: Mapping[int, float] | None = None,
    texts: Mapping[int, Sequence[str]] | None = None,
    n_sequences: int | None = None,
) -> StepRecord:
    """Return a step; of group i the sequences i, i + len(groups), ...; `kept` is 1 where nothing is said."""
    rows = [
        sequence_row(one, at % len(groups) if groups else -1, at, (kept or {}).get(at, 1.0))
        for at, one in enumerate(sequences)
    ]
    tokens = sum(map(len, sequences))
    own = {
        "n_sequences": float(n_sequences or len(sequences)),
        "n_tokens": float(tokens),
        "mismatch_k3_kl": sum(row[SEQUENCE_COLUMNS.index("k3_sum")] for row in rows) / tokens,
        "mismatch_kl": -sum(row[1] for row in rows) / tokens,
    }
    return StepRecord(
        step=step,
        time=time,
        metrics=own | dict(metrics or {}),
        histogram=histogram_of(sequences),
        sequences=Array.of(np.array(rows, dtype=np.float32)),
        sample_ids=Array.of(np.arange(1000, 1000 + len(rows))),
        groups=tuple(groups),
        tokens=tuple(
            SequenceTokens(at, tuple(words), Array.of(sequences[at][: len(words)]))
            for at, words in (texts or {}).items()
        ),
    )
