"""A trainer in a process of its own, which logs with one logger and is asked to take steps now and then.

Each logger has a process, so that its background threads disturb its own trainer and no other,
and so that the processor's time can be told apart.
"""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

import torch

from benchmarks.client_cost import loggers
from benchmarks.client_cost.batches import Contents
from benchmarks.client_cost.loggers import Logger

SECONDS_TO_ANSWER = 120.0
SIDE = 128  # of a matrix, whose product with another is what a step does besides


@dataclass
class Phase:
    """What was measured with one content: nanoseconds of each call in each step, and what the whole process used."""

    calls: list[list[int]] = field(default_factory=list)
    process_ns: int = 0
    undelivered: int | None = None


class Trainer:
    """The measuring side's handle on a trainer."""

    def __init__(self, context: SpawnContext, name: str, home: Path, redis_url: str | None = None) -> None:
        self.name = name
        home.mkdir()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_train, args=(theirs, name, home, redis_url), daemon=True)
        self._process.start()
        theirs.close()
        self.version = ""
        self.absent = ""

    def __enter__(self) -> "Trainer":
        """Return the trainer; leaving the block ends its process."""
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()

    def wait_until_ready(self) -> bool:
        """Tell whether its logger can be had."""
        self.version, self.absent = self._answer()
        return not self.absent

    def open(self, sequences: int) -> None:
        """Begin a phase: open a run that logs so many sequences in each step."""
        self._ask("open", sequences)

    def run(self, steps: int, pace: float) -> None:
        """Take so many steps, `pace` seconds apart."""
        self._ask("run", steps, pace)

    def close(self, patience: float) -> Phase:
        """End the phase; wait so many seconds at most for what is not delivered yet."""
        phase: Phase = self._ask("close", patience)
        return phase

    def _ask(self, *question: object) -> Any:
        self._connection.send(question)
        return self._answer()

    def _answer(self) -> Any:
        if not self._connection.poll(SECONDS_TO_ANSWER):
            raise RuntimeError(f"The trainer with {self.name} does not answer.")
        try:
            return self._connection.recv()
        except EOFError:
            raise RuntimeError(f"The trainer with {self.name} has ended, see above.") from None


def _train(connection: Connection, name: str, home: Path, redis_url: str | None) -> None:
    """Do what is asked until the other side lets go."""
    sys.stdout = io.StringIO()  # what loggers have to say is for others
    logging.getLogger("rolloutwatch").setLevel(logging.ERROR)  # that Redis is away is no news here
    torch.set_num_threads(1)
    if redis_url is not None:
        version, make = "", lambda folder: loggers.Ours(folder, redis_url)
    else:
        found = loggers.find(name, home)
        if isinstance(found, str):
            connection.send(("", found))
            return
        version, make = found
    loop = _Loop(home, make)
    connection.send((version, ""))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            what, *arguments = connection.recv()
            connection.send(getattr(loop, what)(*arguments))


class _Loop:
    """The training loop: work, the calls that log it, more work, and sleep until the next step is due."""

    def __init__(self, home: Path, make: Callable[[Path], Logger]) -> None:
        self._home, self._make = home, make
        self._step = 0
        self._state = torch.rand(SIDE, SIDE)

    def open(self, sequences: int) -> None:
        self._contents = Contents(sequences)
        folder = self._home / f"sequences-{sequences}"
        folder.mkdir()
        self._logger = self._make(folder)
        self._phase = Phase()
        self._others_ns, self._logging_ns = time.process_time_ns() - time.thread_time_ns(), 0

    def run(self, steps: int, pace: float) -> None:
        due = time.monotonic()
        for _ in range(steps):
            self._work()
            calls = self._logger.calls(self._step, self._contents.of(self._step))
            used = time.thread_time_ns()
            self._phase.calls.append([_nanoseconds(call) for call in calls])
            self._logging_ns += time.thread_time_ns() - used
            self._step += 1
            self._work()
            now = time.monotonic()
            due = max(due + pace, now)  # who is late does not hurry afterwards
            time.sleep(due - now)

    def close(self, patience: float) -> Phase:
        others_ns = time.process_time_ns() - time.thread_time_ns() - self._others_ns
        self._phase.process_ns = others_ns + self._logging_ns
        self._phase.undelivered = self._logger.undelivered(patience)
        self._logger.close()
        return self._phase

    def _work(self) -> None:
        """Be a trainer's thread: operators, and Python between them."""
        for _ in range(4):
            self._state = torch.softmax(self._state @ self._state, dim=1)
            sum(number * number for number in range(300))


def _nanoseconds(call: Callable[[], object]) -> int:
    began = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - began
