"""Which web pages may make a browser ask: those that this server served, and no others. There is no CORS."""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rolloutwatch_server.security.refusal import refuse

SAFE = frozenset({"GET", "HEAD"})
PORTS = {"http": 80, "https": 443}
OUR_SITES = ("same-origin", "none")  # of Sec-Fetch-Site: our own page, and nobody's: an address typed in


class Origins:
    """Refuses what a page from elsewhere asks for, by any method, and what a browser writes without saying from where."""

    def __init__(self, app: ASGIApp, public_url: str | None = None) -> None:
        self.app = app
        self.public = None if public_url is None else parts_of(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] in ("http", "websocket") and (reason := self._objection(scope)):
            detail = f"{reason}: this server is asked by its own pages, and by programs that are no browsers."
            await refuse(scope, receive, send, 403, "Foreign origin", detail)
            return
        await self.app(scope, receive, send)

    def _objection(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if len(origins) > 1:
            return "there are several Origin headers"
        if origins:
            return (
                None if self._is_ours(origins[0], headers) else f"the Origin header is {origins[0][:200]!r}"
            )
        if scope["type"] == "http" and scope["method"] in SAFE:
            return None
        site = headers.get("sec-fetch-site")
        if site is not None and site not in OUR_SITES:
            return f"the Sec-Fetch-Site header is {site[:50]!r}"
        if "cookie" in headers and not headers.get("authorization", "").lower().startswith("bearer "):
            return "there is a cookie but no Origin header, which every browser sends"
        return None

    def _is_ours(self, origin: str, headers: Headers) -> bool:
        asked = parts_of(origin)
        if asked is None:
            return False
        if asked == self.public:
            return True
        scheme = asked[0]
        return asked == parts_of(f"{scheme}://{headers.get('host', '')}")


def parts_of(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of an origin, the port filled in; None if it is none, such as `null`."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    if parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port
