"""How a request or a WebSocket is refused before it reaches a route."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from rolloutwatch_server.api.answers import NOT_STORED, problem

REFUSED_BY_POLICY = 1008
DENIAL = "websocket.http.response"


async def refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer with a problem; a WebSocket is never accepted, and told the same where the server can."""
    if scope["type"] == "websocket" and DENIAL not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": REFUSED_BY_POLICY, "reason": title})
        return
    answer = problem(status, title, detail, {**NOT_STORED, **(headers or {})})
    await answer(scope, receive, send)
