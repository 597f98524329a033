"""Figures of a batch: of its data, of the mismatch of the two policies, of weights, and of each sequence."""

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy.typing as npt

from tests.oracle.arithmetic import Rows, Token, exp, extremes, level_ratios, mean, outside, ratio, spread

Place = tuple[int, int]  # sequence and position of a token


def data_metrics(valid: list[Place], tokens: list[Token], count: int) -> dict[str, float]:
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
    differences = [-mean(token.log_ratio for token in row) for row in filled]
    metrics = {
        "mismatch_kl": mean(-x for x in log_ratios),
        "mismatch_k3_kl": mean(exp(x) - 1 - x for x in log_ratios),
        "chi2_token": mean(ratio(x) ** 2 for x in log_ratios) - 1,
        "chi2_seq": mean(level_ratios("sequence", row)[0] ** 2 for row in filled) - 1,
        "logprob_abs_diff_mean": mean(distances),
        "logprob_abs_diff_max": distances[-1],
        "logprob_abs_diff_median": distances[math.ceil(0.5 * len(distances)) - 1],
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
    told = {
        "prob_pearson_corr": pearson([(exp(min(t.training, 0)), exp(min(t.rollout, 0))) for t in tokens]),
        "logprob_slope": slope(tokens),
        "mismatch_k3_seq_share_max": largest_share([k3_of(row) for row in filled]),
    }
    return metrics | {name: value for name, value in told.items() if value is not None}


def along_responses(tokens: list[Token], valid: list[Place]) -> dict[str, float]:
    """A response reaches from its first valid token to its last, whatever is between them."""
    quarters: dict[str, list[float]] = {"first": [], "last": []}
    positions: dict[int, list[int]] = {}
    for b, t in valid:
        positions.setdefault(b, []).append(t)
    ends = {b: (min(row), max(row)) for b, row in positions.items()}
    for token in tokens:
        first, last = ends[token.sequence]
        place, length = token.position - first, last - first + 1
        if 4 * place < length:
            quarters["first"].append(abs(token.log_ratio))
        if 4 * place >= 3 * length:
            quarters["last"].append(abs(token.log_ratio))
    return {f"logprob_abs_diff_{name}_quarter": mean(sizes) for name, sizes in quarters.items() if sizes}


def surprise(tokens: list[Token], entropy: npt.NDArray[Any] | None) -> dict[str, float]:
    """The entropy is of each token, or one number for all; where it is no number, it is not known."""
    if entropy is None:
        return {}
    entropies = [float(entropy if entropy.ndim == 0 else entropy[t.sequence, t.position]) for t in tokens]
    known = [x for x in entropies if math.isfinite(x)]
    return {"surprise_gap": mean(-token.rollout for token in tokens) - mean(known)} if known else {}


def weight_metrics(
    level: str, mode: str, ratios: Rows, weights: Rows, lower: float, upper: float
) -> dict[str, float]:
    bounded = [min(max(w, lower), upper) if mode == "truncate" else w for w in chain(*weights)]
    return (
        extremes("rollout_is", weights, ideal=1)
        | spread("rollout_is", bounded, only=("std", "eff_sample_size"))
        | outside("rollout_is", ratios, lower, upper, by_sequence=level == "sequence")
    )


def removed_fractions(name: str, removed: set[Place], valid: list[Place]) -> dict[str, float]:
    return {
        f"{name}_masked_fraction": len(removed) / len(valid),
        f"{name}_seq_masked_fraction": share_of_rows(removed, valid),
    }


def share_of_rows(some: Iterable[Place], valid: list[Place]) -> float:
    return len({b for b, _ in some}) / len({b for b, _ in valid})


def pearson(pairs: list[tuple[float, float]]) -> float | None:
    """None where one of them varies too little to tell."""
    x, y = mean(a for a, _ in pairs), mean(b for _, b in pairs)
    variances = mean((a - x) ** 2 for a, _ in pairs), mean((b - y) ** 2 for _, b in pairs)
    if min(variances) <= 1e-9:
        return None
    return mean((a - x) * (b - y) for a, b in pairs) / math.sqrt(variances[0] * variances[1])


def slope(tokens: list[Token]) -> float | None:
    """None where the rollout log-probs vary too little to tell."""
    pairs = [(t.rollout, t.rollout + t.log_ratio) for t in tokens]  # with the difference as it was taken
    rollout, training = mean(x for x, _ in pairs), mean(y for _, y in pairs)
    variance = mean((x - rollout) ** 2 for x, _ in pairs)
    if variance <= 1e-6 * max(1.0, mean(x**2 for x, _ in pairs)):
        return None
    return mean((x - rollout) * (y - training) for x, y in pairs) / variance


def k3_of(row: list[Token]) -> float:
    return math.fsum(exp(token.log_ratio) - 1 - token.log_ratio for token in row)


def largest_share(sums: list[float]) -> float | None:
    """None where there is so little that it may be rounding."""
    return max(sums) / math.fsum(sums) if math.fsum(sums) > 1e-4 else None


def sequence_columns(
    row: list[Token], *, weight: float, kept: float, group: int, sample_id: int
) -> dict[str, float]:
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
        "k3_sum": k3_of(row),
        "log_ratio_abs_sum": math.fsum(abs(token.log_ratio) for token in row),
        "training_logprob_sum": math.fsum(token.training for token in row),
        "rollout_logprob_sum": math.fsum(token.rollout for token in row),
        "weight_mean": weight,
        "kept_fraction": kept,
        "group": float(group),
        "sample_id": float(sample_id),
    }
