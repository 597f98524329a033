"""From statistics to metrics, on the host, in plain float64: once per step, at the end.

Names and formulas are those of the catalogue; a feature that is off brings no metric.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.tables import HISTOGRAM_EDGES
from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.statistics import HISTOGRAM_AT, LENGTH, MAXIMA, MAXIMA_AT, SUMS

Vector = npt.NDArray[np.float64]
Numbers = dict[str, float]


def metrics_of(vector: Vector, config: CorrectionConfig) -> Numbers:
    """Return every metric that the statistics of a batch and its configuration give; all of them are finite.

    A batch without a token that counts has counts and nothing else.
    """
    if vector.shape != (LENGTH,):
        raise ValueError(
            f"statistics have shape {vector.shape}: expected ({LENGTH},), the vector of Statistics."
        )
    sums = dict(zip(SUMS, vector[: len(SUMS)].tolist(), strict=True))
    maxima = dict(zip(MAXIMA, vector[MAXIMA_AT].tolist(), strict=True))
    metrics = _data(sums)
    if sums["tokens"]:
        metrics |= _divergence(sums, maxima) | _perplexity(sums, maxima) | _ratios(sums, maxima)
        metrics["logprob_abs_diff_p99"] = min(
            _percentile(histogram_of(vector), 0.99), maxima["log_ratio_abs"]
        )
        if config.rollout_is is not None:
            metrics |= _weights(sums, maxima, config)
    if config.rollout_token_veto_threshold is not None and sums["valid_tokens"]:
        metrics |= _veto(sums)
    return metrics


def histogram_of(vector: Vector) -> npt.NDArray[np.int64]:
    """Return how many tokens have a log ratio in each bin of HISTOGRAM_EDGES, int64 [len(edges) + 1]."""
    return vector[HISTOGRAM_AT].astype(np.int64)


def _data(sums: Numbers) -> Numbers:
    data = {
        "n_tokens": sums["valid_tokens"],
        "n_sequences": sums["sequences"],
        "n_empty_sequences": sums["sequences"] - sums["valid_sequences"],
    }
    if sums["valid_tokens"]:
        data["nonfinite_fraction"] = 1 - sums["tokens"] / sums["valid_tokens"]
    if sums["tokens"]:
        data["saturated_fraction"] = sums["saturated"] / sums["tokens"]
        data["zero_logprob_fraction"] = sums["zero_logprob"] / sums["tokens"]
    return data


def _divergence(sums: Numbers, maxima: Numbers) -> Numbers:
    n, sequences = sums["tokens"], sums["filled_sequences"]
    return {
        "mismatch_kl": -sums["log_ratio"] / n,
        "mismatch_k3_kl": max(0.0, sums["k3"] / n),
        # r^2 - 1 = 2 (r - 1) + (r - 1)^2
        "chi2_token": (2 * sums["ratio_off_one"] + sums["ratio_off_one_squared"]) / n,
        "chi2_seq": (2 * sums["seq_ratio_off_one"] + sums["seq_ratio_off_one_squared"]) / sequences,
        "logprob_abs_diff_mean": sums["log_ratio_abs"] / n,
        "logprob_abs_diff_max": maxima["log_ratio_abs"],
        "fraction_outside_2x": sums["outside_2x"] / n,
    }


def _perplexity(sums: Numbers, maxima: Numbers) -> Numbers:
    names = (
        "training_ppl",
        "training_log_ppl",
        "rollout_ppl",
        "rollout_log_ppl",
        "ppl_ratio",
        "log_ppl_diff",
        "log_ppl_abs_diff",
    )
    means = {f"mismatch_{name}": sums[name] / sums["filled_sequences"] for name in names}
    return means | {
        "mismatch_log_ppl_diff_max": maxima["log_ppl_diff"],
        "mismatch_log_ppl_diff_min": -maxima["minus_log_ppl_diff"],
    }


def _ratios(sums: Numbers, maxima: Numbers) -> Numbers:
    ratios = _spread("ratio", sums, "ratio", sums["tokens"])
    ratios |= _spread("seq_ratio", sums, "seq_ratio", sums["filled_sequences"])
    for name in ("ratio", "seq_ratio"):
        highest, lowest = maxima[name], -maxima[f"minus_{name}"]
        ratios[f"{name}_mean"] = _between(lowest, ratios[f"{name}_mean"], highest)
        ratios[f"{name}_max"], ratios[f"{name}_min"] = highest, lowest
    if (correlation := _correlation(sums)) is not None:
        ratios["prob_pearson_corr"] = correlation
    if sums["entropy_tokens"]:
        surprise = -sums["rollout_logprob"] / sums["tokens"]
        ratios["surprise_gap"] = surprise - sums["entropy"] / sums["entropy_tokens"]
    return ratios


def _weights(sums: Numbers, maxima: Numbers, config: CorrectionConfig) -> Numbers:
    n, sequences = sums["tokens"], sums["filled_sequences"]
    bounded = _spread("rollout_is", sums, "bounded_weight", n)
    by_sequence = sums["seq_weight_off_one"] / sequences
    highest, lowest = maxima["seq_weight"], -maxima["minus_seq_weight"]
    seq_high, seq_low = sums["seq_weight_high"] / sequences, sums["seq_weight_low"] / sequences
    # one ratio for each sequence is counted once for each sequence
    high, low = (
        (seq_high, seq_low)
        if config.rollout_is == "sequence"
        else (sums["weight_high"] / n, sums["weight_low"] / n)
    )
    return {
        "rollout_is_mean": _between(
            -maxima["minus_weight"], 1 + sums["weight_off_one"] / n, maxima["weight"]
        ),
        "rollout_is_std": bounded["rollout_is_std"],
        "rollout_is_eff_sample_size": bounded["rollout_is_eff_sample_size"],
        "rollout_is_max": maxima["weight"],
        "rollout_is_min": -maxima["minus_weight"],
        "rollout_is_ratio_fraction_high": high,
        "rollout_is_ratio_fraction_low": low,
        "rollout_is_seq_mean": _between(lowest, 1 + by_sequence, highest),
        "rollout_is_seq_std": _unbiased(sums["seq_weight_off_one_squared"], by_sequence, sequences),
        "rollout_is_seq_max": highest,
        "rollout_is_seq_min": lowest,
        "rollout_is_seq_max_deviation": max(abs(highest - 1), abs(lowest - 1)),
        "rollout_is_seq_fraction_high": seq_high,
        "rollout_is_seq_fraction_low": seq_low,
    }


def _veto(sums: Numbers) -> Numbers:
    # not "filled": a sequence of nothing but -inf has no token that counts, and can be vetoed all the same
    sequences = sums["valid_sequences"]
    return {
        "rollout_is_veto_fraction": sums["vetoed_sequences"] / sequences,
        "rollout_is_catastrophic_token_fraction": sums["catastrophic_tokens"] / sums["valid_tokens"],
        "rollout_is_masked_fraction": sums["removed_tokens"] / sums["valid_tokens"],
        "rollout_is_seq_masked_fraction": sums["sequences_removed_from"] / sequences,
    }


def _spread(name: str, sums: Numbers, of: str, n: float) -> Numbers:
    """Return mean, std and effective sample size of values whose sums stand under `of`."""
    off_one, about_one, about_zero = (
        sums[f"{of}{moment}"] / n for moment in ("_off_one", "_off_one_squared", "_squared")
    )
    mean = 1 + off_one
    # values near 1 cancel about 0, and values near 0 cancel about 1
    variance = about_one - off_one * off_one if about_one < about_zero else about_zero - mean * mean
    variance = min(max(0.0, variance), about_zero)
    return {
        f"{name}_mean": mean,
        f"{name}_std": math.sqrt(variance),
        # (E x)^2 / E x^2 = 1 - var / E x^2, which does not cancel where it is nearly 1
        f"{name}_eff_sample_size": 1 - variance / about_zero,
    }


def _between(lowest: float, mean: float, highest: float) -> float:
    """Return a mean without the rounding that carries it beyond the extremes."""
    return min(max(lowest, mean), highest)


def _unbiased(squares: float, mean: float, n: float) -> float:
    return math.sqrt(max(0.0, squares - n * mean * mean) / (n - 1)) if n > 1 else 0.0


def _correlation(sums: Numbers) -> float | None:
    """Return the Pearson correlation of the probabilities; None where one of them does not vary."""
    n = sums["tokens"]
    training, rollout = sums["training_prob"] / n, sums["rollout_prob"] / n
    variances = [
        sums["training_prob_squared"] / n - training * training,
        sums["rollout_prob_squared"] / n - rollout * rollout,
    ]
    # what is left of equal probabilities after rounding is no variance
    if min(variances) <= 1e-14:
        return None
    covariance = sums["prob_product"] / n - training * rollout
    return max(-1.0, min(1.0, covariance / math.sqrt(variances[0] * variances[1])))


def _percentile(counts: npt.NDArray[np.int64], share: float) -> float:
    """Return the value below which a share of |log ratio| lies, interpolated within its bin; infinite in the open bin."""
    half = len(HISTOGRAM_EDGES) // 2
    magnitudes: Sequence[float] = (0.0, *HISTOGRAM_EDGES[half:], math.inf)
    folded = counts[half:].copy()
    folded[1:] += counts[:half][::-1]
    wanted = share * int(folded.sum())
    below = 0.0
    for low, high, count in zip(magnitudes[:-1], magnitudes[1:], folded.tolist(), strict=True):
        if below + count >= wanted and count:
            return low + (high - low) * (wanted - below) / count if math.isfinite(high) else math.inf
        below += count
    return 0.0
