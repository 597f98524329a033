"""The judge: every weight, mask and figure of the correction again, slow and obvious.

One token at a time in float64, by the formulas of the catalogue, without a trick for speed or precision.
It shares no code with the product.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.oracle.arithmetic import Rows, Token, level_ratios, mean, ratio, spread, with_means
from tests.oracle.figures import (
    Place,
    along_responses,
    data_metrics,
    mismatch_metrics,
    removed_fractions,
    sequence_columns,
    share_of_rows,
    surprise,
    weight_metrics,
)
from tests.oracle.rejection import SEED_MODES, Limit, distances, rejected_by, rejection_metrics

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Verdict:
    """What is right for a batch.

    Attributes:
        log_ratios: Of the tokens that count.
        sequences: The per-sequence table, each row by column.
        margin: How far the nearest number stands from a threshold it is compared with, as a share of it.
            Where it is tiny, rounding decides, and the verdict on fractions, masks and veto is no better than another.
    """

    weights: Array | None
    response_mask: Array
    metrics: dict[str, float]
    log_ratios: list[float]
    sequences: list[dict[str, float]]
    margin: float


def judge(
    training: Array,
    rollout: Array,
    mask: Array,
    *,
    rollout_is: str | None = None,
    mode: str = "truncate",
    upper: float = 2.0,
    lower: float | None = None,
    normalize: bool = False,
    rejections: Sequence[tuple[str, float, float]] = (),
    veto: float | None = None,
    entropy: Array | None = None,
    group_ids: Sequence[int] | None = None,
    group_names: Sequence[str] = (),
    core: Collection[str] = (),
    sample_ids: Sequence[int] | None = None,
) -> Verdict:
    """Return the verdict on [B, T] log-probs, which are subtracted in the precision that they have.

    `core` names the figures that each group has.
    """
    lower = 1 / upper if lower is None else lower
    count, length = training.shape
    with np.errstate(all="ignore"):  # nothing that is not a number is looked at
        difference = training - rollout
        difference32 = training.astype(np.float32) - rollout.astype(np.float32)
    valid = [(b, t) for b in range(count) for t in range(length) if mask[b, t] != 0]
    tokens = [
        Token(b, t, float(training[b, t]), float(rollout[b, t]), float(difference[b, t]))
        for b, t in valid
        if math.isfinite(difference32[b, t])
    ]
    rows = {b: [token for token in tokens if token.sequence == b] for b in range(count)}
    filled = [row for row in rows.values() if row]
    metrics = data_metrics(valid, tokens, count)
    margins = [math.inf]
    if tokens:
        metrics |= mismatch_metrics(tokens, filled) | along_responses(tokens, valid)
        metrics |= spread("ratio", [ratio(token.log_ratio) for token in tokens])
        metrics |= spread("seq_ratio", [level_ratios("sequence", row)[0] for row in filled])
        metrics |= surprise(tokens, entropy)

    # weights
    ratios = [] if rollout_is is None else [level_ratios(rollout_is, row) for row in filled]
    weights = [[weight(r, mode, lower, upper) for r in row] for row in ratios]
    factor = normalization(weights, rollout_is) if normalize else 1.0
    if rollout_is is not None and tokens:
        metrics |= weight_metrics(rollout_is, mode, ratios, weights, lower, upper)
        metrics |= {"rollout_is_batch_norm_factor": factor} if normalize else {}
        margins += [abs(r / bound - 1) for r in with_means(ratios) for bound in (lower, upper)]
    weight_at = {
        (token.sequence, token.position): w
        for row, row_weights in zip(filled, weights, strict=bool(ratios))
        for token, w in zip(row, row_weights, strict=True)
    }
    masked = {at for at, w in weight_at.items() if w == 0}  # never where weights are truncated

    # rejection
    rejected: set[Place] = set()
    for limit in (Limit(*rejection) for rejection in rejections):
        own = rejected_by(limit, valid, rows)
        rejected |= own
        margins += distances(limit, filled)
        if valid and limit.name not in SEED_MODES:
            metrics |= removed_fractions(f"rollout_rs_{limit.name}", own, valid)
        if tokens:
            metrics |= rejection_metrics(limit, filled)
    if valid and rejections:
        metrics |= removed_fractions("rollout_rs", rejected, valid)

    # veto
    catastrophic = {at for at in valid if veto is not None and difference32[at] < math.log(veto)}
    vetoed_rows = {b for b, _ in catastrophic}
    vetoed = {at for at in valid if at[0] in vetoed_rows}
    if veto is not None:
        seen = [float(difference32[at]) for at in valid]
        margins += [abs(x - math.log(veto)) for x in seen if not math.isnan(x)]
    # a number that is not there is not above the threshold either: nobody can say that nothing is catastrophic
    if veto is not None and (tokens or catastrophic):
        metrics["rollout_is_veto_fraction"] = share_of_rows(vetoed, valid)
        metrics["rollout_is_catastrophic_token_fraction"] = len(catastrophic) / len(valid)
    if valid and (rejections or veto is not None or (rollout_is and mode == "mask")):
        metrics |= removed_fractions("rollout_is", rejected | vetoed | masked, valid)

    kept = set(valid) - rejected - vetoed
    in_loss = kept - masked
    places = {b: [at for at in valid if at[0] == b] for b in range(count)}
    table = [
        sequence_columns(
            rows[b],
            weight=mean(weight_at.get((b, token.position), 1.0) for token in rows[b]) if rows[b] else 0.0,
            kept=mean(at in in_loss for at in places[b]) if places[b] else 0.0,
            group=-1 if group_ids is None else group_ids[b],
            sample_id=b if sample_ids is None else sample_ids[b],
        )
        for b in range(count)
    ]

    # each group is a batch of its own
    for group, name in enumerate(group_names):
        own_rows = [b for b in range(count) if group_ids is not None and group_ids[b] == group]
        verdict = judge(
            training[own_rows], rollout[own_rows], mask[own_rows],
            rollout_is=rollout_is, mode=mode, upper=upper, lower=lower, rejections=rejections, veto=veto,
            entropy=None if entropy is None else np.broadcast_to(entropy, training.shape)[own_rows],
        )  # fmt: skip
        metrics |= {f"{metric}@{name}": x for metric, x in verdict.metrics.items() if metric in core}
        margins.append(verdict.margin)

    return Verdict(
        weights=None if rollout_is is None else scattered(weight_at, training.shape) / factor,
        response_mask=scattered(dict.fromkeys(kept, 1.0), training.shape) != 0,
        metrics=metrics,
        log_ratios=[token.log_ratio for token in tokens],
        sequences=table,
        margin=min(margins),
    )


def weight(r: float, mode: str, lower: float, upper: float) -> float:
    if mode == "truncate":
        return min(r, upper)
    return r if lower <= r <= upper else 0.0


def normalization(weights: Rows, level: str | None) -> float:
    """What the weights are divided by, so that their mean is 1: over tokens, or over sequences where each has one weight."""
    values = list(chain(*weights)) if level == "token" else [row[0] for row in weights]
    return mean(values) if values and mean(values) > 1e-8 else 1.0


def scattered(values: dict[Place, float], shape: tuple[int, ...]) -> Array:
    array = np.zeros(shape)
    for at, value in values.items():
        array[at] = value
    return array


def histogram(log_ratios: list[float], edges: Sequence[float]) -> list[int]:
    """Count log ratios between edges; a magnitude that stands on an edge belongs to the bin further from 0."""
    counts = [0] * (len(edges) + 1)
    for log_ratio in log_ratios:
        counts[sum(edge <= log_ratio if edge > 0 else edge < log_ratio for edge in edges)] += 1
    return counts
