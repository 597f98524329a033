"""From statistics to metrics, on the host, in plain float64: once per step, at the end.

Names and formulas are those of the catalogue; a feature that is off brings no metric.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.catalogue import CORE_METRICS
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.tables import HISTOGRAM_EDGES
from rolloutwatch_contract.values import Rejection
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND
from rolloutwatch_correction.statistics import WEIGHT, fields_of

Vector = npt.NDArray[np.float64]
Numbers = dict[str, float]

REJECTION = "rollout_rs"
SMALLEST_MEAN_WEIGHT = 1e-8  # below it weights are not divided by their mean
TINY_MEAN = 1e-3  # of ratios, below which what float32 keeps of ratio - 1 is too little
SMALLEST_VARIANCE = 1e-13  # of probabilities, below which it is rounding of float32


def metrics_of(vector: Vector, config: CorrectionConfig) -> Numbers:
    """Return every metric that the statistics of a batch and its configuration give; all of them are finite.

    A batch without a token that counts has counts and nothing else.
    """
    fields = fields_of(config)
    if vector.shape != (fields.length,):
        raise ValueError(
            f"statistics have shape {vector.shape}: expected ({fields.length},), the vector of Statistics under {config}."
        )
    sums = dict(zip(fields.sums, vector[: len(fields.sums)].tolist(), strict=True))
    maxima = dict(zip(fields.maxima, vector[fields.maxima_at].tolist(), strict=True))
    metrics = _figures(sums, maxima, config)
    if sums["tokens"]:
        largest = max(maxima["log_ratio"], maxima["minus_log_ratio"])
        counts = histogram_of(vector, config)
        for name, share in (("median", 0.5), ("p99", 0.99)):
            metrics[f"logprob_abs_diff_{name}"] = min(_percentile(counts, share), largest)
    return metrics


def group_metrics_of(by_group: Vector, groups: Sequence[str], config: CorrectionConfig) -> Numbers:
    """Return the core metrics of each group, named metric@group; those that the configuration brings."""
    fields = fields_of(config)
    metrics: Numbers = {}
    for group, row in zip(groups, by_group, strict=True):
        sums = dict(zip(fields.sums, row[: len(fields.sums)].tolist(), strict=True))
        maxima = dict(zip(fields.maxima, row[len(fields.sums) :].tolist(), strict=True))
        figures = _figures(sums, maxima, config)
        metrics |= {f"{name}@{group}": figures[name] for name in CORE_METRICS if name in figures}
    return metrics


def histogram_of(vector: Vector, config: CorrectionConfig) -> npt.NDArray[np.int64]:
    """Return how many tokens have a log ratio in each bin of HISTOGRAM_EDGES, int64 [len(edges) + 1]."""
    return vector[fields_of(config).histogram_at].astype(np.int64)


def _figures(sums: Numbers, maxima: Numbers, config: CorrectionConfig) -> Numbers:
    metrics = _data(sums)
    if sums["tokens"]:
        metrics |= _divergence(sums, maxima) | _perplexity(sums, maxima) | _ratios(sums, maxima)
        if config.rollout_is is not None:
            metrics |= _weights(sums, maxima, config)
        for rejection in config.rejections:
            if rejection.statistic == "ratio":
                metrics |= _ratio_block(REJECTION, rejection.name, sums, maxima, rejection.level)
            else:
                metrics |= _divergence_block(rejection, sums, maxima)
    if sums["valid_tokens"]:
        metrics |= _removed(sums, config)
    return metrics


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
    figures = {
        "mismatch_kl": -sums["log_ratio"] / n,
        "mismatch_k3_kl": max(0.0, sums["k3"] / n),
        # r^2 - 1 = 2 (r - 1) + (r - 1)^2
        "chi2_token": (2 * sums["ratio_off_one"] + sums["ratio_off_one_squared"]) / n,
        "chi2_seq": (2 * sums["seq_ratio_off_one"] + sums["seq_ratio_off_one_squared"]) / sequences,
        "logprob_abs_diff_mean": sums["log_ratio_abs"] / n,
        "logprob_abs_diff_max": max(maxima["log_ratio"], maxima["minus_log_ratio"]),
        "fraction_outside_2x": sums["outside_2x"] / n,
    }
    for quarter in ("first", "last"):
        if sums[f"tokens_{quarter}"]:
            mean = sums[f"log_ratio_abs_{quarter}"] / sums[f"tokens_{quarter}"]
            # a sum of the largest numbers of float32 is infinite in it, and no mean is above the highest
            figures[f"logprob_abs_diff_{quarter}_quarter"] = min(mean, figures["logprob_abs_diff_max"])
    if maxima["k3"] > 0 and sums["k3"] > 0:
        # what is rounded may leave others below 0
        figures["mismatch_k3_seq_share_max"] = min(1.0, maxima["k3"] / sums["k3"])
    return figures


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
        "mismatch_log_ppl_diff_min": 0.0 - maxima["minus_log_ppl_diff"],
    }


def _ratios(sums: Numbers, maxima: Numbers) -> Numbers:
    ratios: Numbers = {}
    for name, of, n in (
        ("ratio", "log_ratio", sums["tokens"]),
        ("seq_ratio", "seq_log_ratio", sums["filled_sequences"]),
    ):
        mean, std, eff_sample_size = _spread(
            *(sums[f"{name}{moment}"] / n for moment in ("", "_squared", "_off_one", "_off_one_squared"))
        )
        highest, lowest = _ratio(maxima[of]), _ratio(0.0 - maxima[f"minus_{of}"])
        ratios |= {
            f"{name}_mean": _between(lowest, mean, highest),
            f"{name}_std": std,
            f"{name}_eff_sample_size": eff_sample_size,
            f"{name}_max": highest,
            f"{name}_min": lowest,
        }
    if (correlation := _correlation(sums)) is not None:
        ratios["prob_pearson_corr"] = correlation
    if (slope := _slope(sums)) is not None:
        ratios["logprob_slope"] = slope
    if sums["entropy_tokens"]:
        surprise = -sums["rollout_logprob"] / sums["tokens"]
        ratios["surprise_gap"] = surprise - sums["entropy"] / sums["entropy_tokens"]
    return ratios


def _weights(sums: Numbers, maxima: Numbers, config: CorrectionConfig) -> Numbers:
    weights = _ratio_block(WEIGHT, WEIGHT, sums, maxima, str(config.rollout_is))
    if config.rollout_is_batch_normalize:
        weights["rollout_is_batch_norm_factor"] = norm_factor(
            weights["rollout_is_mean" if config.rollout_is == "token" else "rollout_is_seq_mean"]
        )
    return weights


def norm_factor(mean: float) -> float:
    """Return what weights are divided by: their mean, unless they are all but 0."""
    return mean if mean > SMALLEST_MEAN_WEIGHT else 1.0


def _ratio_block(name: str, block: str, sums: Numbers, maxima: Numbers, level: str) -> Numbers:
    """Return figures of weights, or of ratios that reject."""
    n, sequences = sums["tokens"], sums["filled_sequences"]
    _, std, eff_sample_size = _spread(
        *(
            sums[f"{block}.{moment}"] / n
            for moment in ("held", "held_squared", "held_off_ideal", "held_off_ideal_squared")
        )
    )
    highest, lowest = maxima[f"{block}.highest"], 0.0 - maxima[f"{block}.minus_lowest"]
    high, low = (sums[f"{block}.seq_{side}"] / sequences for side in ("high", "low"))
    by_sequence = {"_high": high, "_low": low}
    by_token = {f"_{side}": sums[f"{block}.{side}"] / n for side in ("high", "low")}
    # one ratio for each sequence is counted once for each sequence; verl counts geometric means by tokens
    fractions = by_sequence if level == "sequence" else by_token
    return {
        f"{name}_mean": _between(lowest, _mean(sums, block, n), highest),
        f"{name}_std": std,
        f"{name}_eff_sample_size": eff_sample_size,
        f"{name}_max": highest,
        f"{name}_min": lowest,
        f"{name}_ratio_fraction_high": fractions["_high"],
        f"{name}_ratio_fraction_low": fractions["_low"],
        **_by_sequence(name, block, sums, maxima, ideal=1.0),
        f"{name}_seq_fraction_high": high,
        f"{name}_seq_fraction_low": low,
    }


def _divergence_block(rejection: Rejection, sums: Numbers, maxima: Numbers) -> Numbers:
    """Return figures of k1, k2 or k3, whose ideal is 0; only k1 can be too low."""
    option = rejection.name
    name, n, sequences = f"{REJECTION}_{option}", sums["tokens"], sums["filled_sequences"]
    mean = sums[f"{option}.held_off_ideal"] / n
    variance = sums[f"{option}.held_off_ideal_squared"] / n - mean * mean
    highest, lowest = maxima[f"{option}.highest"], 0.0 - maxima[f"{option}.minus_lowest"]
    figures = {
        f"{name}_mean": _between(lowest, sums[f"{option}.off_ideal"] / n, highest),
        f"{name}_std": math.sqrt(max(0.0, variance)),
        f"{name}_max": highest,
        f"{name}_min": lowest,
        **_by_sequence(name, option, sums, maxima, ideal=0.0),
    }
    for side in ("high", "low") if rejection.statistic == "k1" else ("high",):
        by_sequence = sums[f"{option}.seq_{side}"] / sequences
        by_token = sums[f"{option}.{side}"] / n
        figures[f"{name}_fraction_{side}"] = by_token if rejection.level == "token" else by_sequence
        figures[f"{name}_seq_fraction_{side}"] = by_sequence
    return figures


def _by_sequence(name: str, block: str, sums: Numbers, maxima: Numbers, *, ideal: float) -> Numbers:
    """Return figures of a quantity's mean over each sequence."""
    sequences = sums["filled_sequences"]
    off_ideal = sums[f"{block}.seq_off_ideal"] / sequences
    highest, lowest = maxima[f"{block}.seq_highest"], 0.0 - maxima[f"{block}.minus_seq_lowest"]
    return {
        f"{name}_seq_mean": _between(lowest, ideal + off_ideal, highest),
        f"{name}_seq_std": _unbiased(sums[f"{block}.seq_off_ideal_squared"], off_ideal, sequences),
        f"{name}_seq_max": highest,
        f"{name}_seq_min": lowest,
        f"{name}_seq_max_deviation": max(abs(highest - ideal), abs(lowest - ideal)),
    }


