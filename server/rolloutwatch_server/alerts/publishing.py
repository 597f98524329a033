"""Trainers are told which alerts of their run fire: by a key in Redis, which they read when they like."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import redis

from rolloutwatch_contract.alerts import FiringAlerts, encode_firing
from rolloutwatch_contract.keys import alerts_key

log = logging.getLogger(__name__)

SECONDS_KEPT = 24 * 3600  # by Redis, of a run of which nothing more is said
SECONDS_BETWEEN_STEPS = 2.0  # of one run, where nothing but its step has changed
SECONDS_UNTIL_SAID_AGAIN = SECONDS_KEPT / 4  # though nothing has changed
SECONDS_UNTIL_TRIED_AGAIN = 5.0


@dataclass(frozen=True)
class _Said:
    firing: FiringAlerts
    at: float


class Publisher:
    """Says what has changed, and everything anew to a Redis that may have forgotten it. One thread calls it.

    A Redis that is away, full, or does not permit it is left alone for some seconds; that is said once, and nothing waits for it.
    """

    def __init__(self, connect: Callable[[], "redis.Redis"]) -> None:
        self._connect = connect
        self._pool: redis.Redis | None = None
        self._pulse: redis.Redis | None = (
            None  # one connection of it, whose end tells of a Redis that began anew
        )
        self._said: dict[str, _Said] = {}
        self._wait_until = float("-inf")
        self._is_told = False

    def publish(self, firing: Mapping[str, FiringAlerts], now: float) -> int:
        """Say which alerts of each run fire, as far as Redis has not been told; return of how many runs it was told.

        `firing` are the runs that have not ended, and those that have just done so.
        """
        self._said = {run: said for run, said in self._said.items() if run in firing}
        if now < self._wait_until:
            return 0
        try:
            client = self._connected()
            news = {run: one for run, one in firing.items() if self._is_news(self._said.get(run), one, now)}
            self._say(client, news)
        except (redis.RedisError, OSError) as error:
            self.close()
            self._wait_until = now + SECONDS_UNTIL_TRIED_AGAIN
            self._tell(error)
            return 0
        self._said |= {run: _Said(one, now) for run, one in news.items()}
        if self._is_told:
            self._is_told = False
            log.info("Trainers are told again which alerts fire.")
        return len(news)

    def close(self) -> None:
        """Let go of the connection; what was said stays, until it expires."""
        for client in (self._pulse, self._pool):
            if client is not None:
                client.close()
        self._pool = self._pulse = None
        self._said = {}

    def _connected(self) -> "redis.Redis":
        """Return a client; by a new one all is said anew, since that Redis may have lost it."""
        if self._pool is None or self._pulse is None:
            self._pool, self._said = self._connect(), {}
            self._pulse = self._pool.client()  # type: ignore[no-untyped-call]  # redis-py
        self._pulse.time()
        return self._pool

    def _say(self, client: "redis.Redis", news: Mapping[str, FiringAlerts]) -> None:
        if not news:
            return
        with client.pipeline(transaction=False) as pipe:
            for run, one in news.items():
                pipe.set(alerts_key(run), encode_firing(one), ex=SECONDS_KEPT)
            pipe.execute()

    @staticmethod
    def _is_news(said: _Said | None, firing: FiringAlerts, now: float) -> bool:
        if said is None or said.firing.alerts != firing.alerts:
            return True
        waited = now - said.at
        if said.firing.step != firing.step and not 0 <= waited < SECONDS_BETWEEN_STEPS:
            return True
        return not 0 <= waited < SECONDS_UNTIL_SAID_AGAIN

    def _tell(self, error: Exception) -> None:
        """Say once what trainers miss; that Redis is away the ingest says."""
        if isinstance(error, redis.ResponseError) and not self._is_told:
            self._is_told = True
            log.warning(
                "Redis does not let this server say which alerts fire, which monitor.alerts() would tell trainers; "
                "all else works: %s",
                error,
            )
