"""The real server on a port of its own, whose clock and whose runs a test holds in its hands."""

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import uvicorn

from rolloutwatch_contract import Record, RunStart, StepRecord, stream_key
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_server.alerts.herald import Herald
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.app import create_app
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.children import surroundings
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.security import Access
from rolloutwatch_server.store import Entry, Position, Store
from rolloutwatch_server.transport import connect
from tests.processes import wait_for
from tests.redis_process import free_port

HEALTHY = {
    "ratio_eff_sample_size": 0.999,
    "rollout_is_eff_sample_size": 0.9995,
    "rollout_is_veto_fraction": 0.0,
    "mismatch_ppl_ratio": 1.001,
    "mismatch_k3_kl": 1e-4,
    "mismatch_kl": 2e-4,
    "rollout_is_mean": 1.0,
    "rollout_is_std": 0.01,
    "rollout_is_max": 1.1,
    "rollout_is_min": 0.9,
    "rollout_is_masked_fraction": 0.0,
    "ratio_mean": 1.0,
    "ratio_std": 0.01,
    "ratio_max": 1.1,
    "ratio_min": 0.9,
}
STALE = HEALTHY | {"ratio_eff_sample_size": 0.11, "mismatch_ppl_ratio": 2.5, "mismatch_k3_kl": 0.7}
CONFIG: dict[str, str | int | float | bool | None] = {
    "rollout_is": "token",
    "rollout_is_threshold": 2.0,
    "rollout_token_veto_threshold": 1e-4,
}


class Site:
    """The server in a thread, with its archive in `folder`; `targets` are told of alerts."""

    def __init__(
        self, folder: Path, redis_url: str, access: Access | None = None, targets: Sequence[Target] = ()
    ) -> None:
        self.late_seconds = 0.0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._store = Store(folder / "archive.db", clock=lambda: time.time() + self.late_seconds)
        self.rules = Rulebook(self._store)
        self._redis_url = redis_url
        self._access = access
        world = World(Links(self.url), surroundings(folder, os.environ))
        self._notifier = Notifier(self._store, targets, world) if targets else None
        self._sessions: dict[str, int] = {}
        self._sequences: dict[str, int] = {}

    def start(self) -> None:
        """Serve, and wait until the server answers."""
        self._feed = LiveFeed()
        self._herald = Herald(self._store, self._feed)
        ingest = Ingest(self._store, lambda: connect(self._redis_url), self._herald.announce)
        app = create_app(
            self._store, self._feed, ingest, access=self._access, rulebook=self.rules, notifier=self._notifier
        )
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None, ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_for("the site", self._answers)
        if self._notifier is not None:
            self._notifier.__enter__()

    def stop(self) -> None:
        """End the server; the archive stays."""
        if self._notifier is not None:
            self._notifier.__exit__()
        self._feed.close()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        """Let go of the archive."""
        self._store.close()

    def begin(self, run: str, config: dict[str, str | int | float | bool | None] | None = None) -> None:
        """Begin a run without steps, or resume it in a new session."""
        self._sessions[run] = self._sessions.get(run, 0) + 1
        self._sequences[run] = 0
        project, name = split_run_id(run)
        self.put(run, RunStart(project, name, time.time(), CONFIG if config is None else config))

    def step(self, run: str, step: int, metrics: dict[str, float]) -> None:
        """Bring figures of a step."""
        self.put(run, StepRecord(step, time.time(), metrics))

    def put(self, run: str, record: Record) -> None:
        """Archive a record and tell those who watch, as the ingest does."""
        sequence = self._sequences[run] = self._sequences[run] + 1
        self.archive(run, f"session-{self._sessions[run]}", record, first=sequence)

    def archive(self, run: str, session: str, *records: Record, first: int = 1) -> None:
        """Archive records of any session, numbered from `first` on, and tell those who watch."""
        entries = [Entry(Position(number), record) for number, record in enumerate(records, first)]
        self._herald.announce(run, self._store.archive(stream_key(run, session), entries))

    def alerts(self) -> list[AlertView]:
        """Return the alerts that fire."""
        return self._store.alerts()

    def acknowledge(self, alert: str, by: str, note: str) -> None:
        """Let somebody look after an alert until it ends."""
        self._store.acknowledge(alert, by, None, note)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.TransportError:
            return False
