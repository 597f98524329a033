"""Rollout correction: importance weights, rejection, veto and mismatch metrics as pure functions on tensors.

Nothing here logs, waits for a device, or branches on a tensor's value.
"""

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.values import Bounds, Rejection
from rolloutwatch_correction.correct import Correction, Metrics, compiled_correct, correct, normalized
from rolloutwatch_correction.distributed import all_reduce_statistics, gathered
from rolloutwatch_correction.groups import Groups, brought
from rolloutwatch_correction.losses import (
    aggregate,
    bypass_loss,
    decoupled_loss,
    ppo_clip_loss,
    reinforce_loss,
)
from rolloutwatch_correction.metrics import group_metrics_of, histogram_of, metrics_of
from rolloutwatch_correction.sequences import worst_rows
from rolloutwatch_correction.statistics import Statistics, weight_sums

__version__ = "0.1.0"

__all__ = [
    "Bounds",
    "Correction",
    "CorrectionConfig",
    "Groups",
    "Metrics",
    "Rejection",
    "Statistics",
    "aggregate",
    "all_reduce_statistics",
    "brought",
    "bypass_loss",
    "compiled_correct",
    "correct",
    "decoupled_loss",
    "gathered",
    "group_metrics_of",
    "histogram_of",
    "metrics_of",
    "normalized",
    "ppo_clip_loss",
    "reinforce_loss",
    "weight_sums",
    "worst_rows",
]
