"""The pages of Rolloutwatch: figures anyone can call, and thin callbacks."""

from rolloutwatch_dashboard.app import create_dashboard
from rolloutwatch_dashboard.memory import MemorySource
from rolloutwatch_dashboard.shell import STYLE, THEME_SCRIPT, kept_assets, script_hashes

__version__ = "0.1.0"

__all__ = ["STYLE", "THEME_SCRIPT", "MemorySource", "create_dashboard", "kept_assets", "script_hashes"]
