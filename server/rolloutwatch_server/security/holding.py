"""Event streams last no longer than what opened them: a session, a token, a password."""

import asyncio
import logging
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolloutwatch_server.open_streams import EVENT_STREAM

log = logging.getLogger(__name__)


async def while_it_holds(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, holds: Callable[[], bool], seconds: float
) -> None:
    """Pass a request on; if it is answered by an event stream, look every so many seconds, and end it in good order."""
    if scope["type"] != "http":
        await app(scope, receive, send)
        return
    loop = asyncio.get_running_loop()
    looking: asyncio.TimerHandle | None = None
    is_whole = False

    def look() -> None:
        nonlocal looking
        if holds():
            looking = loop.call_later(seconds, look)
        else:
            limit.reschedule(loop.time())

    async def note(message: Message) -> None:
        nonlocal looking, is_whole
        if message["type"] == "http.response.start":
            kind = Headers(raw=message.get("headers", [])).get("content-type", "")
            if kind.startswith(EVENT_STREAM):
                looking = loop.call_later(seconds, look)
        elif message["type"] == "http.response.body":
            is_whole = not message.get("more_body", False)
        await send(message)

    try:
        async with asyncio.timeout(None) as limit:
            await app(scope, receive, note)
    except TimeoutError:
        if not limit.expired():
            raise
        log.info("an event stream ended: what it was opened with does not count any more")
        if not is_whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        if looking is not None:
            looking.cancel()
