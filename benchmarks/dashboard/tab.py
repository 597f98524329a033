"""A page of a run that goes on: how soon a step is seen, how busy the browser is kept, and what it keeps in memory."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks.browser import OURS, Launch, redrawn
from benchmarks.dashboard.trainer import Trainer

STEPS_TO_SETTLE = 3
SECONDS_A_STEP = 1.0
STEPS_A_SECOND = 100  # for memory: what a tab does with a step does not depend on when it comes
STEPS_AT_ONCE = 10
STEPS_BETWEEN_LOOKS = 500
STEPS_TO_FILL = 4000  # until lines have been thinned for the first time
LOOKS = 12  # over which what is compared is taken: lines grow and are thinned again meanwhile
IS_DRAWN = """(step) => Array.from(document.querySelectorAll('.js-plotly-plot'))
    .some((graph) => (graph.data ?? []).some((line) => line.mode === 'lines' && line.x[line.x.length - 1] >= step))"""


@dataclass(frozen=True)
class Request:
    """What a page asked its server for, so many seconds after it was begun to listen."""

    at: float
    method: str
    path: str
    body: str | None


@dataclass(frozen=True)
class Followed:
    """A page that followed a run for a while; `delays` are seconds from a push to the frame that shows it."""

    busy_fraction: float
    delays: list[float]
    requests: list[Request]
    seconds: float


@dataclass(frozen=True)
class Kept:
    """MiB of JavaScript's heap that are in use, looked at again and again while steps came."""

    heap: Sequence[float]

    @property
    def filled(self) -> float:
        """Return what is usually kept when lines have had their full length for the first time."""
        return statistics.median(self.heap[STEPS_TO_FILL // STEPS_BETWEEN_LOOKS :][:LOOKS])

    @property
    def end(self) -> float:
        """Return what is usually kept at the end."""
        return statistics.median(self.heap[-LOOKS:])

    @property
    def growth(self) -> float:
        """Return how many times as much is kept at the end as when lines had their full length."""
        return self.end / self.filled


class Meter:
    """What the browser itself counts of a page."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def read(self) -> dict[str, float]:
        """Return its counters by name; seconds and bytes."""
        told = self._session.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in told}

    def heap_mib(self) -> float:
        """Return the memory that is in use once nothing is left to be collected."""
        self._session.send("HeapProfiler.collectGarbage")
        return self.read()["JSHeapUsedSize"] / 2**20


def follow(launch: Launch, trainer: Trainer, steps: int) -> Followed:
    """Look at the page of a run while so many steps come, one a second."""
    with launch() as page:
        meter, requests = Meter(page), list[Request]()
        page.goto(trainer.page)
        page.wait_for_function(OURS)
        for _ in range(STEPS_TO_SETTLE):
            trainer.push()
            page.wait_for_timeout(1e3 * SECONDS_A_STEP)
        page.wait_for_function(IS_DRAWN, arg=trainer.next - 1)
        began, before = time.monotonic(), meter.read()
        page.on("request", lambda request: requests.append(_request(request, began)))
        delays = redrawn(page, _pushes(trainer), range(trainer.next, trainer.next + steps), SECONDS_A_STEP)
        after, seconds = meter.read(), time.monotonic() - began
    busy = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
    return Followed(busy, list(delays.values()), requests, seconds)


def keep(launch: Launch, trainer: Trainer, steps: int) -> Kept:
    """Look at the page of a run while very many steps come, and at its memory."""
    with launch() as page:
        meter, heap = Meter(page), list[float]()
        page.goto(trainer.page)
        page.wait_for_function(OURS)
        began, first = time.monotonic(), trainer.next
        while (come := trainer.next - first) < steps:
            for _ in range(STEPS_AT_ONCE):
                trainer.push()
            ahead = began + (come + STEPS_AT_ONCE) / STEPS_A_SECOND - time.monotonic()
            page.wait_for_timeout(1e3 * max(ahead, 0.0))
            if (come + STEPS_AT_ONCE) % STEPS_BETWEEN_LOOKS == 0:
                page.wait_for_function(IS_DRAWN, arg=trainer.next - 1)
                heap.append(meter.heap_mib())
    return Kept(heap)


def _pushes(trainer: Trainer) -> Any:
    return lambda _step: trainer.push()


def _request(request: Any, began: float) -> Request:
    parts = urlsplit(request.url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return Request(time.monotonic() - began, request.method, path, request.post_data)
