"""The shapes of a step's two tables: histogram of the log ratio, and figures per sequence."""

from typing import Final

# Healthy tokens differ by 1e-4 and sick ones by 10, so the bins are quarters of an octave, on both sides of 0,
# from 2^-17 (8e-6) to 2^5 (32). The first and the last bin are open, the middle one holds what is nearly equal.
# A float32 has these quarters in its upper bits, which is how a GPU counts them without a search.
# A magnitude on an edge belongs to the bin further from 0.
SMALLEST_EXPONENT: Final = -17
_LARGEST_EXPONENT = 5
_MAGNITUDES = (
    *(
        2.0**exponent * (1 + quarter / 4)
        for exponent in range(SMALLEST_EXPONENT, _LARGEST_EXPONENT)
        for quarter in range(4)
    ),
    2.0**_LARGEST_EXPONENT,
)
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
    "group",  # number of its group, -1 without
    "sample_id",  # the trainer's own number for it, else its place in the batch
)
