"""Where the correction's thresholds stand on the axis of a token's log ratio. They are no limits: nobody is called by them."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.protocol import Value
from rolloutwatch_contract.values import Rejection
from rolloutwatch_dashboard.text import number

HALVINGS = 80
FARTHEST = 700.0  # a log ratio whose exponential is still a number


class Threshold(NamedTuple):
    """A log ratio beyond which something happens to a token or to its sequence: what, in a word and in a sentence."""

    at: float
    label: str
    words: str


def correction_of(config: Mapping[str, Value]) -> CorrectionConfig | str:
    """Return the configuration of a run's correction; why it cannot be read, in words."""
    try:
        return CorrectionConfig.from_mapping(config)
    except ValueError as error:
        return str(error)


def token_thresholds(config: CorrectionConfig) -> list[Threshold]:
    """Return the thresholds that single tokens are held against, in order of their log ratios.

    >>> [(round(one.at, 3), one.words) for one in token_thresholds(CorrectionConfig(rollout_is="token"))]
    [(0.693, 'weight cut above 2')]
    """
    found = [*_of_weights(config), *(one for each in config.rejections for one in _of_rejection(each))]
    veto = config.rollout_token_veto_threshold
    if veto is not None:
        found.append(Threshold(math.log(veto), "veto", f"sequence vetoed below {number(veto)}"))
    return sorted(found)


def _of_weights(config: CorrectionConfig) -> list[Threshold]:
    if config.rollout_is != "token":
        return []
    if config.rollout_is_mode == "truncate":
        return _sides(None, config.bounds.upper, "cut", "weight cut")
    return _sides(config.bounds.lower, config.bounds.upper, "mask", "weight 0")


def _of_rejection(rejection: Rejection) -> list[Threshold]:
    if rejection.level not in ("token", "seq_max"):
        return []
    what = "token rejected" if rejection.level == "token" else "sequence rejected"
    upper = rejection.bounds.upper
    if rejection.statistic == "k2":
        far = math.sqrt(2 * upper)
        return _sides(math.exp(-far), math.exp(min(far, FARTHEST)), "reject", what)
    if rejection.statistic == "k3":
        return _sides(math.exp(-_k3_reaches(upper, -1)), math.exp(_k3_reaches(upper, 1)), "reject", what)
    return _sides(rejection.bounds.lower, upper, "reject", what)


def _sides(lower: float | None, upper: float, label: str, what: str) -> list[Threshold]:
    """Return thresholds of ratios, as far as there is something beyond them."""
    sides = [] if not lower else [Threshold(math.log(lower), label, f"{what} below {number(lower)}")]
    return (
        sides if upper <= 0 else [*sides, Threshold(math.log(upper), label, f"{what} above {number(upper)}")]
    )


def _k3_reaches(bound: float, sign: int) -> float:
    """Return how far from 0, on one side, a log ratio has this K3."""
    k3: Callable[[float], float] = lambda size: math.expm1(sign * size) - sign * size  # noqa: E731 - one formula
    low, high = 0.0, FARTHEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if k3(middle) < bound else (low, middle)
    return (low + high) / 2
