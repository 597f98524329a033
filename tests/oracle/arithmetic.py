"""The arithmetic of the judge: a token, its ratio at each level, means and spreads."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

Rows = list[list[float]]  # one number for each token, by sequence


class Token(NamedTuple):
    """A valid token whose log-probs are finite."""

    sequence: int
    position: int
    training: float
    rollout: float
    log_ratio: float


def level_ratios(level: str, row: list[Token]) -> list[float]:
    """The ratio of each token, or of its sequence. The clamp acts on the sum or mean, so that opposite extremes cancel."""
    total = math.fsum(token.log_ratio for token in row)
    if level == "token":
        return [ratio(token.log_ratio) for token in row]
    return [ratio(total if level == "sequence" else total / len(row))] * len(row)


def ratio(log_ratio: float) -> float:
    return math.exp(clamp(log_ratio))


def clamp(log_ratio: float) -> float:
    return min(max(log_ratio, -20.0), 20.0)


def exp(x: float) -> float:
    """Held where a sum of it is still a number."""
    return math.exp(min(x, 600.0))


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def with_means(rows: Rows) -> list[float]:
    return [*chain(*rows), *map(mean, rows)]


def spread(
    name: str, values: list[float], only: Sequence[str] = ("mean", "std", "max", "min", "eff_sample_size")
) -> dict[str, float]:
    center = mean(values)
    squares = mean(x**2 for x in values)
    figures = {
        "mean": center,
        "std": math.sqrt(mean((x - center) ** 2 for x in values)),
        "max": max(values),
        "min": min(values),
        "eff_sample_size": center**2 / squares if squares else 0.0,
    }
    return {f"{name}_{figure}": figures[figure] for figure in only}


def extremes(name: str, values: Rows, *, ideal: float) -> dict[str, float]:
    every, means = list(chain(*values)), [mean(row) for row in values]
    center = mean(means)
    return {
        f"{name}_mean": mean(every),
        f"{name}_max": max(every),
        f"{name}_min": min(every),
        f"{name}_seq_mean": center,
        f"{name}_seq_std": math.sqrt(sum((v - center) ** 2 for v in means) / max(len(means) - 1, 1)),
        f"{name}_seq_max": max(means),
        f"{name}_seq_min": min(means),
        f"{name}_seq_max_deviation": max(abs(v - ideal) for v in means),
    }


def outside(name: str, ratios: Rows, lower: float, upper: float, *, by_sequence: bool) -> dict[str, float]:
    """Shares of ratios beyond the bounds; where a sequence has one ratio, it is counted once for each sequence."""
    every, means = list(chain(*ratios)), [mean(row) for row in ratios]
    counted = means if by_sequence else every
    return {
        f"{name}_ratio_fraction_high": mean(r > upper for r in counted),
        f"{name}_ratio_fraction_low": mean(r < lower for r in counted),
        f"{name}_seq_fraction_high": mean(r > upper for r in means),
        f"{name}_seq_fraction_low": mean(r < lower for r in means),
    }
