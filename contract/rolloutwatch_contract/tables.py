"""The shapes of a step's two tables: histogram of the log ratio, and figures per sequence."""

from typing import Final

# Healthy tokens differ by 1e-4 and sick ones by 10, so the bins are equal steps of the logarithm, on both sides of 0:
# eight to a decade, from 1e-5 to 10^1.5. The first and the last bin are open, the middle one holds what is nearly equal.
_MAGNITUDES = tuple(10 ** (k / 8) for k in range(-40, 13))
HISTOGRAM_EDGES: Final = (*(-magnitude for magnitude in reversed(_MAGNITUDES)), *_MAGNITUDES)
HISTOGRAM_BINS: Final = len(HISTOGRAM_EDGES) + 1

SEQUENCE_COLUMNS: Final = (
    "length",  # valid tokens with finite log-probs
    "log_ratio_sum",
    "log_ratio_mean",
    "log_ratio_min",
    "log_ratio_max",
    "log_ratio_min_position",  # index in the response, -1 for an empty sequence
    "log_ratio_max_position",
    "k3_sum",
    "log_ratio_abs_sum",
    "training_logprob_sum",
    "rollout_logprob_sum",
    "weight_mean",  # 1 where no weights are computed, 0 for an empty sequence
    "kept_fraction",  # share of its valid tokens that stay in the loss, 0 for an empty sequence
)
