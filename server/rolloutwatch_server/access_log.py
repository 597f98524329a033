"""A line in the log for every request, for those who ask for it."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class AccessLog:
    """Logs what was asked, how it was answered and how long that took, once the answer has ended.

    The query is left out: what logs somebody in may stand in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.monotonic(), 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            client = (scope.get("client") or ("",))[0]
            fields = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "seconds": round(time.monotonic() - begin, 4),
                "client": client,
            }
            log.info("%(client)s %(method)s %(path)s %(status)d %(seconds).4f s", fields, extra=fields)
