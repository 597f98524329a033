"""Rollout correction: weights, rejection, veto and mismatch metrics as pure functions on tensors."""

__version__ = "0.1.0"
