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
AROUND = "around"  # what is said of the step that an address asks for


def chart(name: str) -> str:
    """Return the id of a chart."""
    return f"chart-{name}"


def tile(metric: str) -> str:
    """Return the id of a metric's tile. *"""
    return f"tile-{metric}"


# alerts and rules; alerts.js and run.js know those with a star
BANNERS = "banners"
BADGE = "alerts-badge"
WATCH = "watch"  # * counted up by alerts.js when the badge and the banners are to be looked at again
ALERTS = "alerts"  # *
ALERTS_WATCH = "alerts-watch"  # * the same for the page of alerts
RUN_ALERTS = "run-alerts"  # *
RUN_WATCH = "run-watch"  # * the same for the page of a run
RULES_EDITOR = "rules-editor"  # *
RULES_DOCUMENT = "rules-document"  # *
RULES_LINES = "rules-lines"  # *
RULES_ANSWER = "rules-answer"  # *
RULES_RUN = "rules-run"  # *

# charts; board.js knows those with a star
CHART_TOOLS = "chart-tools"  # * how one looks at all charts
