"""The door itself: nobody gets past it without a role that suffices, whatever stands behind the path."""

import logging
import math
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rolloutwatch_server.security.gate import Gate, WrongCredential
from rolloutwatch_server.security.holding import while_it_holds
from rolloutwatch_server.security.identity import Identity, identify_as
from rolloutwatch_server.security.refusal import refuse
from rolloutwatch_server.security.roles import READING, Role, in_words, needed

log = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="rolloutwatch"'
# A browser keeps a SameSite=Strict cookie back when another site led to this page, and sends it when the page leads to itself.
ONCE_MORE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0">
<title>Rolloutwatch</title><p>One moment ...</p></html>"""


class Guard:
    """Lets through who may, and tells routes who it is."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = dict(scope)
        if not self.gate.proxies.are_trusted(scope):
            self.gate.proxies.strip(scope)
        role = Role.VIEWER if scope["type"] == "websocket" else needed(scope["method"], scope["path"])
        try:
            identity = self.gate.identify(scope)
        except WrongCredential as wrong:
            if role is not None:
                await self._refuse_wrong(wrong, scope, receive, send)
                return
            identity = None
        if role is not None:
            if identity is None:
                await self._refuse_unknown(scope, receive, send)
                return
            if identity.role < role:
                await _refuse_role(identity, role, scope, receive, send)
                return
        if identity is None:
            await self.app(scope, receive, send)
            return
        known = identity
        identify_as(scope, known)
        seconds = self.gate.seconds_between_looks
        await while_it_holds(self.app, scope, receive, send, lambda: self.gate.holds(scope, known), seconds)

    async def _refuse_wrong(self, wrong: WrongCredential, scope: Scope, receive: Receive, send: Send) -> None:
        address = self.gate.proxies.address(scope, Headers(scope=scope))
        if wrong.seconds > 0:
            wait = math.ceil(wrong.seconds)
            detail = f"{wrong}, again: wait {wait} seconds. `rolloutwatch access token NAME` makes a new one."
            await refuse(
                scope, receive, send, 429, "Too many wrong tokens", detail, {"Retry-After": str(wait)}
            )
            return
        log.warning("refused: %s, from %s", wrong, address)
        challenge = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
        detail = f"{wrong}. `rolloutwatch access token NAME` makes one."
        await refuse(scope, receive, send, 401, "Not logged in", detail, challenge)

    async def _refuse_unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_navigation(scope):
            headers = {"Cache-Control": "no-store"}
            if Headers(scope=scope).get("sec-fetch-site") == "cross-site":
                await HTMLResponse(ONCE_MORE, headers=headers)(scope, receive, send)
                return
            query = scope["query_string"].decode("latin-1")
            there = quote(scope["path"]) + (f"?{query}" if query else "")
            back = f"/login?next={quote(there, safe='')}"
            await RedirectResponse(back, 303, headers)(scope, receive, send)
            return
        detail = (
            "nobody is named: expected the header Authorization: Bearer TOKEN, or the cookie of a browser that has "
            "logged in at /login. `rolloutwatch access link`, where the server runs, prints a link that logs in."
        )
        await refuse(scope, receive, send, 401, "Not logged in", detail, {"WWW-Authenticate": CHALLENGE})


async def _refuse_role(identity: Identity, role: Role, scope: Scope, receive: Receive, send: Send) -> None:
    is_http = scope["type"] != "websocket"
    asked = f"{scope['method'][:30]} {scope['path'][:300]}" if is_http else "a WebSocket"
    log.warning("refused: %s (%s) asked for %s", identity.name, identity.role.word, asked)
    what = in_words(scope["method"], scope["path"]) if is_http else asked
    detail = f"{what[:1].upper()}{what[1:]} needs the role {role.word}; you are {identity.name} ({identity.role.word})."
    await refuse(scope, receive, send, 403, "Role does not suffice", detail)


def _is_navigation(scope: Scope) -> bool:
    """Whether a browser wants to show this as a page."""
    if scope["type"] != "http" or scope["method"] not in READING or scope["path"].startswith("/api"):
        return False
    headers = Headers(scope=scope)
    if headers.get("sec-fetch-mode", "navigate") != "navigate":
        return False
    return "text/html" in headers.get("accept", "")
