"""The pages of Rolloutwatch: figures anyone can call, and thin callbacks."""

from dash.exceptions import DependencyException, PreventUpdate

from rolloutwatch_dashboard.app import create_dashboard
from rolloutwatch_dashboard.memory import MemorySource
from rolloutwatch_dashboard.shell import (
    BUTTONS,
    FRAME_SCRIPTS,
    NAVIGATION,
    STYLE,
    THEME_SCRIPT,
    kept_assets,
    script_hashes,
)

__version__ = "0.1.0"

# what the routes of the pages raise: where there is nothing new to tell, and where there is no such file
NO_NEWS = PreventUpdate
NO_SUCH_FILE = (DependencyException, FileNotFoundError)

__all__ = [
    "BUTTONS",
    "FRAME_SCRIPTS",
    "NAVIGATION",
    "NO_NEWS",
    "NO_SUCH_FILE",
    "STYLE",
    "THEME_SCRIPT",
    "MemorySource",
    "create_dashboard",
    "kept_assets",
    "script_hashes",
]
