"""The pages of Rolloutwatch."""

__version__ = "0.1.0"
