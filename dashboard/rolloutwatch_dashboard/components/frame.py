"""What stands around every page."""

from typing import Any
from urllib.parse import quote

from dash import dcc, html

from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.shell import BUTTONS, NAVIGATION

SERVED_WHOLE = ("/guides", "/docs")  # by the server, not in the place of another page

# the pages of a run, in this order
RUN_PAGES = (
    ("Run", "/runs/{run}"),
    ("What if", "/runs/{run}/whatif"),
    ("Compare", "/compare?run={run}"),
)


def top(title: str, *, asks_for_login: bool = False) -> html.Header:
    """Return the bar above every page, with the way out where one has to log in."""
    buttons: list[Any] = [html.Button(text, type="button", **known) for text, known in BUTTONS]
    links = html.Nav([_way(text, href) for text, href in NAVIGATION])
    out = html.Form(html.Button("Log out"), action="/logout", method="post") if asks_for_login else None
    tools = html.Div([*buttons, out], className="buttons")
    return html.Header([dcc.Link(title, href="/", className="brand"), links, tools], className="top")


def _way(text: str, href: str) -> Any:
    if href == "/alerts":
        return html.Span([dcc.Link(text, href=href), html.Span(id=ids.BADGE)], className="counted")
    return (html.A if href in SERVED_WHOLE else dcc.Link)(text, href=href)


def run_tabs(run: str, here: str) -> html.Nav:
    """Return the ways between the pages of a run; `here` is the one that is shown."""
    ways = [
        # a link of Dash's cannot say that it is of this page, and to this page nobody has to be led
        html.Span(text, **{"aria-current": "page"})
        if text == here
        else dcc.Link(text, href=href.format(run=quote(run)))
        for text, href in RUN_PAGES
    ]
    return html.Nav(ways, className="tabs", **{"aria-label": "Pages of this run"})


def loading() -> html.P:
    """Return what stands in the place of a page until it is there; style.css shows it to whoever has to wait."""
    return html.P("Loading …", className="loading", role="status")


def message(heading: str, *body: object) -> html.Section:
    """Return what stands where there is nothing to show: what is, and what to do."""
    return html.Section([html.H1(heading), *body], className="message")
