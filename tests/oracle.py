"""The judge: every weight, mask and figure of the correction again, slow and obvious.

One token at a time in float64, by the formulas of the catalogue, without a trick for speed or precision.
It shares no code with the product.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Token(NamedTuple):
    """A valid token whose log-probs are finite."""

    sequence: int
    position: int
    training: float
    rollout: float
    log_ratio: float


@dataclass(frozen=True)
class Verdict:
    """What is right for a batch.

    Attributes:
        log_ratios: Of the tokens that count.
        sequences: The per-sequence table, each row by column.
        margin: How far the nearest ratio stands from a threshold it is compared with, as a share of it.
            Where it is tiny, rounding decides, and the verdict on fractions and veto is no better than another.
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
    upper: float = 2.0,
    lower: float | None = None,
    veto: float | None = None,
    entropy: Array | None = None,
) -> Verdict:
    """Return the verdict on [B, T] float32 or float64 log-probs, which are subtracted as they are."""
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
    margins = [math.inf]
    if veto is not None:
        margins += [
            abs(float(difference32[b, t]) - math.log(veto))
            for b, t in valid
            if not math.isnan(difference32[b, t])
        ]
    catastrophic = [(b, t) for b, t in valid if veto is not None and difference32[b, t] < math.log(veto)]
    vetoed = {b for b, _ in catastrophic}

    def ratio_of(token: Token) -> float:
        return ratio(token.log_ratio) if rollout_is == "token" else sequence_ratio(rows[token.sequence])

    def weight_of(token: Token) -> float:
        return min(ratio_of(token), upper)

    metrics = data_metrics(valid, tokens, count)
    if tokens:
        metrics |= mismatch_metrics(tokens, filled)
        metrics |= spread("ratio", [ratio(token.log_ratio) for token in tokens])
        metrics |= spread("seq_ratio", [sequence_ratio(row) for row in filled])
    if tokens and entropy is not None:
        known = [
            e
            for e in (float(entropy[token.sequence, token.position]) for token in tokens)
            if math.isfinite(e)
        ]
        if known:
            metrics["surprise_gap"] = mean(-token.rollout for token in tokens) - mean(known)
    if tokens and rollout_is is not None:
        ratios = [[ratio_of(token) for token in row] for row in filled]
        metrics |= weight_metrics(ratios, lower, upper, by_sequence=rollout_is == "sequence")
        compared = [*chain(*ratios), *map(mean, ratios)]
        margins += [abs(r / bound - 1) for r in compared for bound in (lower, upper)]
    if valid and veto is not None:
        sequences = len({b for b, _ in valid})
        removed = sum(b in vetoed for b, _ in valid)
        metrics |= {
            "rollout_is_veto_fraction": len(vetoed) / sequences,
            "rollout_is_catastrophic_token_fraction": len(catastrophic) / len(valid),
            "rollout_is_masked_fraction": removed / len(valid),
            "rollout_is_seq_masked_fraction": len(vetoed) / sequences,
        }

    weights = None if rollout_is is None else np.zeros((count, length))
    if weights is not None:
        for token in tokens:
            weights[token.sequence, token.position] = weight_of(token)
    kept = np.zeros((count, length), dtype=np.bool_)
    for b, t in valid:
        kept[b, t] = b not in vetoed
    table = [
        sequence_columns(
            rows[b],
            weight=1.0
            if rollout_is is None
            else mean(weight_of(token) for token in rows[b])
            if rows[b]
            else 0.0,
            kept=float(b not in vetoed and any(sequence == b for sequence, _ in valid)),
        )
        for b in range(count)
    ]
    return Verdict(
        weights=weights,
        response_mask=kept,
        metrics=metrics,
        log_ratios=[token.log_ratio for token in tokens],
        sequences=table,
        margin=min(margins),
    )


def data_metrics(valid: list[tuple[int, int]], tokens: list[Token], count: int) -> dict[str, float]:
    metrics = {
        "n_tokens": float(len(valid)),
        "n_sequences": float(count),
        "n_empty_sequences": float(count - len({b for b, _ in valid})),
    }
    if valid:
        metrics["nonfinite_fraction"] = 1 - len(tokens) / len(valid)
    if tokens:
        metrics["saturated_fraction"] = mean(abs(token.log_ratio) > 20 for token in tokens)
        metrics["zero_logprob_fraction"] = mean(token.rollout == 0 for token in tokens)
    return metrics


