"""Sums, extremes and a histogram of one batch: what metrics are derived from.

They add up over micro-batches and ranks, which metrics do not: averages of averages were measured wrong by up to 934 %.
Everything is float64, and second moments are taken about 1, so that policies that nearly agree do not cancel to 0,
and about 0, so that ratios that nearly vanish do not cancel to an effective sample size of 1.

Axes: B sequences, G groups, S sums, M maxima.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_contract.values import Bounds
from rolloutwatch_correction.exponential import LARGEST_EXPONENT
from rolloutwatch_correction.groups import Groups
from rolloutwatch_correction.quantities import Interval, Sums, own_bounds
from rolloutwatch_correction.ratios import LOG_RATIO_BOUND
from rolloutwatch_correction.sums import BLOCK_SUMS

_OF_TOKENS = (
    "valid_tokens", "tokens",
    "log_ratio", "log_ratio_abs", "k3", "ratio", "ratio_squared", "ratio_off_one", "ratio_off_one_squared",
    "saturated", "outside_2x", "zero_logprob",
    "training_logprob", "rollout_logprob", "rollout_logprob_squared", "logprob_product",
    "log_ratio_abs_first", "tokens_first", "log_ratio_abs_last", "tokens_last",
    "rollout_prob", "rollout_prob_squared", "prob_difference", "prob_difference_squared", "prob_product",
    "entropy", "entropy_tokens",
    "rejected_tokens", "catastrophic_tokens", "removed_tokens",
)  # fmt: skip
_OF_SEQUENCES = (
    "sequences", "valid_sequences", "filled_sequences",
    "training_ppl", "training_log_ppl", "rollout_ppl", "rollout_log_ppl", "ppl_ratio", "log_ppl_diff", "log_ppl_abs_diff",
    "seq_ratio", "seq_ratio_squared", "seq_ratio_off_one", "seq_ratio_off_one_squared",
    "vetoed_sequences", "sequences_rejected_from", "sequences_removed_from",
)  # fmt: skip
_MAXIMA = (
    "log_ratio",
    "minus_log_ratio",
    "seq_log_ratio",
    "minus_seq_log_ratio",
    "log_ppl_diff",
    "minus_log_ppl_diff",
    "k3",
)

_SEQ_SUMS = ("seq_value", "seq_off_ideal", "seq_off_ideal_squared", "seq_high", "seq_low")
_BLOCK_MAXIMA = ("highest", "minus_lowest", "seq_highest", "minus_seq_lowest")
_REJECTED = ("rejected", "sequences_rejected_from")

_LANES = 16  # columns that a CPU adds up side by side, or a multiple of them

WEIGHT = "rollout_is"


@dataclass(frozen=True)
class Fields:
    """What stands where in a vector of statistics under one configuration: sums, then maxima, then the histogram."""

    sums: tuple[str, ...]
    maxima: tuple[str, ...]

    @property
    def length(self) -> int:
        """Return the length of the vector."""
        return len(self.sums) + len(self.maxima) + HISTOGRAM_BINS

    @property
    def maxima_at(self) -> slice:
        """Return where the maxima stand."""
        return slice(len(self.sums), len(self.sums) + len(self.maxima))

    @property
    def histogram_at(self) -> slice:
        """Return where the counts of the histogram stand."""
        return slice(len(self.sums) + len(self.maxima), self.length)


def fields_of(config: CorrectionConfig) -> Fields:
    """Return what the statistics under a configuration consist of."""
    blocks = ([WEIGHT] if config.rollout_is is not None else []) + [r.name for r in config.rejections]
    return Fields(
        (
            *_OF_TOKENS,
            *_OF_SEQUENCES,
            *(f"{block}.{field}" for block in blocks for field in (*BLOCK_SUMS, *_SEQ_SUMS)),
            *(f"{r.name}.{field}" for r in config.rejections for field in _REJECTED),
        ),
        (*_MAXIMA, *(f"{block}.{field}" for block in blocks for field in _BLOCK_MAXIMA)),
    )


@dataclass(frozen=True)
class Statistics:
    """Statistics of one batch, or of several merged.

    Attributes:
        vector: float64 [length of `fields_of(config)`], on the device of the batch.
        config: What was computed.
        groups: Names of the groups, () without.
        declared: Whether these are all groups there are, as `Groups.declared`.
        by_group: float64 [G, S + M]: the sums and maxima of each group.
    """

    vector: Tensor
    config: CorrectionConfig
    groups: tuple[str, ...] = ()
    by_group: Tensor | None = None
    declared: bool = True

    def merge(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both batches together.

        Raises:
            ValueError: They are of different configurations or groups, whose sums do not add up.
        """
        if self.config != other.config:
            raise ValueError(
                f"statistics under {other.config} cannot be merged with those under {self.config}: "
                "expected the same configuration."
            )
        if self.groups != other.groups:
            raise ValueError(
                f"statistics have groups {other.groups} and {self.groups}: expected the same names in the same order; "
                "name all groups in every batch, Groups.of(labels, names=...)."
            )
        by_group = None
        if self.by_group is not None and other.by_group is not None:
            by_group = self._merged(self.by_group, other.by_group)
        vector = self._merged(self.vector, other.vector)
        return Statistics(vector, self.config, self.groups, by_group, self.declared and other.declared)

    def _merged(self, one: Tensor, other: Tensor) -> Tensor:
        at = fields_of(self.config).maxima_at
        highest = torch.maximum(one[..., at], other[..., at])
        return torch.cat(
            [
                one[..., : at.start] + other[..., : at.start],
                highest,
                one[..., at.stop :] + other[..., at.stop :],
            ],
            dim=-1,
        )


