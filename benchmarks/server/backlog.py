"""Records that wait in a Redis, drained by the server while somebody looks at a long run."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np

from benchmarks.server.content import FOUR, LONG, PROJECT, Records, start
from benchmarks.server.servers import Server
from rolloutwatch_contract import encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.transport import connect

POINTS = 2000
SECONDS_BETWEEN_QUESTIONS = 0.25
SECONDS_BETWEEN_LOOKS = 0.02
SECONDS_TO_DRAIN = 600.0
FRAMES_AT_ONCE = 200
HIDDEN = "bench:waiting:"  # where records wait until all are there: the server does not look here

PATHS: Sequence[tuple[str, dict[str, object]]] = (
    (f"/api/v1/runs/{LONG}/series", {"metric": FOUR, "points": POINTS}),
    ("/api/v1/runs", {}),
    (f"/api/v1/runs/{LONG}", {}),
)


@dataclass(frozen=True)
class Drained:
    """What draining a backlog took; `answers` are the seconds that each question took meanwhile."""

    records_per_s: float
    cpu_us_per_record: float
    peak_mib: float
    seconds: float
    answers: list[float] = field(default_factory=list)

    def answered_in(self, percentile: float) -> float | None:
        """Return milliseconds within which so many of a hundred questions were answered."""
        return 1e3 * float(np.percentile(self.answers, percentile)) if self.answers else None


def drain(
    server: Server, redis_url: str, name: str, count: int, sequences: bool, paths: Sequence[int] = (0,)
) -> Drained:
    """Have so many records wait in eight runs, ask the server all the time, and see how long it takes to archive them."""
    with connect(redis_url) as client:
        records = Records(sequences)
        streams = [stream_key(run_id(PROJECT, f"{name}-{number}"), "s1") for number in range(8)]
        for stream in streams:
            run = f"{name}-{streams.index(stream)}"
            client.xadd(HIDDEN + stream, {RECORD_FIELD: start(run, time.time())}, id=entry_id(1))
            for first in range(0, count // 8, FRAMES_AT_ONCE):
                with client.pipeline(transaction=False) as pipe:
                    for step in range(first, min(first + FRAMES_AT_ONCE, count // 8)):
                        frame = encode(records.of(step, time.time()))
                        pipe.xadd(HIDDEN + stream, {RECORD_FIELD: frame}, id=entry_id(step + 2))
                    pipe.execute()
        before, cpu = server.records(), server.cpu_seconds()
        with _Asker(server.url, [PATHS[at] for at in paths]) as asker:
            with client.pipeline(transaction=True) as pipe:
                for stream in streams:
                    pipe.rename(HIDDEN + stream, stream)
                pipe.execute()

            def left() -> int:
                return sum(int(client.xlen(stream)) for stream in streams)

            everything = left()
            _wait(lambda: left() < everything)  # a new stream is looked for once a second
            began, waiting = time.perf_counter(), left()
            _wait(lambda: left() == 0)
            seconds = time.perf_counter() - began
        archived = server.records() - before
        if archived != everything:
            raise RuntimeError(f"{archived} records were archived: expected {everything}.")
    cpu = 1e6 * (server.cpu_seconds() - cpu) / everything
    return Drained(waiting / seconds, cpu, server.resident("VmHWM"), seconds, asker.answers)


class _Asker:
    """A thread that asks one question after the other, four times a second, as open pages do."""

    def __init__(self, url: str, questions: Sequence[tuple[str, dict[str, object]]]) -> None:
        self._url, self._questions = url, questions
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.answers: list[float] = []

    def __enter__(self) -> "_Asker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._ending.is_set():
                for path, parameters in self._questions:
                    began = time.perf_counter()
                    client.get(path, params=parameters).raise_for_status()
                    self.answers.append(time.perf_counter() - began)
                self._ending.wait(SECONDS_BETWEEN_QUESTIONS)


def _wait(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_TO_DRAIN
    while not ask():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not archive everything within {SECONDS_TO_DRAIN:.0f} s.")
        time.sleep(SECONDS_BETWEEN_LOOKS)
