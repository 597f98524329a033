"""A healthy run that somebody looks at while it goes on."""

import time
from collections.abc import Mapping

import msgspec
import redis

from benchmarks.server.content import FIGURES, PROJECT, Records, start
from benchmarks.server.servers import Server
from rolloutwatch_contract import METRICS, encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id

SECONDS_TO_ARRIVE = 60.0
NOISE = 1e-3


class Trainer:
    """Pushes a run's steps of forty figures, 256 sequences and a histogram into a Redis, as the client does."""

    def __init__(self, client: redis.Redis, server: Server, name: str) -> None:
        self._client, self._server, self._records = client, server, Records()
        self._name = name
        self._step = 0
        self.run = run_id(PROJECT, name)
        self._stream = stream_key(self.run, "s1")

    @property
    def page(self) -> str:
        """Return the address of the run's page."""
        return f"{self._server.url}/runs/{self.run}"

    @property
    def next(self) -> int:
        """Return the number of the step that is pushed next."""
        return self._step

    def begin(self, steps: int) -> None:
        """Begin the run with so many steps, and wait until they are archived."""
        due = self._server.records() + steps + 1
        self._client.xadd(self._stream, {RECORD_FIELD: start(self._name, time.time())}, id=entry_id(1))
        for _ in range(steps):
            self.push()
        deadline = time.monotonic() + SECONDS_TO_ARRIVE
        while self._server.records() < due:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the server did not archive {steps} steps within {SECONDS_TO_ARRIVE:.0f} s."
                )
            time.sleep(0.05)

    def push(self) -> float:
        """Push the next step; return the time from which on its way is measured."""
        began, step = time.time(), self._step
        record = msgspec.structs.replace(self._records.of(step, began), metrics=healthy(step))
        self._client.xadd(self._stream, {RECORD_FIELD: encode(record)}, id=entry_id(step + 2))
        self._step += 1
        return began


def healthy(step: int) -> Mapping[str, float]:
    """Return forty figures close to what they are ideally."""
    noise = (step * 2654435761 % 2**32) / 2**32
    return {name: _near(METRICS[name].ideal, NOISE * noise) for name in FIGURES}


def _near(ideal: float | None, noise: float) -> float:
    centre = 1.0 if ideal is None else ideal
    return centre - noise if centre > 0 else centre + noise