def statistics_of(
    sums: Mapping[str, Tensor], histogram: Tensor, config: CorrectionConfig, groups: Groups | None
) -> Statistics:
    """Reduce the sums of sequences to statistics of the batch, and of each group."""
    fields = fields_of(config)
    figures = dict(sums) | _sequences(sums) | _removal(sums) | _blocks(sums, config)
    filled = sums["tokens"] > 0
    extremes = {
        name: value.masked_fill(~filled, -torch.inf)
        for name, value in _extremes(sums, figures, config).items()
    }
    sums_BS = torch.stack([figures[name] for name in fields.sums], dim=1)
    maxima_BM = torch.stack([extremes[name] for name in fields.maxima], dim=1)
    nothing = maxima_BM.new_full((1, maxima_BM.shape[1]), -torch.inf)
    vector = torch.cat([_column_sums(sums_BS), torch.cat([maxima_BM, nothing]).amax(dim=0), histogram])
    if groups is None:
        return Statistics(vector, config)
    by_group = groups.reduce(sums_BS, maxima_BM)
    return Statistics(vector, config, groups.names, by_group, groups.declared)


def _column_sums(sums_BS: Tensor) -> Tensor:
    """Return the sum of each column, which knows nothing of the columns beside it, in its last bit either.

    Torch adds up full vectors of columns row after row, and the columns left over in another order; so none is left over.
    """
    columns = sums_BS.shape[1]
    return torch.nn.functional.pad(sums_BS, (0, -columns % _LANES)).sum(dim=0)[:columns]


def weight_sums(vector: Tensor, config: CorrectionConfig) -> Tensor:
    """Return the sum of what weights are divided by the mean of, and how many there are, float64 [..., 2].

    These are weights of tokens, or of sequences where each has one. They add up over micro-batches and ranks.

    Args:
        vector: float64 [..., length of `fields_of(config)`], statistics of batches.
        config: What was asked for, with weights.
    """
    of_tokens = config.rollout_is == "token"
    pair = (f"{WEIGHT}.value", "tokens") if of_tokens else (f"{WEIGHT}.seq_value", "filled_sequences")
    places = [fields_of(config).sums.index(name) for name in pair]
    return torch.stack([vector[..., place] for place in places], dim=-1)


def mean_of(sums: Mapping[str, Tensor], name: str) -> Tensor:
    """Return a mean over the tokens of each sequence that count, float64 [B], 0 for an empty one."""
    return sums[name] / sums["tokens"].clamp(min=1)


