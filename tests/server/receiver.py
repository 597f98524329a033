"""A receiver of webhooks that behaves, or does not, as a plan says of each request."""

import enum
import http.server
import json
import random
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

CERTIFICATE = Path(__file__).with_name("receiver.pem")  # of receiver.example, signed by itself, with its key


class Mode(enum.Enum):
    """What a receiver does with a request, which it has read as a whole and kept in any case."""

    OK = "answers 200"
    SLOW = "answers 200 after 0.3 s"
    ERROR = "answers 500"
    GONE = "answers 410"
    TIMEOUT = "answers 408"
    BUSY = "answers 429, to be left alone for 2 s"
    REDIRECT = "answers 302, to itself"
    DROP = "takes it, and hangs up without an answer"
    HANG = "never answers"
    DRIP = "answers a byte at a time, its headers never complete"
    DRIP_BODY = "answers 200, and a body that never ends"
    HUGE = "answers 200, and 50 megabytes"
    NOISE = "answers what is no HTTP"


TAKEN = (Mode.OK, Mode.SLOW, Mode.DRIP_BODY, Mode.HUGE)  # those that tell the sender so

Plan = Callable[[int], Mode]  # by the number of the request, from 0 on


def always(mode: Mode) -> Plan:
    """A plan for every request."""
    return lambda _: mode


def in_turn(*modes: Mode) -> Plan:
    """A plan for the first requests; the last one is for all that follow."""
    return lambda number: modes[min(number, len(modes) - 1)]


def seeded(seed: int, weights: Mapping[Mode, float]) -> Plan:
    """A plan of chance, the same for the same seed, however the requests are spread over time."""

    def mode(number: int) -> Mode:
        return random.Random(f"{seed} {number}").choices(list(weights), list(weights.values()))[0]

    return mode


@dataclass(frozen=True)
class Request:
    """What came, and how it was treated; `path` is where it was sent to, `time` that of time.time()."""

    number: int
    mode: Mode
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    time: float

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A server on a port of its own on 127.0.0.1, from `with` to its end; `plan` may be another one at any time."""

    def __init__(self, plan: Plan | None = None, *, tls: bool = False, port: int = 0) -> None:
        self.plan = plan or always(Mode.OK)
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self.ending = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def requests(self) -> list[Request]:
        """All that came so far, in order."""
        with self._changed:
            return list(self._requests)

    def wait(self, count: int, seconds: float = 30.0) -> list[Request]:
        """Wait until so many requests have come."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._requests) >= count, seconds)
            assert came, f"{len(self._requests)} of {count} requests within {seconds} s"
            return list(self._requests)

    def events(self) -> Counter[str]:
        """How often each event was told, by its id, whether or not the sender was told that it came."""
        return Counter(event["id"] for one in self.requests for event in one.content["events"])

    def keys_of_events(self) -> dict[str, set[str]]:
        """The keys with which each event came; one that came with two is a duplicate that nobody can know."""
        found: dict[str, set[str]] = {}
        for one in self.requests:
            for event in one.content["events"]:
                found.setdefault(event["id"], set()).add(one.key)
        return found

    def note(self, path: str, headers: Mapping[str, str], body: bytes) -> Mode:
        with self._changed:
            number = len(self._requests)
            mode = self.plan(number)
            lower = {name.lower(): value for name, value in headers.items()}
            self._requests.append(Request(number, mode, path, lower, body, time.time()))
            self._changed.notify_all()
        return mode


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self.context: ssl.SSLContext | None = None
        super().__init__(address, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        try:  # in the thread of the request: a handshake that fails concerns nobody else
            with self.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except ssl.SSLError:
            return

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is what these tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        mode = self.server.receiver.note(self.path, dict(self.headers.items()), body)
        self.close_connection = True
        _ANSWERS.get(mode, _Handler.plain)(self, mode)

    def plain(self, mode: Mode) -> None:
        statuses = {Mode.ERROR: 500, Mode.GONE: 410, Mode.TIMEOUT: 408, Mode.BUSY: 429, Mode.REDIRECT: 302}
        if mode is Mode.SLOW:
            self.server.receiver.ending.wait(0.3)
        self.send_response(statuses.get(mode, 200))
        if mode is Mode.BUSY:
            self.send_header("Retry-After", "2")
        if mode is Mode.REDIRECT:
            self.send_header("Location", f"http://127.0.0.1:{self.server.receiver.port}/elsewhere")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def do_GET(self) -> None:
        """A redirection is followed by a GET: that it comes is what must not be."""
        self.do_POST()

    def drop(self, mode: Mode) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def hang(self, mode: Mode) -> None:
        self.server.receiver.ending.wait(60)

    def drip(self, mode: Mode) -> None:
        begin = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000\r\n\r\n" if mode is Mode.DRIP_BODY else b"")
        self.wfile.write(begin)
        while not self.server.receiver.ending.wait(0.1):
            self.wfile.write(b"x")

    def huge(self, mode: Mode) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
        for _ in range(800):
            self.wfile.write(b"x" * 65536)

    def noise(self, mode: Mode) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


_ANSWERS: dict[Mode, Callable[[_Handler, Mode], None]] = {
    Mode.DROP: _Handler.drop,
    Mode.HANG: _Handler.hang,
    Mode.DRIP: _Handler.drip,
    Mode.DRIP_BODY: _Handler.drip,
    Mode.HUGE: _Handler.huge,
    Mode.NOISE: _Handler.noise,
}
