"""What is answered when the server itself is at fault."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rolloutwatch_dashboard import NO_NEWS, NO_SUCH_FILE
from rolloutwatch_server.api.answers import problem

log = logging.getLogger(__name__)


class MistakesAreProblems:
    """Answers an exception that nobody foresaw as a problem, status 500; what it was stands in the log.

    An answer that has begun cannot become another one: the exception goes on, and the connection ends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except NO_NEWS:
            raise
        except Exception as error:
            if has_begun:
                raise
            if isinstance(error, NO_SUCH_FILE):
                detail = f"there is no {scope['path'][:300]}: the pages name the files that they need."
                await problem(404, "Not found", detail)(scope, receive, send)
                return
            log.exception("%s %s could not be answered.", scope["method"], scope["path"][:300])
            detail = "an error of the server's own; see its log."
            await problem(500, "Internal server error", detail)(scope, receive, send)
