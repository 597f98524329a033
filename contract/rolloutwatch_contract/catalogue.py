"""Every figure Rolloutwatch knows, once: name, unit, level, ideal value, meaning and formula.

Symbols used in the formulas:
    l       training_logprobs - rollout_logprobs of one valid response token, the log ratio
    r       exp(l), the ratio
    w       the weight: r at its level, within the thresholds
    mean_t  mean over all valid tokens of the batch
    mean_s  mean over all sequences that have a valid token
    S, M    sum and mean of l over one sequence
    C, c    upper and lower threshold
`docs/metrics.md` is printed from this table.
"""

import difflib
import enum
from collections.abc import Mapping

import msgspec


class Group(enum.Enum):
    """Where a figure stands on a page, in this order."""

    HEALTH = "health"
    DISTRIBUTION = "distribution"
    DIAGNOSTICS = "diagnostics"
    PERPLEXITY = "perplexity"
    KL = "kl"
    RATIO = "ratio"
    REJECTION = "rejection"
    DATA = "data"


class Level(enum.Enum):
    """What one sample of the figure is."""

    TOKEN = "token"
    SEQUENCE = "sequence"
    BATCH = "batch"


class Better(enum.Enum):
    """Which way is good."""

    LOWER = "lower"
    HIGHER = "higher"
    IDEAL = "ideal"
    NEITHER = "neither"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `needs` names the configuration key that brings it; empty means it always comes."""

    name: str
    title: str
    group: Group
    level: Level
    unit: str
    better: Better
    ideal: float | None = None
    meaning: str
    formula: str
    needs: str = ""


FRACTION = "fraction"
FACTOR = "factor"
NATS = "nats"
COUNT = "count"
PERPLEXITY = "perplexity"


_METRICS: tuple[Metric, ...] = (
    Metric(
        name="rollout_is_mean",
        title="Weight, mean",
        group=Group.HEALTH,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Mean importance weight.",
        formula="mean_t(w)",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_eff_sample_size",
        title="ESS of weights",
        group=Group.HEALTH,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.HIGHER,
        ideal=1.0,
        meaning="Share of the batch that still counts after weighting; saturates because weights are truncated.",
        formula="mean_t(u)^2 / mean_t(u^2), u = w held within [c, C]",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_veto_fraction",
        title="Vetoed sequences",
        group=Group.HEALTH,
        level=Level.SEQUENCE,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of sequences removed for one catastrophic token.",
        formula="mean_s(any token with r < rollout_token_veto_threshold)",
        needs="rollout_token_veto_threshold",
    ),
    Metric(
        name="rollout_is_max",
        title="Weight, highest",
        group=Group.DISTRIBUTION,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Highest importance weight.",
        formula="max(w)",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_min",
        title="Weight, lowest",
        group=Group.DISTRIBUTION,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Lowest importance weight.",
        formula="min(w)",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_std",
        title="Weight, std",
        group=Group.DISTRIBUTION,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Spread of the importance weights; saturates because weights are truncated.",
        formula="std_t(w held within [c, C])",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_mean",
        title="Weight of a sequence, mean",
        group=Group.DISTRIBUTION,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Weights averaged within each sequence, then: mean.",
        formula="mean_s(v), v = mean of w over a sequence",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_std",
        title="Weight of a sequence, std",
        group=Group.DISTRIBUTION,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Weights averaged within each sequence, then: std.",
        formula="std_s(v), unbiased, v = mean of w over a sequence",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_max",
        title="Weight of a sequence, highest",
        group=Group.DISTRIBUTION,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Weights averaged within each sequence, then: highest.",
        formula="max(v), v = mean of w over a sequence",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_min",
        title="Weight of a sequence, lowest",
        group=Group.DISTRIBUTION,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Weights averaged within each sequence, then: lowest.",
        formula="min(v), v = mean of w over a sequence",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_max_deviation",
        title="Weight of a sequence, largest deviation",
        group=Group.DISTRIBUTION,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Weights averaged within each sequence, then: largest deviation.",
        formula="max(|v - 1|), v = mean of w over a sequence",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_ratio_fraction_high",
        title="Ratios above threshold",
        group=Group.DIAGNOSTICS,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of ratios above the upper threshold, before truncation.",
        formula="mean_t(r > C) at the weight's level",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_ratio_fraction_low",
        title="Ratios below threshold",
        group=Group.DIAGNOSTICS,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of ratios below the lower threshold.",
        formula="mean_t(r < c) at the weight's level",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_fraction_high",
        title="Sequences above threshold",
        group=Group.DIAGNOSTICS,
        level=Level.SEQUENCE,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of sequences whose mean ratio stands above the upper threshold.",
        formula="mean_s(v > C)",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_seq_fraction_low",
        title="Sequences below threshold",
        group=Group.DIAGNOSTICS,
        level=Level.SEQUENCE,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of sequences whose mean ratio stands below the lower threshold.",
        formula="mean_s(v < c)",
        needs="rollout_is",
    ),
    Metric(
        name="rollout_is_catastrophic_token_fraction",
        title="Catastrophic tokens",
        group=Group.DIAGNOSTICS,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of tokens that alone veto their sequence.",
        formula="mean_t(r < rollout_token_veto_threshold)",
        needs="rollout_token_veto_threshold",
    ),
    Metric(
        name="rollout_is_masked_fraction",
        title="Tokens removed",
        group=Group.DIAGNOSTICS,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of valid tokens that rejection, veto and mask mode together take out of the loss.",
        formula="1 - kept tokens / valid tokens",
        needs="rollout_rs, rollout_token_veto_threshold or rollout_is_mode",
    ),
    Metric(
        name="rollout_is_seq_masked_fraction",
        title="Sequences removed from",
        group=Group.DIAGNOSTICS,
        level=Level.SEQUENCE,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of sequences that lose at least one token to rejection, veto or mask mode.",
        formula="mean_s(any valid token removed)",
        needs="rollout_rs, rollout_token_veto_threshold or rollout_is_mode",
    ),
    Metric(
        name="mismatch_training_ppl",
        title="Perplexity, training",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=PERPLEXITY,
        better=Better.NEITHER,
        meaning="Perplexity of the training policy on the samples.",
        formula="mean_s(exp(-mean of training_logprobs over the sequence))",
    ),
    Metric(
        name="mismatch_training_log_ppl",
        title="Log perplexity, training",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.NEITHER,
        meaning="Log perplexity of the training policy on the samples.",
        formula="mean_s(-mean of training_logprobs over the sequence)",
    ),
    Metric(
        name="mismatch_rollout_ppl",
        title="Perplexity, rollout",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=PERPLEXITY,
        better=Better.NEITHER,
        meaning="Perplexity of the rollout policy on the samples.",
        formula="mean_s(exp(-mean of rollout_logprobs over the sequence))",
    ),
    Metric(
        name="mismatch_rollout_log_ppl",
        title="Log perplexity, rollout",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.NEITHER,
        meaning="Log perplexity of the rollout policy on the samples.",
        formula="mean_s(-mean of rollout_logprobs over the sequence)",
    ),
    Metric(
        name="mismatch_ppl_ratio",
        title="Perplexity ratio",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Perplexity of the training policy over that of the rollout policy.",
        formula="mean_s(exp(-M))",
    ),
    Metric(
        name="mismatch_log_ppl_diff",
        title="Log perplexity difference",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.IDEAL,
        ideal=0.0,
        meaning="How much more surprised the training policy is than the rollout policy.",
        formula="mean_s(-M)",
    ),
    Metric(
        name="mismatch_log_ppl_abs_diff",
        title="Log perplexity difference, absolute",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.LOWER,
        ideal=0.0,
        meaning="The same without its sign, so that differences do not cancel.",
        formula="mean_s(|M|)",
    ),
    Metric(
        name="mismatch_log_ppl_diff_max",
        title="Log perplexity difference, highest",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.IDEAL,
        ideal=0.0,
        meaning="The sequence that the training policy is most surprised by.",
        formula="max(-M)",
    ),
    Metric(
        name="mismatch_log_ppl_diff_min",
        title="Log perplexity difference, lowest",
        group=Group.PERPLEXITY,
        level=Level.SEQUENCE,
        unit=NATS,
        better=Better.IDEAL,
        ideal=0.0,
        meaning="The sequence that the training policy is least surprised by.",
        formula="min(-M)",
    ),
    Metric(
        name="mismatch_kl",
        title="KL (K1)",
        group=Group.KL,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.IDEAL,
        ideal=0.0,
        meaning="KL(rollout || training), plain estimate; may be negative on a sample.",
        formula="mean_t(-l)",
    ),
    Metric(
        name="mismatch_k3_kl",
        title="KL (K3)",
        group=Group.KL,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.LOWER,
        ideal=0.0,
        meaning="KL(rollout || training), low-variance estimate that is never negative (Schulman 2020).",
        formula="mean_t(exp(l) - 1 - l)",
    ),
    Metric(
        name="chi2_token",
        title="Chi-square, tokens",
        group=Group.KL,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Chi-square divergence estimated on tokens.",
        formula="mean_t(r^2) - 1",
    ),
    Metric(
        name="chi2_seq",
        title="Chi-square, sequences",
        group=Group.KL,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Chi-square divergence estimated on whole sequences.",
        formula="mean_s(exp(2 S)) - 1",
    ),
    Metric(
        name="ratio_mean",
        title="Ratio of a token, mean",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a token: mean.",
        formula="mean_t(r)",
    ),
    Metric(
        name="ratio_std",
        title="Ratio of a token, std",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Untouched ratio of a token: std.",
        formula="std of r",
    ),
    Metric(
        name="ratio_max",
        title="Ratio of a token, highest",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a token: highest.",
        formula="max(r)",
    ),
    Metric(
        name="ratio_min",
        title="Ratio of a token, lowest",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a token: lowest.",
        formula="min(r)",
    ),
    Metric(
        name="ratio_eff_sample_size",
        title="ESS",
        group=Group.HEALTH,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.HIGHER,
        ideal=1.0,
        meaning="Share of the tokens that count, from untouched ratios.",
        formula="mean_t(r)^2 / mean_t(r^2)",
    ),
    Metric(
        name="seq_ratio_mean",
        title="Ratio of a sequence, mean",
        group=Group.RATIO,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a sequence: mean.",
        formula="mean_s(exp(S))",
    ),
    Metric(
        name="seq_ratio_std",
        title="Ratio of a sequence, std",
        group=Group.RATIO,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Untouched ratio of a sequence: std.",
        formula="std of exp(S)",
    ),
    Metric(
        name="seq_ratio_max",
        title="Ratio of a sequence, highest",
        group=Group.RATIO,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a sequence: highest.",
        formula="max(exp(S))",
    ),
    Metric(
        name="seq_ratio_min",
        title="Ratio of a sequence, lowest",
        group=Group.RATIO,
        level=Level.SEQUENCE,
        unit=FACTOR,
        better=Better.IDEAL,
        ideal=1.0,
        meaning="Untouched ratio of a sequence: lowest.",
        formula="min(exp(S))",
    ),
    Metric(
        name="seq_ratio_eff_sample_size",
        title="ESS of sequences",
        group=Group.RATIO,
        level=Level.SEQUENCE,
        unit=FRACTION,
        better=Better.HIGHER,
        ideal=1.0,
        meaning="Share of the sequences that count, from untouched ratios.",
        formula="mean_s(exp(S))^2 / mean_s(exp(S)^2)",
    ),
    Metric(
        name="logprob_abs_diff_mean",
        title="|log ratio|, mean",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Mean absolute difference of the log-probs.",
        formula="mean_t(|l|)",
    ),
    Metric(
        name="logprob_abs_diff_p99",
        title="|log ratio|, 99th percentile",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.LOWER,
        ideal=0.0,
        meaning="One token in a hundred differs by more than this.",
        formula="99th percentile of |l|, from the histogram",
    ),
    Metric(
        name="logprob_abs_diff_max",
        title="|log ratio|, highest",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Largest absolute difference of the log-probs.",
        formula="max(|l|)",
    ),
    Metric(
        name="prob_pearson_corr",
        title="Correlation of probabilities",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FACTOR,
        better=Better.HIGHER,
        ideal=1.0,
        meaning="Pearson correlation of the two policies' token probabilities.",
        formula="corr_t(exp(training_logprobs), exp(rollout_logprobs))",
    ),
    Metric(
        name="fraction_outside_2x",
        title="Tokens off by more than 2x",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of tokens whose probabilities differ by more than a factor of two.",
        formula="mean_t(|l| > ln 2)",
    ),
    Metric(
        name="surprise_gap",
        title="Surprise gap",
        group=Group.RATIO,
        level=Level.TOKEN,
        unit=NATS,
        better=Better.IDEAL,
        ideal=0.0,
        meaning="Surprise of the samples beyond the training entropy: moves when the temperature differs.",
        formula="mean_t(-rollout_logprobs) - mean_t(training_entropy)",
        needs="training_entropy",
    ),
    Metric(
        name="saturated_fraction",
        title="Saturated ratios",
        group=Group.DATA,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of log ratios beyond +-20, where the exponential is clamped.",
        formula="mean_t(|l| > 20)",
    ),
    Metric(
        name="nonfinite_fraction",
        title="Tokens not finite",
        group=Group.DATA,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.LOWER,
        ideal=0.0,
        meaning="Share of valid tokens whose log-probs are NaN or infinite; they are left out of every other figure.",
        formula="tokens not finite / valid tokens",
    ),
    Metric(
        name="zero_logprob_fraction",
        title="Log-probs exactly zero",
        group=Group.DATA,
        level=Level.TOKEN,
        unit=FRACTION,
        better=Better.NEITHER,
        meaning="Share of rollout log-probs that are exactly 0: missing ones are often padded so.",
        formula="mean_t(rollout_logprobs == 0)",
    ),
    Metric(
        name="n_tokens",
        title="Valid tokens",
        group=Group.DATA,
        level=Level.BATCH,
        unit=COUNT,
        better=Better.NEITHER,
        meaning="Valid response tokens of the batch.",
        formula="sum of response_mask",
    ),
    Metric(
        name="n_sequences",
        title="Sequences",
        group=Group.DATA,
        level=Level.BATCH,
        unit=COUNT,
        better=Better.NEITHER,
        meaning="Sequences of the batch, empty ones included.",
        formula="B",
    ),
    Metric(
        name="n_empty_sequences",
        title="Empty sequences",
        group=Group.DATA,
        level=Level.BATCH,
        unit=COUNT,
        better=Better.NEITHER,
        meaning="Sequences without a valid token; left out of every per-sequence figure.",
        formula="sequences with no valid token",
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}


def describe(name: str) -> Metric:
    """Return a metric of the catalogue; KeyError with the nearest name if there is none."""
    try:
        return METRICS[name]
    except KeyError:
        near = difflib.get_close_matches(name, METRICS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"unknown metric {name!r}.{hint}") from None
