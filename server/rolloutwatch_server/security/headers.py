"""What every answer tells browsers: run nothing but our own scripts, be framed by nobody else, guess no types."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def policy(script_hashes: Sequence[str] = ()) -> str:
    """Return the Content-Security-Policy; inline scripts run only if their hash is named.

    Styles may be inline, because Plotly writes them into its drawings; a style can run nothing.
    """
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self'", *(f"'{one}'" for one in script_hashes))),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """Adds the headers to whatever is answered, refusals too."""

    def __init__(self, app: ASGIApp, script_hashes: Sequence[str] = ()) -> None:
        self.app = app
        self.headers = tuple(
            (name.encode(), value.encode())
            for name, value in {
                "content-security-policy": policy(script_hashes),
                "x-content-type-options": "nosniff",
                "x-frame-options": "DENY",
                "referrer-policy": "same-origin",
                "cross-origin-resource-policy": "same-origin",
                "cross-origin-opener-policy": "same-origin",
            }.items()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding the headers to what is sent."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] in ("http", "websocket") else send)