def _sequences(sums: Mapping[str, Tensor]) -> Sums:
    """Return what each sequence adds to figures of sequences: 0 if it is empty."""
    filled = (sums["tokens"] > 0).double()
    training, rollout = -mean_of(sums, "training_logprob"), -mean_of(sums, "rollout_logprob")
    difference = -mean_of(sums, "log_ratio")
    total = sums["log_ratio"].clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    ratio, off_one = total.exp() * filled, total.expm1()
    return {
        "sequences": torch.ones_like(filled),
        "valid_sequences": (sums["valid_tokens"] > 0).double(),
        "filled_sequences": filled,
        "training_ppl": _exp(training) * filled,
        "training_log_ppl": training,
        "rollout_ppl": _exp(rollout) * filled,
        "rollout_log_ppl": rollout,
        "ppl_ratio": _exp(difference) * filled,
        "log_ppl_diff": difference,
        "log_ppl_abs_diff": difference.abs(),
        "seq_ratio": ratio,
        "seq_ratio_squared": ratio * ratio,
        "seq_ratio_off_one": off_one,
        "seq_ratio_off_one_squared": off_one * off_one,
    }


def _removal(sums: Mapping[str, Tensor]) -> Sums:
    return {
        "sequences_rejected_from": (sums["rejected_tokens"] > 0).double(),
        "sequences_removed_from": (sums["removed_tokens"] > 0).double(),
    }


def _blocks(sums: Mapping[str, Tensor], config: CorrectionConfig) -> Sums:
    figures: Sums = {}
    filled = (sums["tokens"] > 0).double()
    for name, (of_tokens, bounds) in _bounded(config).items():
        off_ideal, raw = mean_of(sums, f"{name}.off_ideal"), mean_of(sums, f"{name}.raw")
        # what is one for the whole sequence has been compared already, in its own precision
        high = (raw > bounds.upper).double() * filled if of_tokens else mean_of(sums, f"{name}.high")
        low = (raw < bounds.lower).double() * filled if of_tokens else mean_of(sums, f"{name}.low")
        figures |= {
            f"{name}.seq_value": mean_of(sums, f"{name}.value"),
            f"{name}.seq_off_ideal": off_ideal,
            f"{name}.seq_off_ideal_squared": off_ideal * off_ideal,
            f"{name}.seq_high": high,
            f"{name}.seq_low": low,
        }
    for rejection in config.rejections:
        rejected = sums[f"{rejection.name}.rejected"]
        figures[f"{rejection.name}.sequences_rejected_from"] = (rejected > 0).double()
    return figures


def _bounded(config: CorrectionConfig) -> dict[str, tuple[bool, Bounds | Interval]]:
    """Return whether each quantity is one of tokens, and its bounds."""
    bounded: dict[str, tuple[bool, Bounds | Interval]] = {
        r.name: (r.level == "token", own_bounds(r)) for r in config.rejections
    }
    if config.rollout_is is not None:
        bounded[WEIGHT] = config.rollout_is == "token", config.bounds
    return bounded


def _extremes(sums: Mapping[str, Tensor], figures: Mapping[str, Tensor], config: CorrectionConfig) -> Sums:
    extremes = {
        "log_ratio": sums["highest"],
        "minus_log_ratio": sums["minus_lowest"],
        "seq_log_ratio": sums["log_ratio"],
        "minus_seq_log_ratio": -sums["log_ratio"],
        "log_ppl_diff": figures["log_ppl_diff"],
        "minus_log_ppl_diff": -figures["log_ppl_diff"],
        "k3": sums["k3"],
    }
    for name in _bounded(config):
        mean = mean_of(sums, f"{name}.value")
        extremes |= {
            f"{name}.highest": sums[f"{name}.highest"],
            f"{name}.minus_lowest": sums[f"{name}.minus_lowest"],
            f"{name}.seq_highest": mean,
            f"{name}.minus_seq_lowest": -mean,
        }
    return extremes


def _exp(values: Tensor) -> Tensor:
    return values.clamp(max=LARGEST_EXPONENT[torch.float64]).exp()
