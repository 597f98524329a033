"""Rejection: which tokens a rule takes out of the loss, and the figures of that rule."""

import math
from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

from tests.oracle.arithmetic import Token, clamp, extremes, level_ratios, mean, outside, spread, with_means
from tests.oracle.figures import Place

SEED_MODES = ("token", "sequence", "geometric")


class Limit(NamedTuple):
    """A rule of rejection by its name in the configuration; bounds are of the ratio, for k2 and k3 only the upper counts."""

    name: str
    lower: float
    upper: float


ESTIMATORS: dict[str, Callable[[float], float]] = {
    "k1": lambda x: -x,
    "k2": lambda x: x * x / 2,
    "k3": lambda x: math.exp(x) - 1 - x,
}
OVER_THE_ROW: dict[str, Callable[[list[float]], float]] = {
    "seq_sum": math.fsum,
    "seq_mean": mean,
    "seq_max": max,
}


def rejected_by(limit: Limit, valid: list[Place], rows: dict[int, list[Token]]) -> set[Place]:
    """Valid tokens that a rule takes out; what is not finite is out too, with its sequence where a rule is about that."""
    lower, upper = limit_bounds(limit)
    good = {
        (token.sequence, token.position)
        for row in rows.values()
        if row
        for token, x in zip(row, limit_values(limit, row), strict=True)
        if lower <= x <= upper
    }
    bad = set(valid) - good
    if limit.name.startswith("token"):
        return bad
    bad_rows = {b for b, _ in bad}
    return {at for at in valid if at[0] in bad_rows}


def limit_values(limit: Limit, row: list[Token]) -> list[float]:
    """What a rule looks at, for each token of a sequence: ratios, or estimates of KL(rollout || training)."""
    if limit.name in SEED_MODES:
        return level_ratios(limit.name, row)
    level, estimator = limit.name.rsplit("_", 1)
    each = [ESTIMATORS[estimator](clamp(token.log_ratio)) for token in row]
    return each if level == "token" else [OVER_THE_ROW[level](each)] * len(row)


def limit_bounds(limit: Limit) -> tuple[float, float]:
    """The bounds of what the rule looks at. k1 is minus the log of the ratio, so that its bounds change places."""
    if limit.name in SEED_MODES:
        return limit.lower, limit.upper
    if limit.name.endswith("k1"):
        return -math.log(limit.upper), -math.log(limit.lower)
    return -math.inf, limit.upper


def distances(limit: Limit, filled: list[list[Token]]) -> list[float]:
    """How far from its bounds everything stands that a rule compares."""
    values = with_means([limit_values(limit, row) for row in filled])
    lower, upper = limit_bounds(limit)
    if limit.name.endswith("k1"):
        return [abs(x - bound) for x in values for bound in (lower, upper)]  # logs: a share already
    return [abs(x / bound - 1) for x in values for bound in (lower, upper) if math.isfinite(bound)]


def rejection_metrics(limit: Limit, filled: list[list[Token]]) -> dict[str, float]:
    """Figures of one rule; those of the seed's modes are of ratios and carry no name, as there is but one."""
    values = [limit_values(limit, row) for row in filled]
    if limit.name in SEED_MODES:
        held = [min(max(q, limit.lower), limit.upper) for q in chain(*values)]
        return (
            extremes("rollout_rs", values, ideal=1)
            | spread("rollout_rs", held, only=("std", "eff_sample_size"))
            | outside("rollout_rs", values, limit.lower, limit.upper, by_sequence=limit.name == "sequence")
        )
    name = f"rollout_rs_{limit.name}"
    lower, upper = limit_bounds(limit)
    every, means = list(chain(*values)), [mean(row) for row in values]
    counted = every if limit.name.startswith("token") else means
    metrics = extremes(name, values, ideal=0)
    metrics |= spread(name, [min(max(x, lower), upper) for x in every], only=("std",))
    metrics[f"{name}_fraction_high"] = mean(x > upper for x in counted)
    metrics[f"{name}_seq_fraction_high"] = mean(x > upper for x in means)
    if limit.name.endswith("k1"):
        metrics[f"{name}_fraction_low"] = mean(x < lower for x in counted)
        metrics[f"{name}_seq_fraction_low"] = mean(x < lower for x in means)
    return metrics
