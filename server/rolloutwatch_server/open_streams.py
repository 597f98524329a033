"""How many event streams are open, whatever they bring."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EVENT_STREAM = "text/event-stream"


class OpenStreams:
    """A count of answers that are event streams and have not ended; of one event loop, but any thread may ask."""

    def __init__(self) -> None:
        self.count = 0


class CountStreams:
    """Counts in and out."""

    def __init__(self, app: ASGIApp, streams: OpenStreams) -> None:
        self.app = app
        self.streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        is_stream = False

        async def note(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                kind = Headers(raw=message.get("headers", [])).get("content-type", "")
                is_stream = kind.startswith(EVENT_STREAM)
                self.streams.count += is_stream
            await send(message)

        try:
            await self.app(scope, receive, note if scope["type"] == "http" else send)
        finally:
            self.streams.count -= is_stream
