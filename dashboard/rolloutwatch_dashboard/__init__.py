"""The pages of Rolloutwatch: figures anyone can call, and thin callbacks."""

from rolloutwatch_dashboard.app import create_dashboard
from rolloutwatch_dashboard.memory import MemorySource

__version__ = "0.1.0"

__all__ = ["MemorySource", "create_dashboard"]
