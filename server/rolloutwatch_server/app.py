"""The web application: small nouns, wired in one place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware

from rolloutwatch_dashboard import create_dashboard, kept_assets, script_hashes
from rolloutwatch_server import __version__
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.ticker import TickerThread
from rolloutwatch_server.api import (
    alerts,
    archive,
    catalogue,
    dead_letters,
    diagnosis,
    docs,
    exports,
    guides,
    health,
    histograms,
    imports,
    live,
    me,
    metrics,
    notifications,
    recorded,
    replay,
    rules,
    runs,
    silences,
    steps,
    summaries,
    whatif,
)
from rolloutwatch_server.api.answers import REFUSALS, install_problems
from rolloutwatch_server.api.caching import KeepForGood
from rolloutwatch_server.api.callbacks import RefuseForeignCallbacks
from rolloutwatch_server.api.methods import HeadAsGet, refuse_what_is_not_there
from rolloutwatch_server.api.mistakes import MistakesAreProblems
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.open_streams import CountStreams, OpenStreams
from rolloutwatch_server.prometheus.collector import create_registry
from rolloutwatch_server.security import Access
from rolloutwatch_server.security.login import Login
from rolloutwatch_server.source import DashboardSource
from rolloutwatch_server.store import Store, StoreError
from rolloutwatch_server.summaries import Summaries

API = "/api/v1"
SECONDS_BETWEEN_STATE_CHECKS = 2.0
GZIP_LEVEL = 2  # of series: six times as quick as the usual 9, and 4 % larger


def create_app(
    store: Store,
    feed: LiveFeed,
    ingest: Ingest,
    *,
    access: Access | None = None,
    metrics_runs: bool = False,
    rulebook: Rulebook | None = None,
    clockwork: TickerThread | None = None,
    notifier: Notifier | None = None,
) -> FastAPI:
    """Return the application that serves the API and, everywhere else, the dashboard.

    Without `access` everybody who can reach it is let in. With `metrics_runs` Prometheus is told the figures of live runs.
    Without `clockwork` nothing happens by the clock: runs fall silent, and nobody notices.
    Without `notifier` nobody is told of alerts.
    Routes come before the dashboard, whose last one answers every path there is; the doors come last, around everything.
    """
    access = access or Access()
    app = FastAPI(
        title="Rolloutwatch",
        version=__version__,
        description="Runs, their series, and what is happening now.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=REFUSALS,
    )
    rulebook = rulebook or Rulebook(store)
    app.state.store, app.state.feed, app.state.ingest = store, feed, ingest
    app.state.summaries = Summaries(store)
    app.state.rulebook, app.state.clockwork, app.state.notifier = rulebook, clockwork, notifier
    app.state.asks_for_login = access.gate is not None
    streams = OpenStreams()
    app.state.registry = create_registry(
        *(store, feed, ingest, streams),
        rulebook=rulebook,
        clockwork=clockwork,
        notifier=notifier,
        of_runs=metrics_runs,
    )
    nouns = (
        runs,
        histograms,
        summaries,
        recorded,
        steps,
        diagnosis,
        live,
        replay,
        whatif,
        alerts,
        silences,
        rules,
        notifications,
    )
    for noun in (*nouns, exports, imports, catalogue, dead_letters, archive, me):
        app.include_router(noun.router, prefix=API)
    for noun in (health, metrics, docs, guides):
        app.include_router(noun.router)
    refuse_what_is_not_there(app, "/api")
    install_problems(app)
    if access.gate is not None:
        Login(access.gate).install(app)
    app.add_middleware(MistakesAreProblems)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=GZIP_LEVEL)
    app.add_middleware(RefuseForeignCallbacks)
    told = (list) if notifier is None else notifier.views
    dashboard = create_dashboard(
        DashboardSource(store, rulebook, told, app.state.summaries),
        server=app,
        asks_for_login=app.state.asks_for_login,
    )
    app.state.dashboard = dashboard
    app.add_middleware(KeepForGood, urls=kept_assets())
    app.add_middleware(HeadAsGet)
    app.add_middleware(CountStreams, streams=streams)
    access.surround(app, script_hashes(dashboard))
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    feed: LiveFeed = app.state.feed
    feed.open(asyncio.get_running_loop())
    watch = asyncio.create_task(_watch_states(app.state.store, feed))
    app.state.ingest.start()
    try:
        yield
    finally:
        feed.close()
        watch.cancel()
        await run_in_threadpool(app.state.ingest.stop)


async def _watch_states(store: Store, feed: LiveFeed) -> None:
    """Tell viewers how their runs are: by a record or by the lack of one, it changes."""
    while True:
        with contextlib.suppress(StoreError):  # /readyz tells of it; the next look may succeed
            for run in feed.watched():
                detail = await run_in_threadpool(store.run, run)
                if detail is None:
                    feed.gone(run)
                else:
                    feed.tell(run, detail)
        await asyncio.sleep(SECONDS_BETWEEN_STATE_CHECKS)