def mismatch_metrics(tokens: list[Token], filled: list[list[Token]]) -> dict[str, float]:
    log_ratios = [token.log_ratio for token in tokens]
    distances = sorted(abs(x) for x in log_ratios)
    training = [-mean(token.training for token in row) for row in filled]
    rollout = [-mean(token.rollout for token in row) for row in filled]
    differences = [a - b for a, b in zip(training, rollout, strict=True)]
    metrics = {
        "mismatch_kl": mean(-x for x in log_ratios),
        "mismatch_k3_kl": mean(exp(x) - 1 - x for x in log_ratios),
        "chi2_token": mean(ratio(x) ** 2 for x in log_ratios) - 1,
        "chi2_seq": mean(sequence_ratio(row) ** 2 for row in filled) - 1,
        "logprob_abs_diff_mean": mean(distances),
        "logprob_abs_diff_max": distances[-1],
        "logprob_abs_diff_p99": distances[math.ceil(0.99 * len(distances)) - 1],
        "fraction_outside_2x": mean(x > math.log(2) for x in distances),
        "mismatch_training_ppl": mean(map(exp, training)),
        "mismatch_training_log_ppl": mean(training),
        "mismatch_rollout_ppl": mean(map(exp, rollout)),
        "mismatch_rollout_log_ppl": mean(rollout),
        "mismatch_ppl_ratio": mean(map(exp, differences)),
        "mismatch_log_ppl_diff": mean(differences),
        "mismatch_log_ppl_abs_diff": mean(map(abs, differences)),
        "mismatch_log_ppl_diff_max": max(differences),
        "mismatch_log_ppl_diff_min": min(differences),
    }
    correlation = pearson([(exp(min(t.training, 0)), exp(min(t.rollout, 0))) for t in tokens])
    return metrics if correlation is None else metrics | {"prob_pearson_corr": correlation}


def weight_metrics(
    ratios: list[list[float]], lower: float, upper: float, *, by_sequence: bool
) -> dict[str, float]:
    weights = [[min(r, upper) for r in row] for row in ratios]
    every_ratio, every_weight = list(chain(*ratios)), list(chain(*weights))
    bounded = spread("rollout_is", [max(w, lower) for w in every_weight])
    means = [mean(row) for row in weights]
    center = mean(means)
    high = mean(mean(row) > upper for row in ratios)
    low = mean(mean(row) < lower for row in ratios)
    return {
        "rollout_is_mean": mean(every_weight),
        "rollout_is_max": max(every_weight),
        "rollout_is_min": min(every_weight),
        "rollout_is_std": bounded["rollout_is_std"],
        "rollout_is_eff_sample_size": bounded["rollout_is_eff_sample_size"],
        "rollout_is_ratio_fraction_high": high if by_sequence else mean(r > upper for r in every_ratio),
        "rollout_is_ratio_fraction_low": low if by_sequence else mean(r < lower for r in every_ratio),
        "rollout_is_seq_mean": center,
        "rollout_is_seq_std": math.sqrt(sum((v - center) ** 2 for v in means) / max(len(means) - 1, 1)),
        "rollout_is_seq_max": max(means),
        "rollout_is_seq_min": min(means),
        "rollout_is_seq_max_deviation": max(abs(v - 1) for v in means),
        "rollout_is_seq_fraction_high": high,
        "rollout_is_seq_fraction_low": low,
    }


def sequence_columns(row: list[Token], *, weight: float, kept: float) -> dict[str, float]:
    lowest = min(row, key=lambda token: token.log_ratio, default=None)
    highest = max(row, key=lambda token: token.log_ratio, default=None)
    return {
        "length": float(len(row)),
        "log_ratio_sum": math.fsum(token.log_ratio for token in row),
        "log_ratio_mean": mean(token.log_ratio for token in row) if row else 0.0,
        "log_ratio_min": lowest.log_ratio if lowest else 0.0,
        "log_ratio_max": highest.log_ratio if highest else 0.0,
        "log_ratio_min_position": float(lowest.position) if lowest else -1.0,
        "log_ratio_max_position": float(highest.position) if highest else -1.0,
        "k3_sum": math.fsum(exp(token.log_ratio) - 1 - token.log_ratio for token in row),
        "log_ratio_abs_sum": math.fsum(abs(token.log_ratio) for token in row),
        "training_logprob_sum": math.fsum(token.training for token in row),
        "rollout_logprob_sum": math.fsum(token.rollout for token in row),
        "weight_mean": weight if row else 0.0,
        "kept_fraction": kept,
    }


def ratio(log_ratio: float) -> float:
    return math.exp(min(max(log_ratio, -20.0), 20.0))


def sequence_ratio(row: list[Token]) -> float:
    """The clamp acts on the sum, so that opposite extremes still cancel."""
    return ratio(math.fsum(token.log_ratio for token in row))


def exp(x: float) -> float:
    """Held where a sum of it is still a number."""
    return math.exp(min(x, 600.0))


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def spread(name: str, values: list[float]) -> dict[str, float]:
    center = mean(values)
    return {
        f"{name}_mean": center,
        f"{name}_std": math.sqrt(mean((x - center) ** 2 for x in values)),
        f"{name}_max": max(values),
        f"{name}_min": min(values),
        f"{name}_eff_sample_size": center**2 / mean(x**2 for x in values),
    }


def pearson(pairs: list[tuple[float, float]]) -> float | None:
    """None where one of them varies too little to tell."""
    x, y = mean(a for a, _ in pairs), mean(b for _, b in pairs)
    variances = mean((a - x) ** 2 for a, _ in pairs), mean((b - y) ** 2 for _, b in pairs)
    if min(variances) <= 1e-9:
        return None
    return mean((a - x) * (b - y) for a, b in pairs) / math.sqrt(variances[0] * variances[1])
