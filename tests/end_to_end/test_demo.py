"""`make demo` as a newcomer meets it: it shows a run that grows, and leaves nothing behind."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.processes import ROOT, alive, interrupt, run_in_session, wait_for
from tests.redis_process import free_port

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]


def demo(data_dir: Path, port: int, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "examples/demo.py", "--port", str(port), "--data-dir", str(data_dir), *options]
    return run_in_session(command)


def last_steps(port: int) -> list[int]:
    try:
        runs = httpx.get(f"http://127.0.0.1:{port}/api/v1/runs").json()["runs"]
    except (httpx.TransportError, ValueError):
        return []
    return [run["last_step"] for run in runs if run["last_step"] is not None]


@pytest.mark.parametrize("how", ["ctrl-c", "terminate"])
def test_the_demo_shows_a_growing_run_and_ends_without_a_trace(how: str, tmp_path: Path) -> None:
    """The last step grows; when it is stopped, trainer, server and Redis are gone."""
    data_dir = tmp_path / "archive"
    port = free_port()
    process = demo(data_dir, port, "--steps", "0")
    try:
        first = wait_for("the first step", lambda: max(last_steps(port), default=None))
        wait_for("more steps", lambda: max(last_steps(port)) > first)
    finally:
        if how == "ctrl-c":
            interrupt(process)
        else:
            process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Dashboard: http://127.0.0.1:{port}/\n" in output
    assert alive(str(data_dir)) == []
    assert alive(f"127.0.0.1:{port}") == []


def test_the_dashboard_outlives_a_run_that_has_finished(tmp_path: Path) -> None:
    """STEPS= ends the training, not the demo."""
    port = free_port()
    process = demo(tmp_path, port, "--steps", "3")
    try:
        assert process.stdout is not None
        told = next(line for line in process.stdout if line.startswith("The training run"))
        assert told == "The training run has finished; the dashboard stays. Ctrl-C ends it.\n"
        runs = httpx.get(f"http://127.0.0.1:{port}/api/v1/runs").json()["runs"]
        assert [(run["state"], run["last_step"]) for run in runs] == [("finished", 2)]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_taken_port_is_told_with_its_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = ["make", "--no-print-directory", "demo", f"PORT={port}", f"DATA={tmp_path}"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode != 0
    assert f"Port {port} is taken" in told.stderr
    assert f"make demo PORT={port + 1}" in told.stderr
