"""TensorBoard, where there is one, with a run of its own."""

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from benchmarks.client_cost.servers import free_port
from benchmarks.server import event_files
from benchmarks.server.content import FIGURES, FOUR, LongRun
from rolloutwatch_server.transport import HOST

PYTHON = "ROLLOUTWATCH_TENSORBOARD_PYTHON"  # names the Python of an environment that has TensorBoard
SECONDS_TO_READ = 300.0
SECONDS_BETWEEN_LOOKS = 0.1
ROUNDS = 20


def python_with_tensorboard(reasons: list[str]) -> str | None:
    """Return a Python that has TensorBoard, the named one or this one; if there is none, None, and why among the reasons."""
    found = importlib.util.find_spec("tensorboard")
    here = sys.executable if found and found.origin else None
    python = os.environ.get(PYTHON) or here
    if python is None:
        reasons.append(
            f"TensorBoard is not compared with: {PYTHON} may name a Python that has it, see benchmarks/README.md."
        )
    return python


class TensorBoard:
    """A TensorBoard on a free port of this host, which begins to read a run of forty scalars when the block begins."""

    def __init__(self, python: str, folder: Path, run: LongRun) -> None:
        self._python, self._folder, self._run = python, folder, run
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._client = httpx.Client(timeout=60)
        self.url = f"http://{HOST}:{self._port}"
        self._began = 0.0
        self.seconds_to_read = 0.0

    def __enter__(self) -> "TensorBoard":
        of = np.arange(self._run.steps)
        columns = {name: self._run.column(number, of) for number, name in enumerate(FIGURES)}
        event_files.write(self._folder / "long", columns)
        command = [
            self._python, "-I", "-m", "tensorboard.main", "--logdir", str(self._folder),
            "--host", HOST, "--port", str(self._port),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._client.close()

    @property
    def page(self) -> str:
        """Return the address of the page with all charts."""
        return f"{self.url}/#timeseries"

    def wait_until_read(self) -> None:
        """Wait for the last step, and note how long that takes from the start on."""
        while time.perf_counter() - self._began < SECONDS_TO_READ:
            try:
                series = self._series(FOUR[-1])
            except httpx.TransportError:
                series = []
            if series and series[-1][1] == self._run.steps - 1:
                self.seconds_to_read = time.perf_counter() - self._began
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
        raise RuntimeError(
            f"TensorBoard did not read {self._run.steps} steps within {SECONDS_TO_READ:.0f} s."
        )

    def series_ms(self) -> float:
        """Return the median milliseconds that four scalars take."""
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for metric in FOUR:
                self._series(metric)
            times.append(time.perf_counter() - began)
        return 1e3 * statistics.median(times)

    def _series(self, metric: str) -> list[list[float]]:
        """Return what it shows of a scalar: time, step and value of a thousand steps, of which the last one is one."""
        where = f"{self.url}/data/plugin/scalars/scalars"
        answer = self._client.get(where, params={"run": "long", "tag": metric})
        series: list[list[float]] = answer.json() if answer.is_success else []
        return series
