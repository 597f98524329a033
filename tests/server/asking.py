"""The application without a network: what a request is answered."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from rolloutwatch_server.alerts.publishing import Publisher
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.ticker import Ticker, TickerThread
from rolloutwatch_server.app import create_app
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.security import Access
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect


@dataclass
class Asking:
    """Ask the API of an archive; no ingest runs, and nothing is done by the clock unless the ticker ticks."""

    app: FastAPI
    feed: LiveFeed
    ticker: Ticker

    @classmethod
    def of(
        cls,
        store: Store,
        *,
        hosts: Sequence[str] | None = None,
        access: Access | None = None,
        feed: LiveFeed | None = None,
        ingest: Ingest | None = None,
        metrics_runs: bool = False,
        rulebook: Rulebook | None = None,
        notifier: Notifier | None = None,
    ) -> "Asking":
        feed = feed or LiveFeed()
        ingest = ingest or Ingest(store, lambda: connect("redis://127.0.0.1:1"), feed.announce)
        rulebook = rulebook or Rulebook(store)
        ticker = Ticker(store, rulebook, ingest, Publisher(lambda: connect("redis://127.0.0.1:1")))
        app = create_app(
            store,
            feed,
            ingest,
            access=access or Access(hosts),
            metrics_runs=metrics_runs,
            rulebook=rulebook,
            clockwork=TickerThread(ticker),
            notifier=notifier,
        )
        return cls(app, feed, ticker)

    def ask(
        self,
        path: str,
        method: str = "GET",
        host: str = "test",
        headers: Mapping[str, str] | None = None,
        content: str | bytes | None = None,
        **parameters: Any,
    ) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                kind = {} if content is None else {"Content-Type": "application/json"}
                return await client.request(
                    method,
                    path,
                    params=parameters or None,
                    content=content,
                    headers={"host": host, **kind, **(headers or {})},
                )

        return asyncio.run(answer())

    def get(self, path: str, **parameters: Any) -> Any:
        """Return what the JSON says, as a strict parser such as a browser's reads it."""
        answer = self.ask(f"/api/v1{path}", **parameters)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text, parse_constant=refuse)


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
