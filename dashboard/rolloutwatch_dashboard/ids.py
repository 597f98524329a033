"""Every id on a page, once. The scripts in assets/ know those marked with a star."""

LOCATION = "location"
PAGE = "page"
TICK = "tick"
RUNS = "runs"  # *
REFRESH = "refresh"  # * counted up by run.js when a page has to be built anew
FOLLOWED = "followed"  # what run.js is to follow
FOLLOWING = "following"  # where the callback that tells it so leaves its answer

THEME = "theme"  # *
ICON = "icon"  # *
NOTICE = "notice"  # *
HEALTH = "health"  # *
REASONS = "reasons"  # *
STATE = "state"  # *
CONTESTED = "contested"  # *
STEP = "step"  # *
SPEED = "speed"  # *
AGE = "age"  # *


def chart(name: str) -> str:
    """Return the id of a chart."""
    return f"chart-{name}"


def tile(metric: str) -> str:
    """Return the id of a metric's tile. *"""
    return f"tile-{metric}"
