"""A Redis to push to, which can hang and die, and an archive that reads it, each a process of its own."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from pathlib import Path

import redis

from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import HOST, connect, find_binary

SECONDS_TO_START = 20.0


class Redis:
    """A Redis-protocol server on a free port of this host, with its files in `folder`; leaving the block kills it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://{HOST}:{self._port}/0"

    def __enter__(self) -> "Redis":
        self._folder.mkdir()
        self.be_well()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def be_well(self) -> None:
        """Answer, whatever was before."""
        if self._process is None:
            self._process = subprocess.Popen(
                [
                    str(find_binary()), "--port", str(self._port), "--bind", HOST, "--dir", str(self._folder),
                    "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                    "--maxmemory-policy", "noeviction",
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._process.send_signal(signal.SIGCONT)
        self._wait_until_it_answers()

    def hang(self) -> None:
        """Accept connections, as the system does on its own, and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def die(self) -> None:
        """End at once; fine if it has ended."""
        if self._process is not None:
            self._process.kill()  # a suspended process dies of it too
            self._process.wait()
            self._process = None

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                with connect(self.url) as client:
                    client.ping()
                    return
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextlib.contextmanager
def archive_of(context: SpawnContext, url: str, folder: Path) -> Iterator[None]:
    """Read, archive and acknowledge what comes into a Redis, as the server does."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_archive, args=(theirs, url, folder), daemon=True)
    process.start()
    theirs.close()
    try:
        yield
    finally:
        ours.close()
        process.join(10)
        process.kill()
        process.join()


def _archive(connection: Connection, url: str, folder: Path) -> None:
    store = Store(folder / "archive.db")
    ingest = Ingest(store, lambda: connect(url), lambda run, entries: None)
    ingest.start()
    with contextlib.suppress(EOFError):
        connection.recv()  # until the other side lets go
    ingest.stop()
    store.close()


def free_port() -> int:
    """Return a port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
