"""Every id on a page, once. The scripts in assets/ know those marked with a star."""

from typing import Any

LOCATION = "location"
PAGE = "page"
TICK = "tick"
RUNS = "runs"  # *
RUNS_COUNT = "runs-count"  # *
RUNS_TOOLS = "runs-tools"  # *
RUNS_ROWS = "runs-rows"  # *
RUNS_REST = "runs-rest"  # *
RUNS_CHOSEN = "runs-chosen"  # * what can be done with several runs at once
RUNS_ASK = "runs-ask"  # * counted up by runs.js when somebody has changed a run
RUNS_NEWS = "runs-news"  # what has changed, which runs.js is told
RUNS_SEEN = "runs-seen"  # up to where runs.js knows of it
REFRESH = "refresh"  # * counted up by run.js when a page has to be built anew
FOLLOWED = "followed"  # what run.js is to follow
FOLLOWING = "following"  # where the callback that tells it so leaves its answer

ICON = "icon"  # *
NOTICE = "notice"  # *
HEALTH = "health"  # *
HEADLINE = "headline"  # * what is wrong, in a sentence
WHY = "why"  # * what is wrong, each cause in a row
REASONS = "reasons"  # * the rows
DIAGNOSIS = "diagnosis"  # * what is probably the cause of it
DIAGNOSIS_WATCH = "diagnosis-watch"  # * of which step run_diagnosis.js asks that
REASONS_MORE = "reasons-more"  # *
STATE = "state"  # *
CONTESTED = "contested"  # *
STEP = "step"  # *
SPEED = "speed"  # *
AGE = "age"  # *
RUN_TAGS = "run-tags"  # *
CONFIGURATION = "configuration"  # *
AROUND = "around"  # what is said of the step that an address asks for


def chart(name: str) -> str:
    """Return the id of a chart."""
    return f"chart-{name}"


def group(name: str) -> str:
    """Return the id of a group of charts. *"""
    return f"group-{name}"


def charts(part: Any) -> dict[str, Any]:
    """Return the id of a part of a group of charts; `part` is its name, or what matches any."""
    return {"type": "charts", "part": part}


def wanted(part: Any) -> dict[str, Any]:
    """Return the id of what run_groups.js writes into when a part is to be drawn. *"""
    return {"type": "wanted", "part": part}


def tile(metric: str) -> str:
    """Return the id of a metric's tile. *"""
    return f"tile-{metric}"


# alerts and rules; alerts.js and run.js know those with a star
BANNERS = "banners"
BADGE = "alerts-badge"
WATCH = "watch"  # * counted up by alerts.js when the badge and the banners are to be looked at again
ALERTS = "alerts"  # *
ALERTS_TOLD = (
    "alerts-told"  # * which of it is shown, for the next look, and what alerts_page.js is told beside it
)
ALERTS_WATCH = "alerts-watch"  # * the same for the page of alerts
ALERTS_SEEN = "alerts-seen"  # * of which alerts alerts_page.js asks the history
ALERTS_HISTORIES = "alerts-histories"  # what it is told of them
ALERTS_DRAWN = "alerts-drawn"  # where the callback that tells it leaves its answer
RUN_ALERTS = "run-alerts"  # * what run.js reads of them
RUN_WATCH = "run-watch"  # * the same for the page of a run
RULES_EDITOR = "rules-editor"  # *
RULES_DOCUMENT = "rules-document"  # *
RULES_LINES = "rules-lines"  # *
RULES_ANSWER = "rules-answer"  # *
RULES_RUN = "rules-run"  # *

# charts; board.js knows those with a star
CHART_TOOLS = "chart-tools"  # * how one looks at all charts
# the heat map of the log ratio; heatmap.js knows it, and what is named after it
HEATMAP = "heatmap"  # *
# replay; replay_bar.js and replay.js know those with a star
REPLAY = "replay"  # *
REPLAY_TRACK = "replay-track"  # * where the slider and its ticks stand
REPLAY_STEP = "replay-step"  # *
REPLAY_TIME = "replay-time"  # *
REPLAY_PACE = "replay-pace"  # *
REPLAY_NOTE = "replay-note"  # *
REPLAY_ALERTS = "replay-alerts"  # * what replay.js reads of those that stood
REPLAY_WATCH = "replay-watch"  # * which step and time replay.js asks the alerts of

# one step of a run; step.js knows those with a star
STEP_ASKED = (
    "step-asked"  # * the address, once it asks for another order or for the tokens of another sequence
)
STEP_CHOICE = "step-choice"  # table and tokens
STEP_TEXT = "step-text"  # * where tokens are written
STEP_TOKEN = "step-token"  # * what is said of one of them
STEP_WORDS = "step-words"  # what step.js writes there
STEP_WRITTEN = "step-written"  # where the callback that has it written leaves its answer
STEP_SCATTER = "step-scatter"
STEP_POSITIONS = "step-positions"

# what if; whatif.js knows all of them
WHATIF_CONTROLS = "whatif-controls"  # *
WHATIF_YAML = "whatif-yaml"  # *
WHATIF_STATUS = "whatif-status"  # *
WHATIF_TABLE = "whatif-table"  # *
WHATIF_NOTES = "whatif-notes"  # *
WHATIF_CHARTS = "whatif-charts"  # *

# runs compared; compare.js knows those with a star
COMPARED = "compared"  # *
COMPARED_WATCH = "compared-watch"  # * counted up by compare.js when its tables are to be made anew
COMPARED_TABLES = "compared-tables"  # *
COMPARED_ZONE = "compared-zone"  # *
COMPARED_ALL = "compared-all"  # *