def _removed(sums: Numbers, config: CorrectionConfig) -> Numbers:
    # not "filled": a sequence of nothing but -inf has no token that counts, and can be vetoed all the same
    tokens, sequences = sums["valid_tokens"], sums["valid_sequences"]
    figures: Numbers = {}
    for rejection in config.rejections:
        if rejection.statistic != "ratio":
            name, option = f"{REJECTION}_{rejection.name}", rejection.name
            figures[f"{name}_masked_fraction"] = sums[f"{option}.rejected"] / tokens
            figures[f"{name}_seq_masked_fraction"] = sums[f"{option}.sequences_rejected_from"] / sequences
    if config.rejections:
        figures["rollout_rs_masked_fraction"] = sums["rejected_tokens"] / tokens
        figures["rollout_rs_seq_masked_fraction"] = sums["sequences_rejected_from"] / sequences
    vetoes = config.rollout_token_veto_threshold is not None
    # of sequences without a number nobody can say that none is catastrophic
    if vetoes and (sums["tokens"] or sums["catastrophic_tokens"]):
        figures["rollout_is_veto_fraction"] = sums["vetoed_sequences"] / sequences
        figures["rollout_is_catastrophic_token_fraction"] = sums["catastrophic_tokens"] / tokens
    if vetoes or config.rejections or (config.rollout_is is not None and config.rollout_is_mode == "mask"):
        figures["rollout_is_masked_fraction"] = sums["removed_tokens"] / tokens
        figures["rollout_is_seq_masked_fraction"] = sums["sequences_removed_from"] / sequences
    return figures


