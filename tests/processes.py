"""Real processes of the product, started and ended by a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx

from tests.redis_process import free_port

ROOT = Path(__file__).parents[1]
ROLLOUTWATCH = str(Path(sys.executable).with_name("rolloutwatch"))


T = TypeVar("T")


def wait_for(what: str, ask: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Ask until the answer is neither None nor False; fail, naming what was waited for, when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def surroundings(redis_url: str) -> dict[str, str]:
    """The environment of a trainer: where Redis is, and the spool of the test."""
    return {
        "ROLLOUTWATCH_REDIS_URL": redis_url,
        "ROLLOUTWATCH_SPOOL_DIR": os.environ["ROLLOUTWATCH_SPOOL_DIR"],
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT)))),
    }


class ServerProcess:
    """`rolloutwatch serve` on free ports, with the Redis it starts itself."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.port = free_port()
        self.redis_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is None:
            self.start()  # a server killed hard left its Redis behind; only a server takes it down in good order
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        ports = ["--port", str(self.port), "--redis-port", str(self.redis_port)]
        command = [ROLLOUTWATCH, "serve", *ports, "--data-dir", str(self.data_dir), *self.options]
        self.process = subprocess.Popen(command)
        wait_for("the server to be ready", self.is_ready)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended with code {self.process.returncode}"
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End the server, and it alone, as a power switch would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)
        self.process = None

    @property
    def redis_url(self) -> str:
        told = json.loads((self.data_dir / "server.json").read_text())
        return str(told["redis_url"])

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask the API; a refusal fails the test."""
        answer = httpx.get(f"{self.url}/api/v1{path}", params=parameters, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()


def run_in_session(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a command in a session of its own, so that everything it leaves behind can be found by it."""
    return subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, text=True, stdout=subprocess.PIPE, **options
    )


def alive(needle: str) -> list[str]:
    """Return the command lines of this machine's other processes that have `needle` in them, or in their folder.

    A Redis rewrites its command line, but works in the folder of its data.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            folder = str((entry / "cwd").readlink())
            ended = "State:\tZ" in (entry / "status").read_text()
        except OSError:
            continue
        if needle in f"{line} {folder}" and not ended and int(entry.name) != os.getpid():
            found.append(line)
    return found


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C where the process runs: its whole foreground group gets the signal."""
    os.killpg(process.pid, signal.SIGINT)
