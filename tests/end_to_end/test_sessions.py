"""Real trainers that go on with a run, one after the other and at once, as the server tells of them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ServerProcess, surroundings, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

RUN = "sessions~night"

TRAINER = """
import os, sys, time, torch
import rolloutwatch

first, last, ending = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
monitor = rolloutwatch.Monitor(project="sessions", run="night")
for step in range(first, last):
    training = -torch.rand(8, 16)
    monitor.observe(
        step=step, training_logprobs=training, rollout_logprobs=training, response_mask=torch.ones(8, 16)
    )
    monitor.mark("weight_sync", version=step)
    time.sleep(0.1)
if ending == "killed":
    monitor.flush()
    os.kill(os.getpid(), 9)
monitor.close()
"""


def train(server: ServerProcess, first: int, last: int, ending: str = "closed") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", TRAINER, str(first), str(last), ending]
    return subprocess.Popen(command, env=surroundings(server.redis_url))


def found(server: ServerProcess) -> list[dict[str, Any]]:
    """The marks that no trainer has sent."""
    marks = server.get(f"/runs/{RUN}/marks")["marks"]
    return [mark for mark in marks if mark["kind"] != "weight_sync"]


def is_contested(server: ServerProcess) -> bool:
    return any(run["contested"] for run in server.get("/runs")["runs"] if run["id"] == RUN)


def test_a_run_that_is_resumed_is_one_run_and_two_trainers_at_once_are_flagged(tmp_path: Path) -> None:
    """A killed trainer's successor is a restart at its first step, and no contest; two at once are one while they last."""
    with ServerProcess(tmp_path / "data") as server:
        assert train(server, 0, 10, "killed").wait(60) == -9
        resumed = train(server, 6, 12)
        assert resumed.wait(60) == 0
        wait_for("the restart", lambda: found(server))
        (restart,) = found(server)
        assert (restart["step"], restart["kind"], restart["fields"]["pid"]) == (
            6,
            "restart",
            str(resumed.pid),
        )
        assert not is_contested(server)
        marks = server.get(f"/runs/{RUN}/marks")["marks"]
        versions = [mark["fields"]["version"] for mark in marks if mark["kind"] == "weight_sync"]
        assert versions == list(range(12)), "those of steps that were done again once"

        one = train(server, 12, 10_000)
        wait_for("the first of two", lambda: server.get(f"/runs/{RUN}")["last_step"] > 13)
        other = train(server, 12, 10_000)
        wait_for("the contest", lambda: is_contested(server))
        detail = server.get(f"/runs/{RUN}")
        rivals = [session["environment"]["pid"] for session in detail["sessions"] if session["contested"]]
        assert rivals == [str(one.pid), str(other.pid)]
        one.terminate()
        one.wait(30)
        wait_for("the end of the contest", lambda: not is_contested(server))
        other.terminate()
        other.wait(30)
        assert [mark["kind"] for mark in found(server)] == ["restart", "restart", "contested"]