def _mean(sums: Numbers, block: str, n: float) -> float:
    """Return the mean of a ratio: about 1 or about 0, wherever it is more precise."""
    off_one = sums[f"{block}.off_ideal"] / n
    return sums[f"{block}.value"] / n if 1 + off_one < TINY_MEAN else 1 + off_one


def _spread(mean: float, square: float, off_one: float, off_one_square: float) -> tuple[float, float, float]:
    """Return mean, std and effective sample size, given the first two moments about 0 and about 1.

    What is much smaller than 1 is lost about 1, and all else is more precise there. Where all are 0 nothing counts.
    """
    tiny = 1 + off_one < TINY_MEAN
    mean = mean if tiny else 1 + off_one
    variance = square - mean * mean if tiny else off_one_square - off_one * off_one
    variance = min(max(0.0, variance), square)
    # (E x)^2 / E x^2 = 1 - var / E x^2, which does not cancel where it is nearly 1
    return mean, math.sqrt(variance), 1 - variance / square if square else 0.0


def _ratio(log_ratio: float) -> float:
    return math.exp(min(max(log_ratio, -LOG_RATIO_BOUND), LOG_RATIO_BOUND))


def _between(lowest: float, mean: float, highest: float) -> float:
    """Return a mean without the rounding that carries it beyond the extremes."""
    return min(max(lowest, mean), highest)


