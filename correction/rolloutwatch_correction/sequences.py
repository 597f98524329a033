"""One row of figures per sequence, so that those that carry the mismatch can be named.

Axes: B sequences.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction.groups import Groups
from rolloutwatch_correction.statistics import WEIGHT, mean_of


def sequence_table(
    sums: Mapping[str, Tensor], config: CorrectionConfig, groups: Groups | None, sample_ids: Tensor | None
) -> Tensor:
    """Return float64 [B, len(SEQUENCE_COLUMNS)], on the device of the batch."""
    filled = sums["tokens"] > 0
    valid = sums["valid_tokens"]
    place = torch.arange(filled.shape[0], device=filled.device)
    columns = {
        "length": sums["tokens"],
        "log_ratio_sum": sums["log_ratio"],
        "log_ratio_mean": mean_of(sums, "log_ratio"),
        "log_ratio_min": (-sums["minus_lowest"]).masked_fill(~filled, 0),
        "log_ratio_max": sums["highest"].masked_fill(~filled, 0),
        "log_ratio_min_position": sums["lowest_at"].masked_fill(~filled, -1),
        "log_ratio_max_position": sums["highest_at"].masked_fill(~filled, -1),
        "k3_sum": sums["k3"],
        "log_ratio_abs_sum": sums["log_ratio_abs"],
        "training_logprob_sum": sums["training_logprob"],
        "rollout_logprob_sum": sums["rollout_logprob"],
        "weight_mean": filled if config.rollout_is is None else mean_of(sums, f"{WEIGHT}.value"),
        "kept_fraction": (valid - sums["removed_tokens"]) / valid.clamp(min=1),
        "group": torch.full_like(place, -1) if groups is None else groups.ids,
        "sample_id": place if sample_ids is None else sample_ids,
    }
    return torch.stack([columns[name].double() for name in SEQUENCE_COLUMNS], dim=1)


def worst_rows(sequences: Tensor, vetoed: Tensor, count: int) -> Tensor:
    """Return which sequences come first where there is room for `count`, int64 [at most count], in their order.

    First every vetoed one, then those with the largest share of the mismatch, by the sum of K3.

    Args:
        sequences: [B, columns], as `sequence_table` returns it.
        vetoed: bool [B].
        count: How many there is room for.
    """
    share = sequences[:, SEQUENCE_COLUMNS.index("k3_sum")]
    # K3 is held to what is finite, so that nothing else is as bad as a vetoed one
    order = share.masked_fill(vetoed, torch.inf).argsort(descending=True, stable=True)
    return order[:count].sort().values
