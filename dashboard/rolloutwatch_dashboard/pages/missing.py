"""The page for a path that leads nowhere."""

from dash import dcc, html

from rolloutwatch_dashboard.components import frame


def layout(path: str) -> html.Section:
    """Return the page."""
    where = html.P(["There is no run or page at ", html.Code(path[:200]), "."])
    back = html.P(dcc.Link("See the runs there are", href="/"))
    return frame.message("Nothing here", where, back)
