"""Rollout correction: importance weights, veto and mismatch metrics as pure functions on tensors.

Nothing here logs, waits for a device, or branches on a tensor's value.
"""

from rolloutwatch_correction.config import CorrectionConfig
from rolloutwatch_correction.correct import Correction, Metrics, correct, uncorrected
from rolloutwatch_correction.metrics import histogram_of, metrics_of
from rolloutwatch_correction.statistics import Statistics

__version__ = "0.1.0"

__all__ = [
    "Correction",
    "CorrectionConfig",
    "Metrics",
    "Statistics",
    "correct",
    "histogram_of",
    "metrics_of",
    "uncorrected",
]
