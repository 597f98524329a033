"""How long from a trainer's push into Redis to the webhook of somebody who is told."""

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.server.servers import Server
from rolloutwatch_contract import RunStart, StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.transport import HOST, connect

PROJECT = "told"
GOOD, BAD = {"nonfinite_fraction": 0.0}, {"nonfinite_fraction": 0.5}  # for which a default rule fires at once
SECONDS_BETWEEN = (0.1, 0.5)  # pushes; each is of another run
SECONDS_TO_ARRIVE = 30.0


class Inbox:
    """Somebody who is told, on a free port of this host, and takes everything at once."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self._there = threading.Condition()
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.time()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                inbox._note(body, now)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "Inbox":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def file(self, path: Path) -> Path:
        """Write the private file by which a server knows of this inbox."""
        path.touch(mode=0o600)
        path.write_text(
            f'[[target]]\nname = "inbox"\nwebhook = "http://{HOST}:{self._server.server_port}/"\n'
            'secret = "a secret of at least sixteen letters"\nallow_internal = true\npicture = false\n'
        )
        return path

    def wait_for(self, count: int) -> bool:
        """Wait until people were told of so many runs; tell whether they were."""
        with self._there:
            return self._there.wait_for(lambda: len(self.came) >= count, SECONDS_TO_ARRIVE)

    def _note(self, body: dict[str, Any], now: float) -> None:
        with self._there:
            if any(event["change"] == "firing" for event in body["events"]):
                self.came.setdefault(body["run"], now)
            self._there.notify_all()


def delays(server: Server, redis_url: str, inbox: Inbox, alerts: int) -> list[float]:
    """Return for each of so many alerts, each of a run of its own that has begun before, the seconds until it was told."""
    names = [f"run-{number}" for number in range(alerts)]
    runs = [run_id(PROJECT, name) for name in names]
    pushed: dict[str, float] = {}
    pauses = random.Random(7)
    with connect(redis_url) as client:
        before = server.records()
        for name, run in zip(names, runs, strict=True):
            now = time.time()
            first = [RunStart(PROJECT, name, now, {}, {}), StepRecord(0, now, GOOD)]
            for number, record in enumerate(first, 1):
                client.xadd(stream_key(run, "s1"), {RECORD_FIELD: encode(record)}, id=entry_id(number))
        _wait_for_records(server, before + 2 * alerts)
        for run in runs:
            time.sleep(pauses.uniform(*SECONDS_BETWEEN))
            pushed[run] = time.time()
            frame = encode(StepRecord(1, pushed[run], BAD))
            client.xadd(stream_key(run, "s1"), {RECORD_FIELD: frame}, id=entry_id(3))
    if not inbox.wait_for(alerts):
        raise RuntimeError(f"people were told of {len(inbox.came)} alerts: expected {alerts}.")
    return [inbox.came[run] - pushed[run] for run in runs]


def _wait_for_records(server: Server, number: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_ARRIVE
    while server.records() < number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.records()} records were archived: expected {number}.")
        time.sleep(0.05)
