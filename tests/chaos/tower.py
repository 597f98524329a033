"""A Redis that runs send to, a server that is killed and started again, and somebody whom it tells."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import httpx

from rolloutwatch_contract import encode
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.store import ARCHIVE, Store
from tests.chaos.curves import RULES, RUNS, Sent, sent
from tests.chaos.receiver import Receiver
from tests.chaos.teller import Stop
from tests.processes import ROLLOUTWATCH, ROOT, surroundings, wait_for
from tests.redis_process import RedisProcess, free_port

SECRET = "a secret of at least sixteen letters"
SECONDS_TO_DIE = 60.0
SECONDS_TO_TELL_ALL = 90.0
SECONDS_BETWEEN_LOOKS = 0.02
AT_ONCE = 8  # records of a run, between two looks


class Run:
    """What a run sends, and how far it is with that."""

    def __init__(self, records: Sequence[Sent]) -> None:
        self.records = records
        self._at = 0
        self._numbers = dict.fromkeys((one.stream for one in records), 0)

    @property
    def is_over(self) -> bool:
        """Whether all is sent."""
        return self._at == len(self.records)

    def send(self, redis: RedisProcess, count: int, most: int) -> None:
        """Send so many more records, and no more than `most` in all. A session waits until the one before is read."""
        behind = self.records[self._at : min(self._at + count, most)]
        if not behind:
            return
        stream = behind[0].stream
        batch = [one for one in behind if one.stream == stream]
        with redis.client() as client:
            if self._numbers[stream] == 0 and any(
                client.exists(other) for other in self._numbers if other != stream
            ):
                return
            with client.pipeline(transaction=True) as pipe:
                for one in batch:
                    self._numbers[stream] += 1
                    pipe.xadd(stream, {RECORD_FIELD: encode(one.record)}, id=entry_id(self._numbers[stream]))
                pipe.execute()
        self._at += len(batch)


class Tower:
    """All of one scenario, in a folder of its own; leaving it ends every process."""

    def __init__(self, folder: Path, seed: int, steps: int, hangs: int) -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir(parents=True)
        self.random = random.Random(f"{seed} {folder.name}")
        self.redis = RedisProcess(folder / "redis", "--maxmemory-policy", "noeviction")
        self.receiver = Receiver(seed, hangs=hangs)
        began = float(round(time.time() - steps * 0.03))
        self.runs = [Run(sent(seed, name, steps, began)) for name in RUNS]
        self._port = free_port()  # always the same: it stands in the links of messages
        self._url = f"http://127.0.0.1:{self._port}"
        self._notify_file = folder / "notify.toml"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Tower":
        self._notify_file.touch(mode=0o600)
        self._notify_file.write_text(
            f'[[target]]\nname = "people"\nwebhook = "{self.receiver.url}"\nsecret = "{SECRET}"\n'
            "allow_internal = true\npicture = false\n"
        )
        with closing(Store(self.archive)) as store:
            store.save_rule_set(RULES, "api", "chaos")
        self.redis.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGKILL)
        self.redis.kill()
        self.receiver.__exit__()

    @property
    def archive(self) -> Path:
        """The file of the archive."""
        return self.data_dir / ARCHIVE

    @property
    def records(self) -> int:
        """How many records there are to send."""
        return sum(len(run.records) for run in self.runs)

    def send(self, part: float, count: int = AT_ONCE) -> None:
        """Send some more of every run, if it has not sent this part of all it has."""
        for run in self.runs:
            run.send(self.redis, count, round(part * len(run.records)))

    def dies_at(self, stop: Stop, count: int, seconds: float, part: float) -> None:
        """Start what judges and tells, which is killed at a moment, and send up to a part of all while it lives."""
        self._start_teller(stop.value, str(count), str(seconds))
        self._wait_until_dead(part)

    def dies_at_any_time(self, part: float) -> None:
        """Start the whole server and kill it within seconds."""
        self._start_server()
        wait_for("the server to be ready", self._is_ready)
        at = time.monotonic() + self.random.uniform(0.0, 2.5)
        while time.monotonic() < at:
            self.send(part)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self._end(signal.SIGKILL)

    def end_well(self, tell: Callable[[str], None]) -> None:
        """Send all that is left, let who reads it end in good order, and the whole server once all is told.

        What the one has gathered for the next message the other one tells at once.
        """
        self._start_teller()
        wait_for("all to be read", self._is_read, SECONDS_TO_TELL_ALL)
        tell("all is read")
        self._end(signal.SIGTERM)
        self._start_server()
        wait_for("all to be told", self._is_told, SECONDS_TO_TELL_ALL)
        tell("all is told")
        self._end(signal.SIGTERM)

    def _is_read(self) -> bool:
        self._look_alive()
        self.send(1.0, 10 * AT_ONCE)
        with self.redis.client() as client:
            unread = client.exists(*{one.stream for run in self.runs for one in run.records})
        return all(run.is_over for run in self.runs) and not unread

    def _is_told(self) -> bool:
        self._look_alive()
        with closing(sqlite3.connect(f"file:{self.archive}?mode=ro", uri=True)) as db:
            query = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM deliveries WHERE state = 'waiting')"
            return int(db.execute(query).fetchone()[0]) == 0

    def _wait_until_dead(self, part: float) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + SECONDS_TO_DIE
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{process.args} did not come to its end; {self._said()}"
            self.send(part)
            self.send(0.97, 1)  # without anything new there may be nothing left to do
            time.sleep(SECONDS_BETWEEN_LOOKS)
        assert process.returncode == -signal.SIGKILL, self._said()
        self._process = None

    def _is_ready(self) -> bool:
        self._look_alive()
        try:
            return httpx.get(f"{self._url}/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False

    def _look_alive(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self._said()

    def _start_server(self) -> None:
        self._start(
            [ROLLOUTWATCH, "serve", "--port", str(self._port), "--redis-url", self.redis.url,
             "--data-dir", str(self.data_dir), "--notify-file", str(self._notify_file)]
        )  # fmt: skip

    def _start_teller(self, *death: str) -> None:
        command = [sys.executable, "-m", "tests.chaos.teller", self.redis.url]
        self._start([*command, str(self.data_dir), str(self._notify_file), self._url, *death])

    def _start(self, command: list[str]) -> None:
        environment = {**os.environ, **surroundings(self.redis.url, self.data_dir / "spool")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]
