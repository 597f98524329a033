"""`make demo` as a newcomer meets it: it shows a run that grows, and leaves nothing behind."""

import argparse
import itertools
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from demo import programme

from tests.processes import ROOT, ServerProcess, alive, interrupt, run_in_session, wait_for
from tests.redis_process import free_port
from tiny.faults import FAULTS

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]


def demo(data_dir: Path, port: int, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "examples/demo.py", "--port", str(port), "--data-dir", str(data_dir), *options]
    return run_in_session(command)


def refused(*options: str) -> str:
    """What a demo says that does not start."""
    command = [sys.executable, "examples/demo.py", *options]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert told.returncode != 0
    assert told.stdout == ""
    return told.stderr


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


def test_a_demo_with_a_fault_says_first_what_will_happen_and_where_it_is_explained(tmp_path: Path) -> None:
    """When the fault begins and when it is mended, as the trainer is told; and the guide is there to be read."""
    port = free_port()
    process = demo(tmp_path, port, "--steps", "0", "--fault", "stale")
    try:
        assert process.stdout is not None
        told = list(itertools.takewhile(lambda line: not line.startswith("Training run"), process.stdout))
        text = "".join(told).split("What will happen")[1]
        assert re.findall(r"^  step +(\d+)  ", text, re.MULTILINE) == ["0", "150", "250"]
        assert "The fault begins: rollout weights are not synced." in text
        address = f"http://127.0.0.1:{port}/guides/diagnosis/stale_weights"
        assert f"  {address}\n" in text
        assert "The rollout weights are stale" in httpx.get(address).raise_for_status().text
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("steps", "fault", "first", "last"),
    [
        (0, "", "", ""),
        (150, "stale", "Nothing will be wrong", "STEPS=150 ends before it."),
        (250, "stale", "What will happen", "/guides/diagnosis/stale_weights"),
        (251, "topp", "What will happen", "the run goes on."),
    ],
)
def test_a_demo_promises_no_step_that_will_not_come(steps: int, fault: str, first: str, last: str) -> None:
    lines = programme(argparse.Namespace(steps=steps, fault=fault or None, port=8050)) or [""]
    assert lines[0].startswith(first)
    assert lines[-1].endswith(last)
    assert bool(first) == (lines != [""])


def test_a_taken_port_is_told_with_its_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = ["make", "--no-print-directory", "demo", f"PORT={port}", f"DATA={tmp_path}"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode != 0
    assert f"Port {port} is taken" in told.stderr
    cure = re.search(r"make demo PORT=(\d+)", told.stderr)
    assert cure is not None
    assert int(cure[1]) > port


def test_a_port_that_is_suggested_is_free() -> None:
    """Neither the one that is asked for nor one that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        cure = re.search(r"make demo PORT=(\d+)$", refused("--port", str(port)).strip())
        assert cure is not None
        with socket.create_server(("127.0.0.1", int(cure[1]))):
            other = re.search(r"make demo PORT=(\d+)$", refused("--port", str(port)).strip())
    assert other is not None
    assert int(other[1]) not in (port, int(cure[1]))


@pytest.mark.parametrize(
    ("name", "hint"), [("nonsense", ""), ("stail", "Did you mean stale? "), ("ZERO", "Did you mean zeros? ")]
)
def test_an_unknown_fault_is_told_before_anything_starts(name: str, hint: str, tmp_path: Path) -> None:
    """With those there are, and the one that was meant; not after the dashboard has been opened on an empty page."""
    data_dir = tmp_path / "archive"
    told = refused("--fault", name, "--data-dir", str(data_dir), "--port", str(free_port()))
    assert f"{name!r} is no fault. {hint}Expected one of {', '.join(FAULTS)}, as in make demo FAULT=" in told
    assert not data_dir.exists()


def test_a_data_folder_in_use_is_told_with_its_cure(tmp_path: Path) -> None:
    """In the words of make: where the other one is to be seen, and a folder and a port that are free."""
    data_dir = tmp_path / "archive"
    with ServerProcess(data_dir) as server:
        told = refused("--data-dir", str(data_dir), "--port", str(server.port))
        free = free_port()
        told_of_a_free_port = refused("--data-dir", str(data_dir), "--port", str(free))
        assert server.is_ready()
    assert f"The data folder {data_dir} is in use by a server that runs" in told
    assert f"whose dashboard is {server.url}/" in told
    cure = re.search(rf"make demo DATA={re.escape(str(data_dir))}-2 PORT=(\d+)$", told.strip())
    assert cure is not None
    assert int(cure[1]) != server.port
    assert told_of_a_free_port.strip().endswith(f" PORT={free}")


def test_a_server_that_does_not_start_is_explained_in_the_words_of_make(tmp_path: Path) -> None:
    """The server speaks of its own options, which make does not have."""
    data_dir = tmp_path / "archive"
    data_dir.write_text("not a folder")
    told = refused("--data-dir", str(data_dir), "--port", str(free_port()))
    assert f"--data-dir {data_dir} cannot be used" in told
    assert "What it calls --data-dir and --port is DATA= and PORT= of make demo." in told


def test_make_tells_all_that_can_be_asked_of_it() -> None:
    """Every verb, and every variable of the demo with its default."""
    makefile = (ROOT / "Makefile").read_text()
    told = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    verbs = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert verbs is not None
    for verb in set(verbs[1].split()) - {"help"}:
        assert re.search(rf"^{verb} ", told, re.MULTILINE), verb
    for name, default in re.findall(r"^(PORT|STEPS|FAULT|DATA) \?= ?(.*)$", makefile, re.MULTILINE):
        assert f" {name}={default}" in told
    assert told.count("PORT=8050") == told.count("DATA=.rolloutwatch") == 1
