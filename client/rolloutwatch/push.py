"""Records into Redis: one stream per session, numbers of our own, all or none.

The number of a record is its stream id, so Redis itself says how far the records have come,
also after an error that left it open whether the last ones were taken.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rolloutwatch.sink import Reached, SinkError
from rolloutwatch_contract import ack_key, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id, sequence_of

SECONDS_TO_ANSWER = 1.0
SCHEMES = ("redis", "rediss", "unix")


def check_url(url: object) -> str:
    """Return a Redis URL; ValueError if it is none, or has options that a connection cannot have."""
    why = ""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        sound = parts.scheme in SCHEMES and bool(parts.hostname or parts.path) and parts.port != 0
        if sound and isinstance(url, str):
            _try_options(url)
            return url
    except (ValueError, TypeError, redis.RedisError) as error:
        why = f" ({without_password(str(error))})"
    shown = without_password(url) if isinstance(url, str) else url
    raise ValueError(
        f"redis_url is {shown!r}: expected redis://host:port/0, rediss://host:port/0 or unix:///path{why}."
    )


def _try_options(url: str) -> None:
    """Build a connection as RedisSink does, without connecting: an option that cannot be raises."""
    pool = redis.ConnectionPool.from_url(url)
    pool.connection_class(**pool.connection_kwargs)


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return url
    return url.replace(f":{password}@", ":***@") if password else url


class RedisSink:
    """A session's stream in Redis.

    Every call ends within a few seconds, whatever Redis does:
    redis-py's own retries, which hold a call for up to a minute, are off; trying again is the caller's business.
    """

    def __init__(self, url: str, run: str, session: str) -> None:
        self.shown_url = without_password(url)
        self._top = 0  # what the stream's last number is, as far as we know
        self._stream = stream_key(run, session)
        self._ack = ack_key(run, session)
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=SECONDS_TO_ANSWER,
            socket_connect_timeout=SECONDS_TO_ANSWER,
            retry=Retry(NoBackoff(), 0),
        )

    def reached(self) -> Reached:
        """Ask for the stream's last id and the server's acknowledgement, on a new connection."""
        try:
            self._client.connection_pool.disconnect()
            archived = _number(self._client.get(self._ack))
            self._top = self._last_number(self._client)
            return Reached(self._top, archived)
        except (redis.RedisError, OSError, ValueError) as error:
            raise SinkError(self._complaint(error)) from error

    def send(self, frames: Sequence[tuple[int, bytes]]) -> int:
        """Add frames in one transaction, provided that the stream ends where it did.

        Without a transaction a full Redis may refuse one frame and take the next, and the hole could never be filled.
        Without the proviso a Redis that has lost its memory, and to which redis-py connects again by itself,
        would take new frames though the old ones are gone.
        """
        try:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.watch(self._stream)  # type: ignore[no-untyped-call]  # redis-py leaves it without types
                top = self._last_number(pipe)
                if top != self._top:
                    raise SinkError(
                        f"Redis at {self.shown_url} ends the stream at {top} instead of {self._top}: it has lost records"
                    )
                pipe.multi()
                for number, frame in frames:
                    pipe.xadd(self._stream, {RECORD_FIELD: frame}, id=entry_id(number))
                pipe.get(self._ack)
                archived = _number(pipe.execute()[-1])
        except (redis.RedisError, OSError, ValueError) as error:
            raise SinkError(self._complaint(error)) from error
        self._top = frames[-1][0]
        return archived

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _last_number(self, client: "redis.Redis") -> int:
        try:
            answer: Any = client.xinfo_stream(self._stream)
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return 0
            raise
        return sequence_of(answer["last-generated-id"])

    def _complaint(self, error: Exception) -> str:
        return f"Redis at {self.shown_url} does not take records: {type(error).__name__}: {error}"


def _number(answer: Any) -> int:
    return int(answer) if answer is not None else 0
