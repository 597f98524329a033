"""Many trainers and many viewers at once: how long from a push to the event at a viewer, and whether all arrives."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from benchmarks.client_cost.content import NAMES
from benchmarks.server.content import PROJECT, Records, figures, start
from benchmarks.server.servers import Server
from rolloutwatch_contract import encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import HOST, connect

WRITERS, VIEWERS, WATCHED = 64, 20, 10  # twenty viewers of ten runs
RECORDS_PER_S = 10
SECONDS_TO_WARM_UP = 2.0
SECONDS_TO_ARRIVE = 30.0
STEPS_BETWEEN_TABLES = 25  # that are looked at afterwards
LONGEST_LINE = 1 << 20


class Step(msgspec.Struct):
    """What of an event is looked at."""

    step: int
    time: float


@dataclass(frozen=True)
class Seen:
    """What one viewer saw: seconds from the push to the event, and how often each step came."""

    delays: list[float]
    steps: Counter[int]


@dataclass(frozen=True)
class Watched:
    """What came of a while with writers and viewers. Memory is that of the server in MiB."""

    steps: int
    records_per_s: float
    delays: list[float]
    missed: int
    lost: int
    doubled: int
    resident: tuple[float, float]
    cpu_us_per_record: float
    names: list[str] = field(default_factory=list)

    def delay(self, percentile: float) -> float:
        """Return the seconds within which so many of a hundred events were there."""
        return float(np.percentile(self.delays, percentile))


def watch(server: Server, redis_url: str, seconds: float) -> Watched:
    """Write to as many runs and watch some of them for so long."""
    names = [f"live-{number}" for number in range(WRITERS)]
    steps = round(seconds * RECORDS_PER_S)
    already = server.records()
    context = multiprocessing.get_context("spawn")
    writer = Child(context, _write, redis_url, names, steps)
    viewers = Child(context, _view, server.port, [names[at % WATCHED] for at in range(VIEWERS)], steps)
    with writer, viewers:
        writer.told()
        _wait_until_there(server, names)
        viewers.tell()
        viewers.told()
        time.sleep(SECONDS_TO_WARM_UP)
        resident, cpu, began = server.resident(), server.cpu_seconds(), time.perf_counter()
        writer.tell()
        writer.told()
        took = time.perf_counter() - began
        seen: list[Seen] = viewers.told()
        cpu = server.cpu_seconds() - cpu
        sent = WRITERS * steps
        came = _wait_for_records(server, already + sent + WRITERS) - already - WRITERS
    delays = [delay for one in seen for delay in one.delays]
    twice = sum(count - 1 for one in seen for count in one.steps.values())
    missed = sum(steps - len(one.steps) for one in seen)
    return Watched(
        steps, sent / took, delays, missed, lost=0, doubled=max(0, came - sent) + twice,
        resident=(resident, server.resident()), cpu_us_per_record=1e6 * cpu / sent, names=names,
    )  # fmt: skip


def count_lost(path: Path, names: list[str], steps: int) -> int:
    """Return how many records are not in the archive as they were sent, bit for bit."""
    records, lost = Records(), 0
    due = {name: [figures(step)[name] for step in range(steps)] for name in NAMES}
    with closing(Store(path)) as store:
        for name in names:
            run = run_id(PROJECT, name)
            series = store.series(run, NAMES)
            whole = np.ones(steps, dtype=bool)
            for metric in NAMES:
                there = np.full(steps, np.nan)
                there[series[metric].step] = series[metric].value
                whole &= there.view(np.int64) == np.array(due[metric]).view(np.int64)
            for step in range(0, steps, STEPS_BETWEEN_TABLES):
                sent, tables = records.of(step, 0.0), store.step_tables(run, step)
                whole[step] &= (tables.histogram, tables.sequences) == (sent.histogram, sent.sequences)
            lost += int(steps - whole.sum())
    return lost


def _wait_until_there(server: Server, names: list[str]) -> None:
    expected, deadline = {run_id(PROJECT, name) for name in names}, time.monotonic() + SECONDS_TO_ARRIVE
    while time.monotonic() < deadline:
        runs = httpx.get(f"{server.url}/api/v1/runs", timeout=30).json()["runs"]
        if expected <= {run["id"] for run in runs}:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the runs were not there within {SECONDS_TO_ARRIVE:.0f} s.")


def _wait_for_records(server: Server, number: int) -> int:
    """Return how many records are archived, once they are so many or time is up."""
    deadline = time.monotonic() + SECONDS_TO_ARRIVE
    while (came := server.records()) < number and time.monotonic() < deadline:
        time.sleep(0.1)
    return came


class Child:
    """A process that is told to go on, and tells what it has."""

    def __init__(self, context: Any, target: Any, *arguments: Any) -> None:
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()

    def tell(self) -> None:
        self._connection.send(None)

    def told(self) -> Any:
        return self._connection.recv()


def _write(connection: Connection, redis_url: str, names: list[str], steps: int) -> None:
    """Begin all runs; when told to, push a record of each in turn, each when it is due; tell when all are pushed."""
    records = Records()
    streams = [stream_key(run_id(PROJECT, name), "s1") for name in names]
    with connect(redis_url) as client:
        for name, stream in zip(names, streams, strict=True):
            client.xadd(stream, {RECORD_FIELD: start(name, time.time())}, id=entry_id(1))
        connection.send(None)
        connection.recv()
        began = time.monotonic()
        for number in range(steps * len(streams)):
            step, at = divmod(number, len(streams))
            ahead = began + number / (RECORDS_PER_S * len(streams)) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            frame = encode(records.of(step, time.time()))
            client.xadd(streams[at], {RECORD_FIELD: frame}, id=entry_id(step + 2))
    connection.send(None)


def _view(connection: Connection, port: int, names: list[str], steps: int) -> None:
    """When told to, watch these runs, a viewer for each; tell when all watch, and then what they saw."""
    connection.recv()
    connection.send(asyncio.run(_view_all(connection, port, names, steps)))


async def _view_all(connection: Connection, port: int, names: list[str], steps: int) -> list[Seen]:
    streams = await open_feeds(port, names)
    connection.send(None)
    return await asyncio.gather(*(view_one(reader, steps) for reader, _ in streams))


async def open_feeds(
    port: int, names: Sequence[str]
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Begin to watch runs by name, one viewer for each."""
    streams = [await asyncio.open_connection(HOST, port, limit=LONGEST_LINE) for _ in names]
    for name, (reader, writer) in zip(names, streams, strict=True):
        path = f"/api/v1/runs/{run_id(PROJECT, name)}/live"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode())
        if b" 200 " not in await reader.readline():
            raise RuntimeError(f"{path} was refused.")
    return streams


async def view_one(reader: asyncio.StreamReader, steps: int) -> Seen:
    """Read events until the last step has come, or none comes any more."""
    seen, is_step = Seen([], Counter()), False
    while len(seen.steps) < steps and steps - 1 not in seen.steps:
        try:
            line = await asyncio.wait_for(reader.readline(), SECONDS_TO_ARRIVE)
        except TimeoutError:
            break
        if is_step and line.startswith(b"data: "):
            event = msgspec.json.decode(line[len(b"data: ") :], type=Step)
            seen.delays.append(time.time() - event.time)
            seen.steps[event.step] += 1
        is_step = line == b"event: step\n"
    return seen
