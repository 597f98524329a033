"""See the mismatch between rollout and training policy, from inside the trainer."""

__version__ = "0.1.0"
