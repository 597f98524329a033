"""The web application: small nouns, wired in one place."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.gzip import GZipMiddleware

from rolloutwatch_contract.protocol import RunSummary
from rolloutwatch_dashboard import create_dashboard
from rolloutwatch_server import __version__
from rolloutwatch_server.api import catalogue, dead_letters, docs, health, live, runs
from rolloutwatch_server.api.answers import REFUSALS, install_problems
from rolloutwatch_server.api.methods import HeadAsGet, refuse_what_is_not_there
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.live import LiveFeed, rewind_event, run_event
from rolloutwatch_server.middleware import KnownHosts, SecurityHeaders
from rolloutwatch_server.store import Store, StoreError

API = "/api/v1"
SECONDS_BETWEEN_STATE_CHECKS = 2.0


def create_app(
    store: Store, feed: LiveFeed, ingest: Ingest, *, hosts: Sequence[str] | None = None
) -> FastAPI:
    """Return the application that serves the API and, everywhere else, the dashboard.

    With `hosts` it answers only to those names: a web page from elsewhere, whose name was made to lead here,
    reads nothing. Routes come before the dashboard, whose last one answers every path there is.
    """
    app = FastAPI(
        title="Rolloutwatch",
        version=__version__,
        description="Runs, their series, and what is happening now.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=REFUSALS,
    )
    app.state.store, app.state.feed, app.state.ingest = store, feed, ingest
    for noun in (runs, live, catalogue, dead_letters):
        app.include_router(noun.router, prefix=API)
    for noun in (health, docs):
        app.include_router(noun.router)
    refuse_what_is_not_there(app, "/api")
    install_problems(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(SecurityHeaders)
    if hosts is not None:
        app.add_middleware(KnownHosts, names=hosts)
    create_dashboard(store, server=app)
    app.add_middleware(HeadAsGet)
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
    """Tell viewers when a run's state changes, by a record or by the lack of one, and when it goes back."""
    told: dict[str, RunSummary] = {}
    while True:
        with contextlib.suppress(StoreError):  # /readyz tells of it; the next look may succeed
            found = {run: await run_in_threadpool(store.run, run) for run in feed.watched()}
            summaries = {run: detail.summary for run, detail in found.items() if detail is not None}
            for run, summary in summaries.items():
                former = told.get(run)
                # at the first look too: a viewer may have come just before the state changed
                if former is None or former.state is not summary.state:
                    feed.publish(run, [run_event(summary)])
                if former is not None and (former.last_step or 0) > (summary.last_step or 0):
                    feed.publish(run, [rewind_event(summary.last_step)])
            told = summaries
        await asyncio.sleep(SECONDS_BETWEEN_STATE_CHECKS)
