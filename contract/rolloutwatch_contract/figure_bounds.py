"""What the figures of the catalogue can be under a configuration of the correction.

Weights are held within thresholds, so their figures are too: with a threshold of 2 the std of weights is 0.75 at most and
their effective sample size 0.64 at least, whatever becomes of the policies. Normalising weights changes none of their figures.
"""

import math

from rolloutwatch_contract import metric
from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.intervals import EVERYTHING, FRACTION, POSITIVE, Interval, hull
from rolloutwatch_contract.rejection_metrics import option_metrics
from rolloutwatch_contract.values import Bounds, Rejection

Possible = dict[str, Interval]

_RATIO = Interval(math.exp(-20), math.exp(20))  # where ratios are held
_SMALLEST_SQUARED = 1e-30  # what is smaller may vanish when it is squared

_VETOED = ("rollout_is_veto_fraction", "rollout_is_catastrophic_token_fraction")
_REMOVED = ("rollout_is_masked_fraction", "rollout_is_seq_masked_fraction")
_REJECTED = ("rollout_rs_masked_fraction", "rollout_rs_seq_masked_fraction")
_OF_RATIOS = ("ratio", "seq_ratio")
_NOT_NEGATIVE = (
    "mismatch_training_ppl", "mismatch_rollout_ppl", "mismatch_ppl_ratio", "mismatch_log_ppl_abs_diff", "mismatch_k3_kl",
    "logprob_abs_diff_mean", "logprob_abs_diff_median", "logprob_abs_diff_p99", "logprob_abs_diff_max",
    "logprob_abs_diff_first_quarter", "logprob_abs_diff_last_quarter",
)  # fmt: skip


def figures_under(config: CorrectionConfig) -> Possible:
    """Return each metric of the catalogue that can come under a configuration, and what it can be then."""
    possible = _always() | _of_weights(config)
    for rejection in config.rejections:
        possible |= _of_rejection(rejection)
    vetoes, rejects = config.rollout_token_veto_threshold is not None, bool(config.rejections)
    masks = config.rollout_is is not None and config.rollout_is_mode == "mask"
    brought = (
        *(_VETOED if vetoes else ()),
        *(_REJECTED if rejects else ()),
        *(_REMOVED if vetoes or rejects or masks else ()),
    )
    return possible | dict.fromkeys(brought, FRACTION)


def _always() -> Possible:
    """Return what comes whatever the configuration, with entropies or losses perhaps."""
    named = (one for one in METRICS.values() if not one.name.startswith(("rollout_is_", "rollout_rs_")))
    by_unit = {metric.FRACTION: FRACTION, metric.COUNT: POSITIVE}
    possible = {one.name: by_unit.get(one.unit, EVERYTHING) for one in named}
    possible |= dict.fromkeys(_NOT_NEGATIVE, POSITIVE)
    for name in _OF_RATIOS:
        possible |= {f"{name}_{figure}": _RATIO for figure in ("mean", "max", "min")}
        possible[f"{name}_std"] = _std(_RATIO)
    return possible | {"prob_pearson_corr": Interval(-1.0, 1.0)}


def _of_weights(config: CorrectionConfig) -> Possible:
    if config.rollout_is is None:
        return {}
    upper = config.bounds.upper
    if config.rollout_is_mode == "mask":
        value = held = Interval(0.0, upper)
    else:
        value, held = hull(upper, _RATIO.low), Interval(config.bounds.lower, upper)
    figures = _of_block("rollout_is", value, held)
    if config.rollout_is_batch_normalize:
        figures["rollout_is_batch_norm_factor"] = hull(*value, 1.0)
    return figures


def _of_rejection(rejection: Rejection) -> Possible:
    if rejection.statistic == "ratio":
        return _of_block("rollout_rs", _RATIO, _interval(rejection.bounds))
    figures = option_metrics(rejection.name)
    fractions = {one.name: FRACTION for one in figures if one.unit == metric.FRACTION}
    # what a sequence adds up to has no end, and k2 and k3 may be below 0 by what is rounded
    name = f"rollout_rs_{rejection.name}"
    others = {one.name: EVERYTHING for one in figures if one.unit != metric.FRACTION}
    spread = {
        f"{name}_std": _std(_own(rejection)),
        f"{name}_seq_std": POSITIVE,
        f"{name}_seq_max_deviation": POSITIVE,
    }
    return fractions | others | spread


def _of_block(name: str, value: Interval, held: Interval) -> Possible:
    """Return the figures of weights, or of ratios that are compared; spread is of what is held within the bounds."""
    deviation = max(abs(value.low - 1), abs(value.high - 1))
    fractions = ("ratio_fraction_high", "ratio_fraction_low", "seq_fraction_high", "seq_fraction_low")
    values = ("mean", "max", "min", "seq_mean", "seq_max", "seq_min")
    return {
        **{f"{name}_{figure}": FRACTION for figure in fractions},
        **{f"{name}_{figure}": value for figure in values},
        f"{name}_std": _std(held),
        f"{name}_eff_sample_size": _eff_sample_size(held),
        f"{name}_seq_std": _std(value, unbiased=True),
        f"{name}_seq_max_deviation": Interval(0.0, deviation),
    }


def _std(values: Interval, *, unbiased: bool = False) -> Interval:
    """Return what the std of such values can be: highest where half of them stand at either end.

    The unbiased one is highest where these are two.
    """
    return Interval(0.0, (values.high - values.low) / (math.sqrt(2) if unbiased else 2))


def _eff_sample_size(values: Interval) -> Interval:
    """Return what mean^2 / mean of squares can be (Kantorovich, 1948, gives the lowest)."""
    if values.low < _SMALLEST_SQUARED:
        return FRACTION
    share = values.low / values.high  # divided first, so that nothing overflows
    return Interval(4 * share / (1 + share) ** 2, 1.0)


def _own(rejection: Rejection) -> Interval:
    bounds = _interval(rejection.bounds)
    return Interval(-math.log(bounds.high), -math.log(bounds.low)) if rejection.statistic == "k1" else bounds


def _interval(bounds: Bounds) -> Interval:
    return Interval(bounds.lower, bounds.upper)
