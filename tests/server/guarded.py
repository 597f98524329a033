"""The application behind its doors, asked without a network: by whom, from where, with which headers."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from fastapi import FastAPI
from starlette.types import Message, Scope

from rolloutwatch_server.security import Access, Role, Secret
from rolloutwatch_server.security.credentials import parse_passwords, parse_tokens, password_line
from rolloutwatch_server.security.gate import Gate
from rolloutwatch_server.security.ledger import Ledger
from rolloutwatch_server.security.peers import Proxies
from rolloutwatch_server.security.secret import PrivateFile
from rolloutwatch_server.security.throttle import Throttle
from rolloutwatch_server.store import Store
from tests.server.asking import Asking

HOST = "watch.example"
TOKENS = {role: f"token-of-{role.word}-0123456789abcdef" for role in Role}
TOKEN_LINES = "\n".join(f"{role.word}s:{role.word}:{token}" for role, token in TOKENS.items())
HTML = {"accept": "text/html,application/xhtml+xml"}
STRANGER = "203.0.113.9"


def by(role: Role) -> dict[str, str]:
    """The header of somebody with a token of a role."""
    return {"authorization": f"Bearer {TOKENS[role]}"}


@dataclass
class Clock:
    """A time that a test holds in its hands, seconds."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guarded:
    """A site that asks for a login."""

    gate: Gate
    clock: Clock
    app: FastAPI
    cookies: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, folder: Path, *, passwords: Path | None = None, **access: Any) -> "Guarded":
        clock = Clock()
        gate = Gate(
            Ledger(folder / "access.db", clock),
            fixed_tokens=parse_tokens(TOKEN_LINES, "tokens"),
            password_file=password_file(passwords, clock),
            proxies=access.get("proxies", Proxies()),
            throttle=Throttle(clock),
            session_seconds=3600.0,
            public_url=access.get("public_url"),
        )
        site = Asking.of(store, access=Access((HOST, "127.0.0.1"), gate=gate, **access))
        return cls(gate, clock, site.app)

    def close(self) -> None:
        self.gate.ledger.close()

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        client: str = STRANGER,
        **body: Any,
    ) -> httpx.Response:
        """Ask, with the cookies that were given; what is not told comes from a stranger on the network."""
        sent = httpx.Headers(
            [("host", HOST), *(headers.items() if isinstance(headers, Mapping) else headers)]
        )
        if isinstance(headers, Mapping) and "host" in headers:
            sent = httpx.Headers(headers)
        if self.cookies and "cookie" not in sent:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())

        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(client, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://10.9.9.9") as asking:
                return await asking.request(method, path, headers=sent, **body)

        got = asyncio.run(answer())
        for cookie in got.cookies.jar:
            self.cookies[cookie.name] = str(cookie.value)
        return got

    def status_of(self, written: str) -> int:
        """Ask for a path exactly as it is written, which a client would put in order first."""
        return asyncio.run(_get(self.app, written))

    def log_in(self, **form: str) -> httpx.Response:
        """Send the form of the login page as a browser does."""
        return self.ask("POST", "/login", HTML | {"host": HOST, "origin": f"http://{HOST}"}, data=form)

    def connect(self, path: str, headers: Mapping[str, str], *, tells_why: bool = True) -> int:
        """Open a WebSocket; returns the status of the refusal, 1008 for a bare close, 101 if it was accepted."""
        return asyncio.run(_connect(self.app, path, headers, tells_why))


def password_file(path: Path | None, clock: Clock) -> PrivateFile[Any] | None:
    return None if path is None else PrivateFile(path, parse_passwords, {}, clock)


async def _get(app: FastAPI, written: str) -> int:
    statuses: list[int] = []
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "http_version": "1.1",
        "path": unquote(written),
        "raw_path": written.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", HOST.encode())],
        "client": (STRANGER, 4711),
        "server": ("10.9.9.9", 80),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


async def _connect(app: FastAPI, path: str, headers: Mapping[str, str], tells_why: bool) -> int:
    sent: list[Message] = []
    scope: Scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "ws",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (STRANGER, 4711),
        "server": ("10.9.9.9", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if tells_why else {},
    }
    told: Iterator[Message] = iter([{"type": "websocket.connect"}])

    async def receive() -> Message:
        return next(told, {"type": "websocket.disconnect", "code": 1001})

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    first = sent[0]
    if first["type"] == "websocket.accept":
        return 101
    return int(first["status"] if first["type"] == "websocket.http.response.start" else first["code"])


def write_passwords(path: Path, **passwords: tuple[Role, str]) -> Path:
    """Write a password file as the command does."""
    lines = [password_line(name, role, Secret(text)) for name, (role, text) in passwords.items()]
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    return path
