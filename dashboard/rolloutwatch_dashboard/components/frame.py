"""What stands around every page."""

from dash import dcc, html

from rolloutwatch_dashboard import ids


def top(title: str, *, asks_for_login: bool = False) -> html.Header:
    """Return the bar above every page, with the way out where one has to log in."""
    toggle = html.Button("Theme", id=ids.THEME, type="button", title="Switch between light and dark")
    alerts = html.Span([dcc.Link("Alerts", href="/alerts"), html.Span(id=ids.BADGE)], className="counted")
    links = html.Nav(
        [dcc.Link("Runs", href="/"), alerts, dcc.Link("Rules", href="/rules"), html.A("API", href="/docs")]
    )
    out = html.Form(html.Button("Log out"), action="/logout", method="post") if asks_for_login else None
    return html.Header([dcc.Link(title, href="/", className="brand"), links, toggle, out], className="top")


def message(heading: str, *body: object) -> html.Section:
    """Return what stands where there is nothing to show: what is, and what to do."""
    return html.Section([html.H1(heading), *body], className="message")
