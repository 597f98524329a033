"""The real server as a process of its own, and what the system says that it uses."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from benchmarks.client_cost.servers import free_port
from rolloutwatch_server.transport import HOST

SECONDS_TO_START = 60.0
SECONDS_TO_END = 30.0
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """`rolloutwatch serve` on a free port of this host, with options; leaving the block ends it in good order."""

    def __init__(self, data_dir: Path, redis_url: str, *options: str) -> None:
        self._data_dir, self._redis_url, self._options = data_dir, redis_url, options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"

    def __enter__(self) -> "Server":
        self._data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "rolloutwatch_server", "serve", "--port", str(self.port),
            "--redis-url", self._redis_url, "--data-dir", str(self._data_dir), *self._options,
        ]  # fmt: skip
        with (self._data_dir / "server.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._wait_until_ready()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def records(self) -> int:
        """Return how many records it has archived since it started."""
        return int(httpx.get(f"{self.url}/readyz", timeout=30).json()["ingest"]["records"])

    def cpu_seconds(self) -> float:
        """Return the processor time of all its threads so far."""
        fields = self._proc("stat").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self, line: str = "VmRSS") -> float:
        """Return its resident memory in MiB now, or the most it had for "VmHWM"."""
        (found,) = [one for one in self._proc("status").splitlines() if one.startswith(line)]
        return int(found.split()[1]) / 1024

    def _proc(self, name: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        said = (self._data_dir / "server.log").read_text(errors="replace")[-1000:]
        raise RuntimeError(f"the server was not ready within {SECONDS_TO_START:.0f} s: {said}")
