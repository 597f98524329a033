"""On which scale a figure's changes are alike: even near its ideal, where it rests, and by its magnitude far from it."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# On a scale. Of a run that goes well figures may hardly move; what is closer than this does not matter then either.
LEAST_SPREAD = 0.125


class Scale(NamedTuple):
    """The scale of a figure that is `ideal` at best, and for which a distance of `matters` from there is worth a look.

    A ratio of which twice as much is as far from 1 as half as much is taken by its logarithm; `matters` is of that.
    """

    ideal: float
    matters: float
    is_ratio: bool = False

    def of(self, value: float) -> float:
        """Return where a value is: 0 at the ideal, linear near it and logarithmic far from it, on both sides alike.

        >>> scale = Scale(ideal=0.0, matters=1e-3)
        >>> [round(scale.of(value), 2) for value in (-1e-3, 0.0, 1e-4, 1e-3, 1e-2, 1e-1)]
        [-0.88, 0.0, 0.1, 0.88, 3.0, 5.3]
        """
        if self.is_ratio:
            return -math.inf if value <= 0 else math.asinh(math.log(value) / self.matters)
        return math.asinh((value - self.ideal) / self.matters)

    def back(self, place: float) -> float:
        """Return the value that is at a place, `of` the other way round; infinite where doubles do not reach.

        >>> scale = Scale(ideal=1.0, matters=1e-3)
        >>> [round(scale.back(scale.of(value)), 9) for value in (0.9, 1.0, 1.001)]
        [0.9, 1.0, 1.001]
        """
        try:
            away = math.sinh(place) * self.matters
            return math.exp(away) if self.is_ratio else self.ideal + away
        except OverflowError:  # of the logarithm of a ratio, below which there is 0
            return 0.0 if self.is_ratio and place < 0 else math.copysign(math.inf, place)

    def of_all(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return where each of many values is, as `of` does but for rounding."""
        if not self.is_ratio:
            return np.arcsinh((values - self.ideal) / self.matters)
        logs = np.log(values, out=np.full(len(values), -np.inf), where=~(values <= 0))
        return np.arcsinh(logs / self.matters)


SCALES: Mapping[str, Scale] = {
    "mismatch_k3_kl": Scale(0.0, 3e-4),
    "mismatch_kl": Scale(0.0, 1e-3),
    "logprob_abs_diff_mean": Scale(0.0, 5e-3),
    "logprob_abs_diff_median": Scale(0.0, 2e-3),
    "logprob_abs_diff_p99": Scale(0.0, 0.05),
    "logprob_abs_diff_first_quarter": Scale(0.0, 5e-3),
    "logprob_abs_diff_last_quarter": Scale(0.0, 5e-3),
    "prob_pearson_corr": Scale(1.0, 2e-3),
    "logprob_slope": Scale(1.0, 0.01),
    "surprise_gap": Scale(0.0, 0.2),
    "ratio_mean": Scale(1.0, 3e-3),
    "ratio_std": Scale(0.0, 0.02),
    "ratio_max": Scale(1.0, 0.5, is_ratio=True),
    "ratio_min": Scale(1.0, 0.5, is_ratio=True),
    "zero_logprob_fraction": Scale(0.0, 0.005),
    "chi2_token": Scale(0.0, 1e-3),
    "chi2_seq": Scale(0.0, 0.01),
    "mismatch_log_ppl_diff": Scale(0.0, 3e-3),
    "mismatch_log_ppl_abs_diff": Scale(0.0, 3e-3),
    "mismatch_ppl_ratio": Scale(1.0, 3e-3, is_ratio=True),
    "ratio_eff_sample_size": Scale(1.0, 1e-3),
    "seq_ratio_eff_sample_size": Scale(1.0, 0.01),
    "fraction_outside_2x": Scale(0.0, 0.003),
    "weight_age_steps": Scale(0.0, 1.0),
    "mismatch_k3_seq_share_max": Scale(0.0, 0.2),
}


def scale_of(metric: str) -> "Scale | None":
    """Return the scale of a metric, of a group or of all tokens; None of one that has none."""
    return SCALES.get(metric.partition("@")[0])
