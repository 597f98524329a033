"""Sums, extremes and a histogram of one batch: what metrics are derived from.

They add up over micro-batches and ranks, which metrics do not: averages of averages were measured wrong by up to 934 %.
Everything is float64, and second moments are taken about 1, so that policies that nearly agree do not cancel to 0,
and about 0, so that ratios that nearly vanish do not cancel to an effective sample size of 1.

Axes: B sequences, T response tokens.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES
from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND, Batch

LOG_2 = 0.6931471805599453
LARGEST_EXPONENT = 600.0  # exp of it is 4e260: the sum of a batch of them is still a number

SUMS = (
    "valid_tokens", "tokens", "sequences", "valid_sequences", "filled_sequences",
    "log_ratio", "log_ratio_abs", "k3", "ratio_off_one", "ratio_off_one_squared", "ratio_squared",
    "saturated", "outside_2x", "zero_logprob",
    "training_logprob", "rollout_logprob",
    "training_prob", "rollout_prob", "training_prob_squared", "rollout_prob_squared", "prob_product",
    "entropy", "entropy_tokens",
    "training_ppl", "training_log_ppl", "rollout_ppl", "rollout_log_ppl",
    "ppl_ratio", "log_ppl_diff", "log_ppl_abs_diff",
    "seq_ratio_off_one", "seq_ratio_off_one_squared", "seq_ratio_squared",
    "weight_off_one", "bounded_weight_off_one", "bounded_weight_off_one_squared", "bounded_weight_squared",
    "weight_high", "weight_low",
    "seq_weight_off_one", "seq_weight_off_one_squared", "seq_weight_high", "seq_weight_low",
    "catastrophic_tokens", "vetoed_sequences", "removed_tokens", "sequences_removed_from",
)  # fmt: skip
MAXIMA = (
    "log_ratio_abs", "ratio", "minus_ratio", "seq_ratio", "minus_seq_ratio",
    "log_ppl_diff", "minus_log_ppl_diff",
    "weight", "minus_weight", "seq_weight", "minus_seq_weight",
)  # fmt: skip
LENGTH = len(SUMS) + len(MAXIMA) + HISTOGRAM_BINS
MAXIMA_AT = slice(len(SUMS), len(SUMS) + len(MAXIMA))
HISTOGRAM_AT = slice(len(SUMS) + len(MAXIMA), LENGTH)


@dataclass(frozen=True)
class Statistics:
    """`vector` is float64 [LENGTH], on the device of the batch: SUMS, then MAXIMA, then the histogram's counts."""

    vector: Tensor

    def merge(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both batches together."""
        merged = self.vector + other.vector
        merged[MAXIMA_AT] = torch.maximum(self.vector[MAXIMA_AT], other.vector[MAXIMA_AT])
        return Statistics(merged)


@dataclass(frozen=True)
class Outcome:
    """What the correction did to a batch, as far as figures tell of it. `ratio_BT` and `weight_BT` are None without weights."""

    ratio_BT: Tensor | None
    weight_BT: Tensor | None
    catastrophic_BT: Tensor
    vetoed_B: Tensor
    kept_BT: Tensor


def statistics_of(
    batch: Batch, outcome: Outcome, config: CorrectionConfig, entropy: Tensor | None
) -> Statistics:
    """Reduce a batch to its statistics."""
    sums = {**_counts(batch, outcome), **_tokens(batch), **_sequences(batch), **_entropy(batch, entropy)}
    maxima = {**_token_extremes(batch), **_sequence_extremes(batch)}
    if outcome.ratio_BT is not None and outcome.weight_BT is not None:
        sums |= _weights(batch, outcome.ratio_BT, outcome.weight_BT, config)
        maxima |= _weight_extremes(batch, outcome.weight_BT)
    zero = torch.zeros((), dtype=torch.float64, device=batch.log_ratio_BT.device)
    lowest = zero - torch.inf
    numbers = [sums.get(name, zero).double() for name in SUMS] + [
        maxima.get(name, lowest).double() for name in MAXIMA
    ]
    return Statistics(torch.cat([torch.stack(numbers), _histogram(batch)]))


def _counts(batch: Batch, outcome: Outcome) -> dict[str, Tensor]:
    removed_BT = batch.valid_BT & ~outcome.kept_BT
    return {
        "valid_tokens": batch.valid_BT.sum(),
        "tokens": batch.length_B.sum(),
        "sequences": torch.ones_like(batch.length_B).sum(),
        "valid_sequences": batch.valid_BT.any(dim=1).sum(),
        "filled_sequences": batch.filled_B.sum(),
        "catastrophic_tokens": outcome.catastrophic_BT.sum(),
        "vetoed_sequences": outcome.vetoed_B.sum(),
        "removed_tokens": removed_BT.sum(),
        "sequences_removed_from": removed_BT.any(dim=1).sum(),
    }


def _tokens(batch: Batch) -> dict[str, Tensor]:
    log_ratio = batch.log_ratio_BT.double()
    off_one = log_ratio.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).expm1()
    training, rollout = batch.training_logprobs_BT.double(), batch.rollout_logprobs_BT.double()
    counted = batch.counted_BT
    training_prob, rollout_prob = training.clamp(max=0).exp() * counted, rollout.clamp(max=0).exp() * counted
    return {
        "log_ratio": log_ratio.sum(),
        "log_ratio_abs": log_ratio.abs().sum(),
        "k3": k3(log_ratio).sum(),
        "ratio_off_one": off_one.sum(),
        "ratio_off_one_squared": off_one.square().sum(),
        "ratio_squared": _squares(log_ratio, counted),
        "saturated": (log_ratio.abs() > LOG_RATIO_BOUND).sum(),
        "outside_2x": (log_ratio.abs() > LOG_2).sum(),
        "zero_logprob": ((rollout == 0) & counted).sum(),
        "training_logprob": training.sum(),
        "rollout_logprob": rollout.sum(),
        "training_prob": training_prob.sum(),
        "rollout_prob": rollout_prob.sum(),
        "training_prob_squared": training_prob.square().sum(),
        "rollout_prob_squared": rollout_prob.square().sum(),
        "prob_product": (training_prob * rollout_prob).sum(),
    }


def _sequences(batch: Batch) -> dict[str, Tensor]:
    training = log_perplexity(batch, batch.training_logprobs_BT)
    rollout = log_perplexity(batch, batch.rollout_logprobs_BT)
    filled = batch.filled_B
    off_one = _seq_ratio_off_one(batch)
    return {
        "training_ppl": (_exp(training) * filled).sum(),
        "training_log_ppl": training.sum(),
        "rollout_ppl": (_exp(rollout) * filled).sum(),
        "rollout_log_ppl": rollout.sum(),
        "ppl_ratio": (_exp(training - rollout) * filled).sum(),
        "log_ppl_diff": (training - rollout).sum(),
        "log_ppl_abs_diff": (training - rollout).abs().sum(),
        "seq_ratio_off_one": off_one.sum(),
        "seq_ratio_off_one_squared": off_one.square().sum(),
        "seq_ratio_squared": _squares(batch.log_ratio_BT.double().sum(dim=1), filled),
    }


def _entropy(batch: Batch, entropy: Tensor | None) -> dict[str, Tensor]:
    if entropy is None:
        return {}
    each_BT = entropy.detach().double().expand(batch.counted_BT.shape)
    known_BT = batch.counted_BT & each_BT.isfinite()
    return {"entropy": each_BT.masked_fill(~known_BT, 0).sum(), "entropy_tokens": known_BT.sum()}


def _weights(
    batch: Batch, ratio_BT: Tensor, weight_BT: Tensor, config: CorrectionConfig
) -> dict[str, Tensor]:
    upper, lower = config.rollout_is_threshold, config.lower
    counted, filled = batch.counted_BT, batch.filled_B
    bounded = weight_BT.double().clamp(lower, upper)
    bounded_off_one = (bounded - 1) * counted
    seq_weight, seq_ratio = sequence_mean(batch, weight_BT), sequence_mean(batch, ratio_BT)
    seq_off_one = (seq_weight - 1) * filled
    return {
        "weight_off_one": ((weight_BT.double() - 1) * counted).sum(),
        "bounded_weight_off_one": bounded_off_one.sum(),
        "bounded_weight_off_one_squared": bounded_off_one.square().sum(),
        "bounded_weight_squared": (bounded.square() * counted).sum(),
        "weight_high": ((ratio_BT > upper) & counted).sum(),
        "weight_low": ((ratio_BT < lower) & counted).sum(),
        "seq_weight_off_one": seq_off_one.sum(),
        "seq_weight_off_one_squared": seq_off_one.square().sum(),
        "seq_weight_high": ((seq_ratio > upper) & filled).sum(),
        "seq_weight_low": ((seq_ratio < lower) & filled).sum(),
    }


def _token_extremes(batch: Batch) -> dict[str, Tensor]:
    log_ratio = batch.log_ratio_BT.double()
    ratio = log_ratio.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).exp()
    return {
        "log_ratio_abs": highest(log_ratio.abs(), batch.counted_BT),
        "ratio": highest(ratio, batch.counted_BT),
        "minus_ratio": highest(-ratio, batch.counted_BT),
    }


def _sequence_extremes(batch: Batch) -> dict[str, Tensor]:
    difference = log_perplexity(batch, batch.training_logprobs_BT) - log_perplexity(
        batch, batch.rollout_logprobs_BT
    )
    ratio = 1 + _seq_ratio_off_one(batch)
    return {
        "log_ppl_diff": highest(difference, batch.filled_B),
        "minus_log_ppl_diff": highest(-difference, batch.filled_B),
        "seq_ratio": highest(ratio, batch.filled_B),
        "minus_seq_ratio": highest(-ratio, batch.filled_B),
    }


def _weight_extremes(batch: Batch, weight_BT: Tensor) -> dict[str, Tensor]:
    seq_weight = sequence_mean(batch, weight_BT)
    return {
        "weight": highest(weight_BT, batch.counted_BT),
        "minus_weight": highest(-weight_BT, batch.counted_BT),
        "seq_weight": highest(seq_weight, batch.filled_B),
        "minus_seq_weight": highest(-seq_weight, batch.filled_B),
    }


def _histogram(batch: Batch) -> Tensor:
    bins = torch.bucketize(batch.log_ratio_BT.double(), _edges(batch.log_ratio_BT.device)).flatten()
    counts = torch.zeros(HISTOGRAM_BINS, dtype=torch.float64, device=bins.device)
    return counts.scatter_add_(0, bins, batch.counted_BT.double().flatten())


@lru_cache(maxsize=16)
def _edges(device: torch.device) -> Tensor:
    return torch.tensor(HISTOGRAM_EDGES, dtype=torch.float64, device=device)


def k3(log_ratio: Tensor) -> Tensor:
    """K3 estimate of KL(rollout || training) of each token; never negative beyond rounding.

    Schulman, "Approximating KL divergence" (2020). Zero exactly where the policies agree.
    """
    # exp(x) - 1 - x cancels for small x, which is the healthy case
    return log_ratio.clamp(max=LARGEST_EXPONENT).expm1() - log_ratio


def log_perplexity(batch: Batch, logprobs_BT: Tensor) -> Tensor:
    """Return minus the mean log-prob of each sequence, float64 [B], 0 for an empty one."""
    return -sequence_mean(batch, logprobs_BT)


def sequence_mean(batch: Batch, values_BT: Tensor) -> Tensor:
    """Return the mean over each sequence's counted tokens, float64 [B], 0 for an empty one; `values_BT` is 0 elsewhere."""
    return values_BT.double().sum(dim=1) / batch.length_B.clamp(min=1)


def highest(values: Tensor, where: Tensor) -> Tensor:
    """Return the highest value where a condition holds, -inf if it holds nowhere, also for an empty batch."""
    masked = values.double().masked_fill(~where, -torch.inf).flatten()
    return torch.cat([masked, masked.new_full((1,), -torch.inf)]).max()


def _seq_ratio_off_one(batch: Batch) -> Tensor:
    total = batch.log_ratio_BT.double().sum(dim=1)
    return total.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND).expm1()


def _squares(log_ratio: Tensor, where: Tensor) -> Tensor:
    return ((2 * log_ratio.clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)).exp() * where).sum()


def _exp(values: Tensor) -> Tensor:
    return values.clamp(max=LARGEST_EXPONENT).exp()
