"""Somebody who is told of alerts by webhook, and behaves in every way that is permitted to nobody."""

import enum
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECONDS_OF_A_HANG = 6.0  # longer than anybody waits


class Answer(enum.Enum):
    """What becomes of a request."""

    TAKEN = 200
    ELSEWHERE = 302  # to another receiver of this host, which is to get nothing
    BUSY = 429
    BROKEN = 500
    DROPPED = "read, and hung up on"
    HUNG = "read, and left without an answer"


PLAN: Mapping[Answer, float] = {
    Answer.TAKEN: 0.5, Answer.BROKEN: 0.15, Answer.DROPPED: 0.15, Answer.ELSEWHERE: 0.1, Answer.BUSY: 0.05,
    Answer.HUNG: 0.05,
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What came, when, and what became of it."""

    key: str
    body: dict[str, Any]
    answer: Answer
    at: float
    raw: bytes
    signature: str

    @property
    def events(self) -> list[str]:
        """The ids of the events that it tells of."""
        return [event["id"] for event in self.body["events"]]


class Receiver:
    """A receiver on a free port; what it answers is drawn by the seed. `elsewhere` counts what followed a redirection.

    Never more than `hangs` requests are left without an answer, since each of them takes as long as somebody waits.
    """

    def __init__(self, seed: object, plan: Mapping[Answer, float] = PLAN, *, hangs: int) -> None:
        self._random = random.Random(f"{seed} receiver")
        self._plan, self._hangs = plan, hangs
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[Request] = []
        self.elsewhere = 0
        self._server = _serving(self._answer)
        self._other = _serving(self._count)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for server in (self._server, self._other):
            server.shutdown()
            server.server_close()

    @property
    def answers(self) -> Counter[Answer]:
        """How many requests were answered how."""
        with self._lock:
            return Counter(one.answer for one in self.requests)

    def _draw(self) -> Answer:
        (answer,) = self._random.choices(list(self._plan), list(self._plan.values()))
        if answer is Answer.HUNG:
            if self._hangs == 0:
                return Answer.BROKEN
            self._hangs -= 1
        return answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers["Content-Length"]))
        key, signature = handler.headers["Idempotency-Key"], handler.headers["X-Rolloutwatch-Signature"]
        at = time.time()
        with self._lock:
            answer = self._draw()
            self.requests.append(Request(key, json.loads(raw), answer, at, raw, signature))
        if answer is Answer.HUNG:
            self._closing.wait(SECONDS_OF_A_HANG)
        if answer in (Answer.HUNG, Answer.DROPPED):
            return
        handler.send_response(int(answer.value))
        if answer is Answer.ELSEWHERE:
            handler.send_header("Location", f"http://127.0.0.1:{self._other.server_port}/hook")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _count(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self.elsewhere += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let those hang up who are killed meanwhile."""


def _serving(answer: Any) -> _Server:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        do_GET = do_HEAD = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server
