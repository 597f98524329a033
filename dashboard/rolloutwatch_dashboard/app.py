"""The Dash application: one layout, and callbacks that ask the source and show what it says."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import banner, frame
from rolloutwatch_dashboard.judgement import limits_by_run
from rolloutwatch_dashboard.pages import alerts, missing, run, run_alerts, runs
from rolloutwatch_dashboard.pages import rules as rules_page
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
    limits: Sequence[Limit] | None = None,
    clock: Callable[[], float] = time.time,
    asks_for_login: bool = False,
) -> Dash:
    """Serve the pages on a FastAPI application, at `/`, `/runs/<run id>`, `/alerts` and `/rules`.

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
        external_scripts=[*assets("*.js"), {"src": GRAPH, "async": ""}],
        external_stylesheets=assets("*.css"),
        add_log_handler=False,
    )
    # else every browser opens a WebSocket that no callback here uses (plotly/dash issue 3939)
    app.backend.websocket_capability = False
    app.renderer = RENDERER
    app.layout = _layout(asks_for_login)
    app.validation_layout = html.Div(
        [
            _layout(asks_for_login),
            dcc.Interval(id=ids.TICK),
            *(dcc.Store(id=name) for name in (ids.ALERTS_WATCH, ids.RUN_WATCH)),
            *(html.Div(id=name) for name in (ids.RUNS, ids.ALERTS, ids.RUN_ALERTS)),
        ]
    )

    _answer_with_pages(app, source, limits, clock)
    _keep_up_to_date(app, source, clock)
    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "follow"),
        Output(ids.FOLLOWING, "data"),
        Input(ids.FOLLOWED, "data"),
    )
    return app


def _answer_with_pages(
    app: Dash, source: Source, limits: Sequence[Limit] | None, clock: Callable[[], float]
) -> None:
    """Let addresses be answered with pages, and the table of runs be made anew while it is looked at."""

    @app.callback(
        Output(ids.PAGE, "children"),
        Output(ids.FOLLOWED, "data"),
        Input(ids.LOCATION, "pathname"),
        Input(ids.LOCATION, "search"),
        Input(ids.REFRESH, "data"),
    )
    async def show(path: object, search: object, _refresh: object) -> tuple[Any, Any]:
        return await asyncio.to_thread(page, _text(path) or "/", source, limits, clock(), _text(search))

    @app.callback(Output(ids.RUNS, "children"), Input(ids.TICK, "n_intervals"), prevent_initial_call=True)
    async def look(_ticks: int) -> Any:
        return await asyncio.to_thread(lambda: runs.table(source, limits_by_run(source, limits), clock()))


def _keep_up_to_date(app: Dash, source: Source, clock: Callable[[], float]) -> None:
    """Let what is said of alerts be said anew, at the top of all pages and on those that list them."""

    @app.callback(
        Output(ids.BADGE, "children"),
        Output(ids.BANNERS, "children"),
        Input(ids.WATCH, "data"),
        Input(ids.LOCATION, "pathname"),
    )
    async def watch(_watch: object, _path: object) -> tuple[Any, Any]:
        return await asyncio.to_thread(
            lambda: (banner.count(source, clock()), banner.banners(source, clock()))
        )

    @app.callback(
        Output(ids.ALERTS, "children"),
        Input(ids.ALERTS_WATCH, "data"),
        State(ids.LOCATION, "search"),
        prevent_initial_call=True,
    )
    async def watch_alerts(_watch: object, search: object) -> Any:
        return await asyncio.to_thread(alerts.listed, source, alerts.Wanted.of(_text(search)), clock())

    @app.callback(
        Output(ids.RUN_ALERTS, "children"),
        Input(ids.RUN_WATCH, "data"),
        State(ids.LOCATION, "pathname"),
        prevent_initial_call=True,
    )
    async def watch_run(_watch: object, path: object) -> Any:
        return await asyncio.to_thread(run_alerts.alerts_of, _parts(_text(path))[1], source, clock())


def page(
    path: str, source: Source, limits: Sequence[Limit] | None, now: float, search: str = ""
) -> tuple[Any, Any]:
    """Return what a path shows, and what the browser is to follow then."""
    if path.rstrip("/") == "":
        return runs.layout(source, limits_by_run(source, limits), now, SECONDS_BETWEEN_LOOKS_AT_RUNS), None
    where, name = _parts(path)
    if where == "alerts" and not name:
        return alerts.layout(source, alerts.Wanted.of(search), now), {"title": "Alerts"}
    if where == "rules" and not name:
        return rules_page.layout(source, now), {"title": "Rules"}
    detail = source.run(name) if where == "runs" else None
    if detail is None:
        return missing.layout(unquote(path)), None
    return run.show(detail, source, limits_by_run(source, limits)(name), now, search)


def _parts(path: str) -> tuple[str, str]:
    """Return which page a path leads to, and of what."""
    where, _, name = path.strip("/").partition("/")
    return where, unquote(name)


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
            html.Main(id=ids.PAGE),
        ]
    )
