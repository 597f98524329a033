"""Answers that a browser may keep, and asks about before it shows them again (RFC 9110, section 13)."""

import hashlib
from collections.abc import Collection, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server import __version__

_FOR_GOOD = (b"cache-control", b"public, max-age=31536000, immutable")
_ASK_FIRST = {"Cache-Control": "private, no-cache"}


def etag(detail: RunDetail, query: str) -> str:
    """Return the name of what is answered to a query about a run; it changes with all that is archived for the run."""
    answered = repr((__version__, detail.summary.id, detail.changes, detail.generation, query)).encode()
    # weak, since a compressed answer has other bytes
    return f'W/"{hashlib.blake2b(answered, digest_size=12).hexdigest()}"'


def is_known(request: Request, tag: str) -> bool:
    """Tell whether a browser says that it has this answer already."""
    return names_it(request.headers.get("if-none-match", ""), tag)


def names_it(named: str, tag: str) -> bool:
    """Tell whether a header names this answer, by the name alone: proxies that compress make a strong one weak."""
    return named.strip() == "*" or _opaque(tag) in (_opaque(one.strip()) for one in named.split(","))


def not_modified(tag: str) -> Response:
    """Return the answer to one who has it."""
    return Response(None, 304, tagged(tag))


def tagged(tag: str) -> Mapping[str, str]:
    """Return the headers of an answer that has a name."""
    return _ASK_FIRST | {"ETag": tag}


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


class KeepForGood:
    """Tells browsers to keep what is at these URLs, and not to ask again."""

    def __init__(self, app: ASGIApp, urls: Collection[str]) -> None:
        self.app = app
        self.urls = urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding the header to what is found there."""

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in (200, 304):
                message = {**message, "headers": [*message.get("headers", ()), _FOR_GOOD]}
            await send(message)

        await self.app(scope, receive, send_kept if self._has(scope) else send)

    def _has(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and f"{scope['path']}?{scope['query_string'].decode('latin-1')}" in self.urls
        )
