"""What stands around every page."""

from dash import dcc, html

from rolloutwatch_dashboard import ids


def top(title: str) -> html.Header:
    """Return the bar above every page."""
    toggle = html.Button("Theme", id=ids.THEME, type="button", title="Switch between light and dark")
    links = html.Nav([dcc.Link("Runs", href="/"), html.A("API", href="/docs")])
    return html.Header([dcc.Link(title, href="/", className="brand"), links, toggle], className="top")


def message(heading: str, *body: object) -> html.Section:
    """Return what stands where there is nothing to show: what is, and what to do."""
    return html.Section([html.H1(heading), *body], className="message")