def _unbiased(squares: float, mean: float, n: float) -> float:
    return math.sqrt(max(0.0, squares - n * mean * mean) / (n - 1)) if n > 1 else 0.0


def _correlation(sums: Mapping[str, float]) -> float | None:
    """Return the Pearson correlation of the probabilities; None where one of them does not vary.

    With q the rollout probability and d what the training probability is beyond it, in units of var(q):
    corr = (1 + cov(q, d)) / sqrt(1 + 2 cov(q, d) + var(d)), which does not cancel where d is small.
    """
    n = sums["tokens"]
    rollout, difference = sums["rollout_prob"] / n, sums["prob_difference"] / n
    variance = sums["rollout_prob_squared"] / n - rollout * rollout
    # what is left of equal probabilities after rounding is no variance
    if variance <= SMALLEST_VARIANCE:
        return None
    covariance = (sums["prob_product"] / n - rollout * difference) / variance
    of_difference = (sums["prob_difference_squared"] / n - difference * difference) / variance
    training = 1 + 2 * covariance + max(of_difference, covariance * covariance)
    if training * variance <= SMALLEST_VARIANCE:
        return None
    return max(-1.0, min(1.0, (1 + covariance) / math.sqrt(training)))


def _slope(sums: Mapping[str, float]) -> float | None:
    """Return the slope of the training log-probs over the rollout log-probs; None where the latter do not vary.

    With r the rollout log-prob and l the log ratio it is 1 + cov(l, r) / var(r), which does not cancel where l is small.
    """
    n = sums["tokens"]
    rollout, log_ratio = sums["rollout_logprob"] / n, sums["log_ratio"] / n
    squares = sums["rollout_logprob_squared"] / n
    variance = squares - rollout * rollout
    # Float32 rounds large log-probs to a share of their size, and float64 the variance of equal ones to a share of their
    # squares; those near 0 come from logits that are not, and are as far off as a probability.
    if variance <= SMALLEST_VARIANCE * max(1.0, squares):
        return None
    return 1 + (sums["logprob_product"] / n - log_ratio * rollout) / variance


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
