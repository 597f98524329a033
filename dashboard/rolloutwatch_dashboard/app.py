"""The Dash application: one layout, four callbacks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import frame
from rolloutwatch_dashboard.pages import missing, run, runs
from rolloutwatch_dashboard.shell import HTML, LIBRARY, asset, assets

TITLE = "Rolloutwatch"
SECONDS_BETWEEN_LOOKS_AT_RUNS = 3.0
# dash asks for it when the first chart is there; asked for at once, it is there by then
GRAPH = "/_dash-component-suites/dash/dcc/async-graph.js"
# a whole page is on its way from now on, and the browser has time for the library
RENDERER = "var renderer = new DashRenderer({ request_pre: () => rolloutwatch.asked() });"


def create_dashboard(
    source: Source,
    *,
    server: Any,
    rules: Sequence[Limit] = DEFAULT_LIMITS,
    clock: Callable[[], float] = time.time,
    asks_for_login: bool = False,
) -> Dash:
    """Serve the pages on a FastAPI application, at `/` and `/runs/<run id>`.

    Pages are made in threads of their own, so that nobody else waits for one.

    Where the application `asks_for_login`, pages lead to its `/logout`, and to its `/login` when it does not know one any more.
    Charts grow by the server's own `/api/v1/runs/<run id>/live` and `/series`.
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
        external_scripts=[*assets("*.js"), {"src": GRAPH, "async": ""}],
        external_stylesheets=assets("*.css"),
        add_log_handler=False,
    )
    # else every browser opens a WebSocket that no callback here uses (plotly/dash issue 3939)
    app.backend.websocket_capability = False
    app.renderer = RENDERER
    app.layout = _layout(asks_for_login)
    app.validation_layout = html.Div(
        [_layout(asks_for_login), dcc.Interval(id=ids.TICK), html.Div(id=ids.RUNS)]
    )

    @app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.FOLLOWED, "data"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.REFRESH, "data"),
    )
    async def show(path: object, _refresh: object) -> tuple[Any, Any]:
        shown = path if isinstance(path, str) and path else "/"
        return await asyncio.to_thread(page, shown, source, rules, clock())

    @app.callback(Output(ids.RUNS, "children"), Input(ids.TICK, "n_intervals"), prevent_initial_call=True)
    async def look(_ticks: int) -> Any:
        return await asyncio.to_thread(runs.table, source, rules, clock())

    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "follow"),
        Output(ids.FOLLOWING, "data"),
        Input(ids.FOLLOWED, "data"),
    )
    return app


def page(path: str, source: Source, rules: Sequence[Limit], now: float) -> tuple[Any, Any]:
    """Return what a path shows, and what the browser is to follow then."""
    if path.rstrip("/") == "":
        return runs.layout(source, rules, now, SECONDS_BETWEEN_LOOKS_AT_RUNS), None
    where, _, name = path.strip("/").partition("/")
    detail = source.run(unquote(name)) if where == "runs" else None
    if detail is None:
        return missing.layout(unquote(path)), None
    return run.show(detail, source, rules, now)


def _layout(asks_for_login: bool) -> html.Div:
    return html.Div(
        [
            dcc.Location(id=ids.LOCATION),
            dcc.Store(id=ids.REFRESH, data=0),
            dcc.Store(id=ids.FOLLOWED),
            dcc.Store(id=ids.FOLLOWING),
            frame.top(TITLE, asks_for_login=asks_for_login),
            html.Div(id=ids.NOTICE, role="status", hidden=True),
            html.Main(id=ids.PAGE),
        ]
    )
