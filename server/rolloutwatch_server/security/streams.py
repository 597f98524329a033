"""How many event streams may be open: in all, and for one client."""

import re
from collections import Counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rolloutwatch_server.security.identity import IDENTITY
from rolloutwatch_server.security.peers import Proxies
from rolloutwatch_server.security.refusal import refuse
from rolloutwatch_server.security.throttle import Key, address_key

STREAMS = re.compile(r"/api/v1/runs/[^/]+/(?:live|replay)")
SECONDS_TO_RETRY = 10
DEFAULT_MOST, DEFAULT_MOST_PER_CLIENT = 1000, 100


class StreamLimits:
    """Counts the streams that are open, and refuses one too many."""

    def __init__(
        self,
        app: ASGIApp,
        most: int = DEFAULT_MOST,
        most_per_client: int = DEFAULT_MOST_PER_CLIENT,
        proxies: Proxies | None = None,
    ) -> None:
        self.app = app
        self.most, self.most_per_client = most, most_per_client
        self._proxies = proxies or Proxies()
        self._open: Counter[Key] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http" or not STREAMS.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        key = self._client(scope)
        retry = {"Retry-After": str(SECONDS_TO_RETRY)}
        if self._open[key] >= self.most_per_client:
            detail = f"{self._open[key]} event streams are open for you: expected at most {self.most_per_client}. Close some."
            await refuse(scope, receive, send, 429, "Too many event streams", detail, retry)
        elif self._open.total() >= self.most:
            detail = f"{self.most} event streams are open, as many as may be. Try again later."
            await refuse(scope, receive, send, 503, "Too many event streams", detail, retry)
        else:
            self._open[key] += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._open[key] -= 1
                self._open += Counter()  # forget those that have none

    def _client(self, scope: Scope) -> Key:
        identity = scope.get(IDENTITY)
        address = address_key(self._proxies.address(scope, Headers(scope=scope)))
        return address if identity is None else (identity.name, *address)
