"""What rules cost the real server: records that wait in Redis, and trainers that send all the time, with rules and without."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import numpy as np
import redis

from benchmarks.alerts.evaluation import BAD, METRICS, healthy_figures, mixed_rules
from benchmarks.server.servers import Server
from rolloutwatch_contract import RunStart, StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.conditions import text_of
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.transport import connect

PROJECT = "bench"
RUNS, STEPS_PER_S = 64, 10
MANY = 500  # rules
WAITING_RUNS = 8
FRAMES_AT_ONCE = 200
SECONDS_TO_ARCHIVE = 120.0
SECONDS_BETWEEN_LOOKS = 0.02
HIDDEN = "bench:waiting:"  # where records wait until all are there: the server does not look here


def _document(rules: Sequence[Rule]) -> str:
    tables = [
        f'[[rule]]\nname = "{one.name}"\nseverity = "{one.severity.word}"\nwhen = "{text_of(one.when.node)}"\n'
        f"for_steps = {one.for_steps}\nclear_steps = {one.clear_steps}\n"
        for one in rules
    ]
    return "\n".join([f"own_metrics = {METRICS!r}", *tables])


DOCUMENTS: Mapping[str, str] = {
    "no_rules": '[[rule]]\nname = "never"\nseverity = "warning"\nmetric = "n_tokens"\nbelow = 0\nenabled = false\n',
    "default_rules": DEFAULT_DOCUMENT,
    f"{MANY}_rules": _document(mixed_rules(MANY)),
}


@dataclass(frozen=True)
class Cost:
    """What a number of records cost the server: how fast they were archived, and processor time."""

    records_per_s: float
    cpu_us_per_record: float


class Load:
    """Sends to a server that runs, each time to other runs."""

    def __init__(self, server: Server, redis_url: str) -> None:
        self._server, self._redis_url = server, redis_url
        self._figures = _figures()
        self._numbers = itertools.count()

    def put_in_force(self, which: str) -> None:
        """Put rules in force, by their name in DOCUMENTS."""
        answer = httpx.put(
            f"{self._server.url}/api/v1/rules", json={"document": DOCUMENTS[which]}, timeout=30
        )
        if answer.is_error:
            raise RuntimeError(f"the server refused {which}: {answer.text}")

    def drain(self, count: int) -> Cost:
        """Have records wait in eight runs, and see how long it takes to archive them."""
        with connect(self._redis_url) as client:
            streams = self._begin(client, WAITING_RUNS, HIDDEN)
            for first in range(0, count // WAITING_RUNS, FRAMES_AT_ONCE):
                with client.pipeline(transaction=False) as pipe:
                    for step in range(first, min(first + FRAMES_AT_ONCE, count // WAITING_RUNS)):
                        for stream in streams:
                            self._send(pipe, HIDDEN + stream, step)
                    pipe.execute()
            before, cpu = self._server.records(), self._server.cpu_seconds()
            with client.pipeline(transaction=True) as pipe:
                for stream in streams:
                    pipe.rename(HIDDEN + stream, stream)
                pipe.execute()

            def left() -> int:
                return sum(int(client.xlen(stream)) for stream in streams)

            everything = left()
            while left() == everything:  # a new stream is looked for once a second
                time.sleep(SECONDS_BETWEEN_LOOKS)
            began, waiting = time.perf_counter(), left()
            self._wait_for_records(before + everything)
            seconds = time.perf_counter() - began
        spent = self._server.cpu_seconds() - cpu
        return Cost(waiting / seconds, 1e6 * spent / everything)

    def pace(self, seconds: float) -> Cost:
        """Send ten steps a second to each of 64 runs for so long; they begin before the clock starts."""
        with connect(self._redis_url) as client:
            before = self._server.records()
            streams = self._begin(client, RUNS)
            self._wait_for_records(before + RUNS)
            steps = round(seconds * STEPS_PER_S)
            cpu, began = self._server.cpu_seconds(), time.perf_counter()
            for step in range(steps):
                time.sleep(max(0.0, began + step / STEPS_PER_S - time.perf_counter()))
                with client.pipeline(transaction=False) as pipe:
                    for stream in streams:
                        self._send(pipe, stream, step)
                    pipe.execute()
            self._wait_for_records(before + RUNS * (steps + 1))
            took, spent = time.perf_counter() - began, self._server.cpu_seconds() - cpu
        return Cost(RUNS * steps / took, 1e6 * spent / (RUNS * steps))

    def _begin(self, client: "redis.Redis", runs: int, hidden: str = "") -> list[str]:
        names = [f"load-{next(self._numbers)}" for _ in range(runs)]
        streams = [stream_key(run_id(PROJECT, name), "s1") for name in names]
        for name, stream in zip(names, streams, strict=True):
            frame = encode(RunStart(PROJECT, name, time.time(), {}, {}))
            client.xadd(hidden + stream, {RECORD_FIELD: frame}, id=entry_id(1))
        return streams

    def _send(self, client: "redis.client.Pipeline", stream: str, step: int) -> None:
        frame = encode(StepRecord(step, time.time(), next(self._figures)))
        client.xadd(stream, {RECORD_FIELD: frame}, id=entry_id(step + 2))

    def _wait_for_records(self, number: int) -> None:
        deadline = time.monotonic() + SECONDS_TO_ARCHIVE
        while (came := self._server.records()) < number:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{came} records were archived: expected {number}.")
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _figures() -> Iterator[dict[str, float]]:
    """Yield figures of steps: those that the many rules judge, of which some stand too high, and those of the default ones."""
    random, healthy = np.random.default_rng(7), healthy_figures()
    while True:
        values = random.uniform(0.6, 1.4, (1000, len(METRICS)))
        for row in values.tolist():
            yield {**dict(zip(METRICS, row, strict=True)), **dict.fromkeys(BAD, 2.0), **healthy}
