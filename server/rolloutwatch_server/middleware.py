"""What every request passes on its way to a route."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolloutwatch_server.api.answers import problem


class KnownHosts:
    """Answers only to names it knows, so that a web page whose name was made to lead to this host reads nothing."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self.app = app
        self.names = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        name = host_of(Headers(scope=scope).get("host", "")) if scope["type"] == "http" else None
        if name is None or name in self.names:
            await self.app(scope, receive, send)
            return
        detail = (
            f"the Host header names {name[:200]!r}: expected one of {', '.join(sorted(self.names))}. "
            "Behind a proxy or under another name, start the server with --allowed-hosts NAME."
        )
        await problem(421, "Unknown host", detail)(scope, receive, send)


class SecurityHeaders:
    """Headers that keep other sites from framing the pages or guessing types."""

    HEADERS = (
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"SAMEORIGIN"),
        (b"referrer-policy", b"same-origin"),
    )

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding the headers to what is sent."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def host_of(header: str) -> str:
    """Return the name in a Host header, without its port; an IPv6 address without its brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()
