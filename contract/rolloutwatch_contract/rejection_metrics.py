"""The figures that rejection brings: of ratios under token, sequence and geometric, of divergences under the k options.

Symbols as in `catalogue`; beside them
    q       the ratio at the level of rollout_rs, and [lo, hi] its bounds
    x       k1 = -l, k2 = l^2 / 2 or k3 = exp(l) - 1 - l, of l held within +-20: of a token,
            or their sum, mean or maximum over a sequence. Bounds of k1 are minus the log of those of the ratio.
"""

from rolloutwatch_contract.metric import FACTOR, FRACTION, NATS, Better, Group, Level, Metric

OPTIONS = (
    "token_k1", "token_k2", "token_k3", "seq_sum_k1", "seq_sum_k2", "seq_sum_k3",
    "seq_mean_k1", "seq_mean_k2", "seq_mean_k3", "seq_max_k2", "seq_max_k3",
)  # fmt: skip

_RATIO = "rollout_rs: token, sequence or geometric"

# ending, title, level, unit, ideal, meaning, formula
_Row = tuple[str, str, Level, str, float, str, str]

_OF_RATIOS: tuple[_Row, ...] = (
    ("mean", "mean", Level.TOKEN, FACTOR, 1, "Mean of the ratio that is compared.", "mean_t(q)"),
    ("max", "highest", Level.TOKEN, FACTOR, 1, "Highest ratio that is compared.", "max(q)"),
    ("min", "lowest", Level.TOKEN, FACTOR, 1, "Lowest ratio that is compared.", "min(q)"),
    ("std", "std", Level.TOKEN, FACTOR, 0, "Spread of the ratio within the bounds.", "std_t(q held within [lo, hi])"),
    ("eff_sample_size", "ESS", Level.TOKEN, FRACTION, 1, "Share of the batch that counts, of ratios within the bounds.",
     "mean_t(u)^2 / mean_t(u^2), u = q held within [lo, hi]"),
    ("ratio_fraction_high", "above", Level.TOKEN, FRACTION, 0, "Share of ratios above the upper bound.",
     "mean_t(q > hi), of sequences mean_s"),
    ("ratio_fraction_low", "below", Level.TOKEN, FRACTION, 0, "Share of ratios below the lower bound.",
     "mean_t(q < lo), of sequences mean_s"),
)  # fmt: skip

_OF_DIVERGENCES: tuple[_Row, ...] = (
    ("mean", "mean", Level.TOKEN, NATS, 0, "Mean of what is compared.", "mean_t(x)"),
    ("max", "highest", Level.TOKEN, NATS, 0, "Highest of what is compared.", "max(x)"),
    ("min", "lowest", Level.TOKEN, NATS, 0, "Lowest of what is compared.", "min(x)"),
    ("std", "std", Level.TOKEN, NATS, 0, "Spread of what is compared, within the bounds.", "std_t(x held within its bounds)"),
    ("fraction_high", "too high", Level.TOKEN, FRACTION, 0, "Share above the upper bound; of sequences for seq options.",
     "mean_t(x too high), of sequences mean_s"),
    ("fraction_low", "too low", Level.TOKEN, FRACTION, 0, "Share below the lower bound; of sequences for seq options.",
     "mean_t(x too low), of sequences mean_s"),
)  # fmt: skip


def _of_sequences(symbol: str, unit: str, ideal: float) -> tuple[_Row, ...]:
    over = f"v = mean of {symbol} over a sequence"
    return (
        ("seq_mean", "sequences, mean", Level.SEQUENCE, unit, ideal, "Averaged within each sequence, then: mean.",
         f"mean_s(v), {over}"),
        ("seq_std", "sequences, std", Level.SEQUENCE, unit, 0, "Averaged within each sequence, then: std.",
         f"std_s(v), unbiased, {over}"),
        ("seq_max", "sequences, highest", Level.SEQUENCE, unit, ideal, "Averaged within each sequence, then: highest.",
         f"max(v), {over}"),
        ("seq_min", "sequences, lowest", Level.SEQUENCE, unit, ideal, "Averaged within each sequence, then: lowest.",
         f"min(v), {over}"),
        ("seq_max_deviation", "sequences, largest deviation", Level.SEQUENCE, unit, 0,
         "Averaged within each sequence, then: largest deviation.", f"max(|v - {ideal:g}|), {over}"),
        ("seq_fraction_high", "sequences too high", Level.SEQUENCE, FRACTION, 0,
         "Share of sequences whose mean is above the upper bound.", f"mean_s(v too high), {over}"),
        ("seq_fraction_low", "sequences too low", Level.SEQUENCE, FRACTION, 0,
         "Share of sequences whose mean is below the lower bound.", f"mean_s(v too low), {over}"),
    )  # fmt: skip


def _removed(whose: str) -> tuple[_Row, ...]:
    return (
        ("masked_fraction", "tokens rejected", Level.TOKEN, FRACTION, 0, f"Share of valid tokens that {whose}.",
         "1 - tokens not rejected / valid tokens, before veto"),
        ("seq_masked_fraction", "sequences rejected from", Level.SEQUENCE, FRACTION, 0,
         f"Share of sequences that lose at least one token: {whose}.", "mean_s(any valid token rejected)"),
    )  # fmt: skip


def _metric(row: _Row, name: str, title: str, needs: str) -> Metric:
    ending, what, level, unit, ideal, meaning, formula = row
    if ending.endswith("eff_sample_size"):
        better = Better.HIGHER
    elif unit == FRACTION or ending.endswith(("std", "deviation")):
        better = Better.LOWER
    else:
        better = Better.IDEAL
    return Metric(
        name=f"{name}_{ending}",
        title=f"{title}: {what}",
        group=Group.REJECTION,
        level=level,
        unit=unit,
        better=better,
        ideal=float(ideal),
        meaning=meaning,
        formula=formula,
        needs=needs,
    )


def option_metrics(option: str) -> tuple[Metric, ...]:
    """Return the figures of one k option; only k1 can be too low."""
    rows = (*_OF_DIVERGENCES, *_of_sequences("x", NATS, 0), *_removed("this option alone rejects"))
    return tuple(
        _metric(row, f"rollout_rs_{option}", f"Rejection by {option}", f"rollout_rs: {option}")
        for row in rows
        if option.endswith("k1") or not row[0].endswith("fraction_low")
    )


RATIO_METRICS: tuple[Metric, ...] = (
    *(
        _metric(row, "rollout_rs", "Rejection", _RATIO)
        for row in (*_OF_RATIOS, *_of_sequences("q", FACTOR, 1))
    ),
    *(
        _metric(row, "rollout_rs", "Rejection", "rollout_rs")
        for row in _removed("rejection takes out of the loss")
    ),
)
REJECTION_METRICS: tuple[Metric, ...] = (
    *RATIO_METRICS,
    *(metric for option in OPTIONS for metric in option_metrics(option)),
)
