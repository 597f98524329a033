"""The probes of `rolloutwatch doctor`: streams that are no run, acknowledged and taken away without being archived."""

import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import redis

from rolloutwatch_contract.keys import ack_key_of, sequence_of

log = logging.getLogger(__name__)

SECONDS_OF_AN_ANSWER = 60  # for the doctor, who waits for it


def answer(client: "redis.Redis", probes: Iterable[str]) -> None:
    """Take probes out of Redis, old ones too whose doctor is gone, and say up to where each was read."""
    for probe in probes:
        try:
            _answer(client, probe)
        except redis.ResponseError as error:
            log.debug("Probe %s is not answered: %s", probe, error)
            # a Redis that is full refuses to be told anything, but not to be emptied
            with contextlib.suppress(redis.ResponseError):
                client.delete(probe)


def _answer(client: "redis.Redis", probe: str) -> None:
    entries: Any = client.xrevrange(probe, count=1)
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(probe)
        # an id that no doctor gives is of no doctor who waits
        with contextlib.suppress(ValueError):
            for entry, _ in entries:
                pipe.set(ack_key_of(probe), sequence_of(entry), ex=SECONDS_OF_AN_ANSWER)
        pipe.execute()
