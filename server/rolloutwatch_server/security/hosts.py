"""Which names the server answers to.

A web page from elsewhere can make its own name lead to this host, and its browser then takes this server for that page's own.
The name in the Host header gives it away.
"""

import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rolloutwatch_server.security.refusal import refuse

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
LOCAL = ("localhost", "127.0.0.1", "::1")


def host_of(header: str) -> str | None:
    """Return the name in a Host header, in small letters, without port and brackets; None if it is no host.

    >>> host_of("LOCALHOST:8050"), host_of("[::1]:80"), host_of("you@localhost"), host_of("localhost.")
    ('localhost', '::1', None, 'localhost.')
    """
    found = _HOST.fullmatch(header)
    return None if found is None else found[1].strip("[]").lower()


class KnownHosts:
    """Answers only to names it knows, on every path and for WebSockets too, and to its own address."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self.app = app
        self.names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope).getlist("host")
        name = host_of(headers[0]) if len(headers) == 1 else None
        if name is not None and (name in self.names or _is_own_address(name, scope)):
            await self.app(scope, receive, send)
            return
        told = ", ".join(header[:200] for header in headers) or "nothing"
        detail = (
            f"the Host header names {told!r}: expected one of {', '.join(sorted(self.names))}. "
            "Behind a proxy or under another name, start the server with --allowed-hosts NAME."
        )
        await refuse(scope, receive, send, 421, "Unknown host", detail)


def _is_own_address(name: str, scope: Scope) -> bool:
    """Whether a client named the address it came to: no page of another host can have that for its own name."""
    server = scope.get("server")
    try:
        return server is not None and ipaddress.ip_address(name) == ipaddress.ip_address(server[0])
    except ValueError:
        return False
