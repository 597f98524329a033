"""The Dash application: one layout, and callbacks that ask the source and show what it says."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.board import Board
from rolloutwatch_dashboard.components import banner, frame
from rolloutwatch_dashboard.components.clock import digest
from rolloutwatch_dashboard.pages.routes import WITH_CALLBACKS, shown
from rolloutwatch_dashboard.shell import HTML, LIBRARY, asset, assets, scripts
from rolloutwatch_dashboard.visit import Shown, Visit

TITLE = "Rolloutwatch"
# dash asks for it when the first chart is there; asked for at once, it is there by then
GRAPH = "/_dash-component-suites/dash/dcc/async-graph.js"
# a whole page is on its way from now on, and the browser has time for the library
RENDERER = "var renderer = new DashRenderer({ request_pre: () => rolloutwatch.asked() });"


def create_dashboard(
    source: Source,
    *,
    server: Any,
    limits: Sequence[Limit] | None = None,
    clock: Callable[[], float] = time.time,
    asks_for_login: bool = False,
) -> Dash:
    """Serve the pages on a FastAPI application, at the paths of `pages/routes.py`.

    Figures are judged by the limits of the rules in force, unless others are given.
    Pages are made in threads of their own, so that nobody else waits for one.

    Where the application `asks_for_login`, pages lead to its `/logout`, and to its `/login` when it does not know one any more.
    Charts grow by the server's own `/api/v1/runs/<run id>/live` and `/series`; what people do about alerts and rules
    goes to its `/api/v1/alerts`, `/silences` and `/rules`.
    Routes of the application have to be there before; every other path is answered with a page.
    """
    app = Dash(
        __name__,
        server=server,
        title=TITLE,
        update_title="",
        index_string=HTML.replace("{%library%}", asset(LIBRARY)),
        # named here, because Dash on FastAPI looks for assets only once "/" has been asked for
        include_assets_files=False,
        external_scripts=[*scripts(), {"src": GRAPH, "async": ""}],
        external_stylesheets=assets("*.css"),
        add_log_handler=False,
    )
    # else every browser opens a WebSocket that no callback here uses (plotly/dash issue 3939)
    app.backend.websocket_capability = False
    app.renderer = RENDERER
    app.layout = _layout(asks_for_login)
    app.validation_layout = html.Div(
        [_layout(asks_for_login), *(part for one in WITH_CALLBACKS for part in one.parts())]
    )

    board = Board()

    def visit(search: object = "") -> Visit:
        return Visit(source, limits, clock(), _text(search), board)

    _answer_with_pages(app, visit)
    _keep_up_to_date(app, visit)
    for one in WITH_CALLBACKS:
        one.register(app, visit)
    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "follow"),
        Output(ids.FOLLOWING, "data"),
        Input(ids.FOLLOWED, "data"),
    )
    return app


def _answer_with_pages(app: Dash, visit: Callable[[object], Visit]) -> None:
    """Let addresses be answered with pages."""

    @app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.FOLLOWED, "data"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.LOCATION, "search"),
        Input(ids.REFRESH, "data"),
    )
    async def show(path: object, search: object, refresh: object) -> Shown:
        # scripts change the query of an address, which dash does not notice
        if ctx.triggered_id == ids.REFRESH and isinstance(refresh, dict):
            search = refresh.get("search")
        return await asyncio.to_thread(lambda: shown(_text(path), visit(search)))


def _keep_up_to_date(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let what is said of alerts be said anew, at the top of all pages."""

    @app.callback(
        Output(ids.BADGE, "children"),
        Output(ids.BANNERS, "children"),
        Output(ids.BADGE, "data-shown"),
        Output(ids.BADGE, "data-told"),
        Input(ids.WATCH, "data"),
        Input(ids.LOCATION, "pathname"),
        State(ids.BADGE, "data-shown"),
    )
    async def watch(_watch: object, _path: object, shown: object) -> tuple[Any, Any, str, str]:
        return await asyncio.to_thread(_watched, visit(), shown)


def _watched(visit: Visit, shown: object) -> tuple[Any, Any, str, str]:
    """Return what is to stand there where it is not what is shown; what is told has the time, and so is always news."""
    source, now = visit.source, visit.now
    firing = source.alerts(limit=banner.MOST_COUNTED)
    said = banner.count(firing, now), banner.banners(source, now)
    found = digest(said)
    count, banners = (no_update, no_update) if found == shown else said
    return count, banners, found, banner.told(firing, now)


def page(path: str, source: Source, limits: Sequence[Limit] | None, now: float, search: str = "") -> Shown:
    """Return what a path shows, and what the browser is to follow then."""
    return shown(path, Visit(source, limits, now, search))


def _text(value: object) -> str:
    """Return what a browser sends, which may be anything, as text."""
    return value if isinstance(value, str) else ""


def _layout(asks_for_login: bool) -> html.Div:
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION),
            dcc.Store(id=ids.REFRESH, data=0),
            dcc.Store(id=ids.FOLLOWED),
            dcc.Store(id=ids.FOLLOWING),
            dcc.Store(id=ids.WATCH, data=0),
            frame.top(TITLE, asks_for_login=asks_for_login),
            html.Div(id=ids.BANNERS, role="status"),
            html.Div(id=ids.NOTICE, role="status", hidden=True),
            html.Main(frame.loading(), id=ids.PAGE),
        ]
    )
