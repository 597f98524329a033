"""A trainer, a Redis, a server that archives, and what can be done to them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rolloutwatch_server.moments import Moment
from tests.chaos.slate import Line, Slate
from tests.processes import ROOT, surroundings, wait_for
from tests.redis_process import RedisProcess

SECONDS_TO_CATCH_UP = 120.0


class Stage:
    """All processes of one scenario, in a folder of its own; leaving it ends every one of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.random = random.Random(f"{seed} {folder.name}")
        self.redis = RedisProcess(folder / "redis", "--maxmemory-policy", "noeviction")
        self.archive = folder / "archive.db"
        self.slate = Slate(self._made(folder) / "slate")
        self._last = 0
        self._archivist: subprocess.Popen[bytes] | None = None
        self._trainer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Stage":
        try:
            self.redis.start()
            self.start_archivist()
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_all()

    # -- the trainer ---------------------------------------------------------------------------------------------

    def start_trainer(self, first: int, last: int, seconds_a_step: float = 0.0) -> None:
        self._last = last
        arguments = [str(self.folder / "slate"), self.seed, first, last, seconds_a_step]
        self._trainer = self._start("trainer", *arguments, stdout=subprocess.PIPE)

    def kill_trainer(self) -> None:
        assert self._trainer is not None
        self._trainer.kill()
        self._trainer.communicate()
        self._trainer = None

    def kill_trainer_while_redis_is(self, state: str, step: int) -> None:
        """Make Redis what it is to be, kill the trainer behind a step, and make Redis work again."""
        if state == "down":
            self.redis.kill()
        elif state == "hung":
            self.redis.suspend()
        self.wait_for_step(step)
        self.kill_trainer()
        if state == "down":
            self.redis.start()
        elif state == "hung":
            self.redis.resume()

    def wait_for_trainer(self, seconds: float = SECONDS_TO_CATCH_UP) -> dict[str, Any]:
        """Wait until it has ended by itself; return what its monitor had to say."""
        assert self._trainer is not None
        said, _ = self._trainer.communicate(timeout=seconds)
        assert self._trainer.returncode == 0, self.said("trainer")
        self._trainer = None
        told: dict[str, Any] = json.loads(said)
        return told

    def wait_for_step(self, step: int) -> None:
        """Let the trainer go as far as a step, and wait until it is there."""
        self.slate[Line.ALLOWED] = max(self.slate[Line.ALLOWED], step)
        self._wait_for(f"step {step}", lambda: self.slate[Line.DONE] >= step)

    def wait_until_archived(self, number: int) -> None:
        self._wait_for(f"record {number} to be archived", lambda: self.slate[Line.ARCHIVED] >= number)

    # -- the server that archives --------------------------------------------------------------------------------

    def start_archivist(self, *death: object) -> None:
        self._archivist = self._start("archivist", self.redis.url, str(self.archive), *death)

    def archivist_dies_at(self, moment: Moment, batch: int, seconds: float) -> None:
        """Start one that is killed so long after it has come to a moment of a batch, and wait until it is dead."""
        self.start_archivist(moment.value, batch, seconds)
        doomed, self._archivist = self._archivist, None
        assert doomed is not None
        try:
            self._wait_for(f"the end when {moment.value}", lambda: doomed.poll() is not None)
        finally:
            doomed.kill()
            doomed.wait()
        assert doomed.returncode == -signal.SIGKILL, self.said("archivist")

    def kill_archivist(self) -> None:
        assert self._archivist is not None
        self._archivist.kill()
        self._archivist.wait()
        self._archivist = None

    def stop_archivist(self) -> None:
        assert self._archivist is not None
        self._archivist.terminate()
        self._archivist.wait(30)
        self._archivist = None

    # -- faults --------------------------------------------------------------------------------------------------

    def redis_is_killed(self) -> None:
        self._restart_redis()

    def redis_hangs(self) -> None:
        self.redis.suspend()
        time.sleep(self.random.uniform(1.5, 4.0))
        self.redis.resume()

    def redis_is_wiped(self) -> None:
        self._restart_redis(self.redis.wipe)

    def redis_loses_its_last_words(self) -> None:
        """As in a power cut: what was not on the disk yet is gone."""
        self._restart_redis(self._cut)

    def redis_is_full(self) -> None:
        """Nobody empties it until it refuses; what it may hold stays as little afterwards."""
        self.kill_archivist()
        with self.redis.client() as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", used + self.random.randrange(300_000, 600_000))
        self.slate[Line.ALLOWED] = self._last - 1  # one who comes to the end tells no more
        self._wait_for("Redis to be full", lambda: self.slate[Line.REFUSED] == 1)
        self.slate[Line.ALLOWED] = self.slate[Line.DONE]
        self.start_archivist()

    def archivist_is_killed(self) -> None:
        self.kill_archivist()
        time.sleep(self.random.uniform(0.0, 0.2))
        self.start_archivist()

    # ------------------------------------------------------------------------------------------------------------

    def said(self, who: str) -> str:
        """What a process had to say on its standard error."""
        return (self.folder / f"{who}.log").read_text(errors="replace")

    def _restart_redis(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.redis.kill()
        meanwhile()
        time.sleep(self.random.uniform(0.0, 0.5))
        self.redis.start()

    def _cut(self) -> None:
        (file,) = (self.redis.directory / "appendonlydir").glob("*.incr.aof")
        size = file.stat().st_size
        os.truncate(file, size - min(size, self.random.randrange(1, 3_000_000)))

    def _start(self, what: str, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start a module of this folder in a session of its own: Ctrl-C is for whoever conducts, who ends it."""
        environment = surroundings(self.redis.url, self.folder / "spool")
        command = [sys.executable, "-m", f"tests.chaos.{what}", *map(str, arguments)]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stderr=log, start_new_session=True, **options
            )

    def _wait_for(self, what: str, ask: Callable[[], bool]) -> None:
        def answer() -> bool:
            for process in (self._trainer, self._archivist):
                assert process is None or process.poll() in (None, 0), f"{process.args} has ended"
            return ask()

        wait_for(what, answer, SECONDS_TO_CATCH_UP)

    def _end_all(self) -> None:
        for process in (self._trainer, self._archivist):
            if process is not None:
                process.kill()
                process.communicate()
        self.redis.kill()

    @staticmethod
    def _made(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
