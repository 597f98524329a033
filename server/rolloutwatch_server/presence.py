"""The sign of life of a server in Redis, which tells trainers who reads there and how that goes."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import redis

from rolloutwatch_contract.keys import SERVER_KEY
from rolloutwatch_contract.presence import (
    SECONDS_BETWEEN_SIGNS,
    SECONDS_OF_A_SIGN,
    Presence,
    encode_presence,
)
from rolloutwatch_server import __version__
from rolloutwatch_server.ingest import NOT_CONNECTED, Ingest

log = logging.getLogger(__name__)

SECONDS_TO_BEGIN = 0.05
SECONDS_TO_END = 5.0


class Sign:
    """A thread that says in Redis, every few seconds, that this server is there and how its ingest is.

    It has a connection of its own, so that it also tells of an archive that keeps the ingest waiting.
    Nothing depends on it: a Redis that is full or does not permit it is left alone until the next time.
    """

    def __init__(self, ingest: Ingest, connect: Callable[[], "redis.Redis"]) -> None:
        self._ingest = ingest
        self._connect = connect
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-presence", daemon=True)
        self._told = False

    def __enter__(self) -> "Sign":
        """Begin to give signs."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the last sign back, and end."""
        self._stopping.set()
        self._thread.join(SECONDS_TO_END)

    def _run(self) -> None:
        while self._ingest.health.reason == NOT_CONNECTED and not self._stopping.wait(SECONDS_TO_BEGIN):
            pass  # a server that has only just begun has no trouble yet
        while not self._stopping.is_set():
            try:
                with self._connect() as client:
                    while True:
                        self._give(client)
                        if self._stopping.wait(SECONDS_BETWEEN_SIGNS):
                            client.delete(SERVER_KEY)
                            return
            except (redis.RedisError, OSError) as error:
                self._tell(error)
            self._stopping.wait(SECONDS_BETWEEN_SIGNS)

    def _give(self, client: "redis.Redis") -> None:
        begin = time.time()
        seconds, micros = client.time()
        health = self._ingest.health
        presence = Presence(
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            time=(begin + time.time()) / 2,
            redis_time=seconds + micros / 1e6,
            trouble=health.trouble.value if health.trouble else "",
            reason=health.reason,
        )
        client.set(SERVER_KEY, encode_presence(presence), ex=SECONDS_OF_A_SIGN)

    def _tell(self, error: Exception) -> None:
        """Say once what a trainer's doctor will miss; that Redis is away the ingest says."""
        if isinstance(error, redis.ResponseError) and not self._told:
            self._told = True
            log.warning(
                "Redis does not let this server say that it is there, which `rolloutwatch doctor` would tell trainers; "
                "all else works: %s",
                error,
            )
