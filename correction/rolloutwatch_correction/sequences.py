"""One row of figures per sequence, so that those that carry the mismatch can be named.

Axes: B sequences, T response tokens.
"""

import torch
from torch import Tensor

from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction.ratios import Batch
from rolloutwatch_correction.statistics import Outcome, k3, sequence_mean


def sequence_table(batch: Batch, outcome: Outcome) -> Tensor:
    """Return float32 [B, len(SEQUENCE_COLUMNS)], on the device of the batch."""
    log_ratio = batch.log_ratio_BT.double()
    lowest, lowest_at = _extreme(batch, -log_ratio)
    highest, highest_at = _extreme(batch, log_ratio)
    weight = batch.filled_B if outcome.weight_BT is None else sequence_mean(batch, outcome.weight_BT)
    valid = batch.valid_BT.sum(dim=1)
    columns = {
        "length": batch.length_B,
        "log_ratio_sum": log_ratio.sum(dim=1),
        "log_ratio_mean": sequence_mean(batch, log_ratio),
        "log_ratio_min": -lowest,
        "log_ratio_max": highest,
        "log_ratio_min_position": lowest_at,
        "log_ratio_max_position": highest_at,
        "k3_sum": k3(log_ratio).sum(dim=1),
        "log_ratio_abs_sum": log_ratio.abs().sum(dim=1),
        "training_logprob_sum": batch.training_logprobs_BT.double().sum(dim=1),
        "rollout_logprob_sum": batch.rollout_logprobs_BT.double().sum(dim=1),
        "weight_mean": weight,
        "kept_fraction": outcome.kept_BT.sum(dim=1) / valid.clamp(min=1),
    }
    return torch.stack([columns[name].float() for name in SEQUENCE_COLUMNS], dim=1)


def _extreme(batch: Batch, values_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest counted value of each sequence and where it stands; 0 and -1 for an empty one."""
    # a column of -inf in front lets a batch of no columns have a maximum too
    masked = values_BT.masked_fill(~batch.counted_BT, -torch.inf)
    value, position = torch.nn.functional.pad(masked, (1, 0), value=-torch.inf).max(dim=1)
    return value.masked_fill(~batch.filled_B, 0), (position - 1).masked_fill(~batch.filled_B, -1)
