"""What can be done with one chart, and with all of them. board.js does it."""

from dash import html

from rolloutwatch_dashboard import ids

# what board.js is to do, and how it is called
ACTIONS = {"log": "Log axis", "png": "Save as PNG", "csv": "Save as CSV", "link": "Copy link"}


def chart_menu(name: str, title: str, *, has_log: bool = True, has_link: bool = True) -> html.Details:
    """Return the menu of a chart; of one whose values cannot have a log axis, or that no address leads to, with less in it."""
    left_out = {action for action, has in (("log", has_log), ("link", has_link)) if not has}
    buttons = [
        html.Button(text, type="button", **{"data-do": action}, **_state(action))
        for action, text in ACTIONS.items()
        if action not in left_out
    ]
    summary = html.Summary("⋯", title="More", **{"aria-label": f"More about {title}"})
    return html.Details([summary, html.Div(buttons)], className="chart-menu", **{"data-chart": name})


def _state(action: str) -> dict[str, str]:
    return {"aria-pressed": "false"} if action == "log" else {}


def chart_tools() -> html.Div:
    """Return the place of what concerns all charts."""
    return html.Div(id=ids.CHART_TOOLS, className="chart-tools", role="group", **{"aria-label": "All charts"})
