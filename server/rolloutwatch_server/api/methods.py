"""Which methods a path has: HEAD wherever GET is, and a refusal that names the others."""

from collections.abc import Sequence

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class HeadAsGet:
    """Answers HEAD as GET, the body left out. An answer that has no end, such as an event stream, ends at once."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                # after this `receive` tells of a disconnect, by which a stream knows that nobody listens
                await send({"type": "http.response.body"})

        await self.app({**scope, "method": "GET"}, receive, send_head)


class NoSuchPath:
    """Refuses whatever comes here: 405 where one of `routes` has the path for other methods, else 404."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse."""
        if allowed := [method for method in METHODS if self._has(method, scope)]:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        path = Request(scope).url.path[:300]
        raise HTTPException(404, f"there is no {scope['method'][:30]} {path}: see /docs.")

    def _has(self, method: str, scope: Scope) -> bool:
        asked = {**scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in self._routes)


def refuse_what_is_not_there(app: FastAPI, prefix: str) -> None:
    """Refuse every path under a prefix, by any method, that the routes there are so far do not have."""
    nothing = NoSuchPath(tuple(app.routes))
    for path in (prefix, prefix + "/{path:path}"):
        app.add_route(path, nothing, include_in_schema=False)  # type: ignore[arg-type]  # an ASGI app has all methods
