"""How much one request may bring: URL, headers, body; and as what."""

import re
from collections import Counter
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolloutwatch_server.security.refusal import refuse

KIB = 1024
MOST_BYTES_OF_A_URL = 48 * KIB  # hundreds of metrics
MOST_BYTES_OF_HEADERS = 32 * KIB
MOST_HEADERS = 100
ONCE = (b"host", b"authorization", b"origin", b"content-type", b"content-length", b"sec-fetch-site")
JSON = ("application/json",)
FORM = ("application/x-www-form-urlencoded",)
FILES = ("application/octet-stream",)
RULES = ("text/toml", "application/toml", *JSON)


@dataclass(frozen=True)
class Allowance:
    """How many bytes requests to some paths may bring, as what, and whether they are passed on as they come."""

    path: re.Pattern[str]
    most_bytes: int
    types: tuple[str, ...]
    streamed: bool = False


ALLOWANCES = (
    Allowance(re.compile(r"/login|/logout"), 8 * KIB, FORM),
    Allowance(re.compile(r"/api/v1/imports?(?:/.*)?"), 4 * KIB**3, FILES, streamed=True),
    Allowance(re.compile(r"/api/v1/rules(?:/check)?"), 2 * KIB**2, RULES),
)
USUAL = Allowance(re.compile(r".*", re.DOTALL), KIB**2, JSON)


def allowance_of(path: str) -> Allowance:
    """Return what requests to a path may bring."""
    return next((one for one in ALLOWANCES if one.path.fullmatch(path)), USUAL)


class HeadLimits:
    """Refuses URLs and headers that are too long, and headers that came twice where two could mean two things."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in ("http", "websocket") or (objection := _objection(scope)) is None:
            await self.app(scope, receive, send)
            return
        await refuse(scope, receive, send, *objection)


def _objection(scope: Scope) -> tuple[int, str, str] | None:
    url = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if url > MOST_BYTES_OF_A_URL:
        detail = f"the URL has {url} bytes: expected at most {MOST_BYTES_OF_A_URL}. Ask for less at once."
        return 414, "URL too long", detail
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if size > MOST_BYTES_OF_HEADERS or len(headers) > MOST_HEADERS:
        detail = f"{len(headers)} headers have {size} bytes: expected at most {MOST_HEADERS} and {MOST_BYTES_OF_HEADERS}."
        return 431, "Headers too long", detail
    counts = Counter(name for name, _ in headers)
    for name in ONCE:
        if counts[name] > 1:
            return 400, "Repeated header", f"{name.decode()} came {counts[name]} times: expected once."
    return None


class BodyLimits:
    """Refuses bodies that are too long or of another type than a path takes, before anybody reads them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        headers, allowed = Headers(scope=scope), allowance_of(scope["path"])
        told = headers.get("content-length", "0")
        if not told.isdecimal():
            detail = f"content-length is {told[:50]!r}: expected a number."
            await refuse(scope, receive, send, 400, "Invalid length", detail)
        elif int(told) > allowed.most_bytes:
            await refuse(scope, receive, send, 413, "Body too long", _too_long(allowed, told))
        elif (int(told) or "transfer-encoding" in headers) and not _is_of_type(headers, allowed):
            came = headers.get("content-type")
            detail = (
                f"the content type is {(came or 'not told')[:100]!r}: expected {' or '.join(allowed.types)}."
            )
            await refuse(scope, receive, send, 415, "Unexpected content type", detail)
        elif allowed.streamed:
            await self.app(scope, _counted(receive, allowed), send)
        else:
            await self._pass_whole(allowed, scope, receive, send)

    async def _pass_whole(self, allowed: Allowance, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return  # whoever asked has gone
            body += message.get("body", b"")
            if len(body) > allowed.most_bytes:
                await refuse(scope, receive, send, 413, "Body too long", _too_long(allowed, "more"))
                return
            if not message.get("more_body", False):
                break
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive_whole() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, receive_whole, send)


def _counted(receive: Receive, allowed: Allowance) -> Receive:
    count = 0

    async def receive_counted() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > allowed.most_bytes:
            raise HTTPException(413, _too_long(allowed, "more"))
        return message

    return receive_counted


def _too_long(allowed: Allowance, came: str) -> str:
    return f"the body has {came[:20]} bytes: expected at most {allowed.most_bytes}."


def _is_of_type(headers: Headers, allowed: Allowance) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() in allowed.types
