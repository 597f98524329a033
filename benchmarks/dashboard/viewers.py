"""Twenty people who look at one run: what its server does for them."""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import httpx
import numpy as np

from benchmarks.dashboard.tab import Followed, Request
from benchmarks.dashboard.trainer import Trainer
from benchmarks.server.live import Child, Seen, open_feeds, view_one
from benchmarks.server.servers import Server
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_server.transport import HOST

VIEWERS = 20
STEPS_A_SECOND = 10


@dataclass(frozen=True)
class Watched:
    """What a server did while a run was watched: of a core, and seconds from pushes to events at viewers."""

    core_fraction: float
    delays: list[float]
    missed: int
    requests_per_s: float

    def delay(self, percentile: float) -> float | None:
        """Return the seconds within which so many of a hundred events were there."""
        return float(np.percentile(self.delays, percentile)) if self.delays else None


def watch(server: Server, trainer: Trainer, seconds: float, page: Followed | None) -> Watched:
    """Push ten steps a second for so long while viewers follow the run's events and ask what an open page asked."""
    steps, first = round(seconds * STEPS_A_SECOND), trainer.next
    context = multiprocessing.get_context("spawn")
    asked = (page.requests, page.seconds) if page else ([], 1.0)
    with Child(context, _view, server.port, trainer.run, first + steps - 1, *asked) as viewers:
        viewers.told()
        viewers.tell()
        cpu, began = server.cpu_seconds(), time.perf_counter()
        for number in range(steps):
            ahead = began + number / STEPS_A_SECOND - time.perf_counter()
            time.sleep(max(ahead, 0.0))
            trainer.push()
        cpu, took = server.cpu_seconds() - cpu, time.perf_counter() - began
        seen, answers = viewers.told()
    delays = [delay for one in seen for delay in one.delays]
    return Watched(cpu / took, delays, VIEWERS * steps - len(delays), answers / took)


def _view(
    connection: Connection, port: int, run: str, last: int, asked: Sequence[Request], period: float
) -> None:
    """Tell when all watch; when told to, begin to ask; tell what they saw, and how many answers there were."""
    connection.send(asyncio.run(_view_all(connection, port, run, last, asked, period)))


async def _view_all(
    connection: Connection, port: int, run: str, last: int, asked: Sequence[Request], period: float
) -> tuple[list[Seen], int]:
    feeds = await open_feeds(port, [split_run_id(run)[1]] * VIEWERS)
    connection.send(None)
    await asyncio.to_thread(connection.recv)
    answers: list[int] = []
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60) as client:
        asking = [asyncio.create_task(_ask(client, asked, period, answers)) for _ in range(VIEWERS)]
        seen = await asyncio.gather(*(view_one(reader, last + 1) for reader, _ in feeds))
        for task in asking:
            task.cancel()
        for task in asking:
            with suppress(asyncio.CancelledError):
                await task  # says what went wrong, if something did
    return seen, len(answers)


async def _ask(
    client: httpx.AsyncClient, asked: Sequence[Request], period: float, answers: list[int]
) -> None:
    """Ask what a page has asked, over and over, each at its time; begin anywhere, as people do."""
    offset = random.uniform(0, period)
    began, missed = time.monotonic() - offset, offset
    while asked:
        for one in asked:
            if one.at < missed:
                continue
            await asyncio.sleep(began + one.at - time.monotonic())
            answer = await client.request(
                one.method, one.path, content=one.body, headers={"content-type": "application/json"}
            )
            answer.raise_for_status()
            answers.append(answer.status_code)
        began, missed = began + period, 0.0
        await asyncio.sleep(began - time.monotonic())
