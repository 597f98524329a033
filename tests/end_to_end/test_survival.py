"""From the trainer's call to the archive through real processes, one of which is killed on the way."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ServerProcess, surroundings, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

RUN = "survival~night"
STEPS = 150

TRAINER = f"""
import time, torch
import rolloutwatch

torch.manual_seed(0)
with rolloutwatch.Monitor(project="survival", run="night", config={{"rollout_is": "token"}}) as monitor:
    for step in range({STEPS}):
        training = -torch.rand(8, 16)
        correction = monitor.correct(
            step=step,
            training_logprobs=training,
            rollout_logprobs=training + 0.01 * torch.randn(8, 16),
            response_mask=torch.ones(8, 16),
        )
        monitor.log(step, {{"reward": step / 7}})
        time.sleep(0.05)
"""


def last_step(server: ServerProcess) -> int:
    runs = {run["id"]: run["last_step"] for run in server.get("/runs")["runs"]}
    return -1 if runs.get(RUN) is None else int(runs[RUN])


def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL in the middle of a run: the history is the same afterwards, and no step is missing or doubled."""
    with ServerProcess(tmp_path / "data") as server:
        environment = surroundings(server.redis_url)
        trainer = subprocess.Popen([sys.executable, "-c", TRAINER], env=environment)
        wait_for("the run to be under way", lambda: last_step(server) >= 30)
        seen = last_step(server)
        before = server.get(f"/runs/{RUN}/series", metric="mismatch_kl", to_step=seen, points=10_000)[
            "series"
        ]
        server.kill()
        assert trainer.poll() is None, "the trainer is not to notice"
        server.start()
        after = server.get(f"/runs/{RUN}/series", metric="mismatch_kl", to_step=seen, points=10_000)["series"]
        assert after == before
        assert len(before["mismatch_kl"]["step"]) == seen + 1
        assert trainer.wait(60) == 0
        wait_for("the end of the run", lambda: server.get(f"/runs/{RUN}")["state"] == "finished")
        series = server.get(f"/runs/{RUN}/series", metric=["reward", "rollout_is_mean"], points=10_000)[
            "series"
        ]
        assert series["reward"]["step"] == list(range(STEPS))
        assert series["reward"]["value"] == [step / 7 for step in range(STEPS)]
        assert series["rollout_is_mean"]["step"] == list(range(STEPS))
        assert all(math.isclose(value, 1.0, abs_tol=0.05) for value in series["rollout_is_mean"]["value"])
        assert server.get("/dead-letters")["dead_letters"] == []


def test_a_run_measured_while_no_server_was_there_is_archived_later(tmp_path: Path) -> None:
    """The Redis that a killed server leaves behind goes on taking records; the next server finds them."""
    with ServerProcess(tmp_path / "data") as server:
        environment = surroundings(server.redis_url)
        server.kill()
        assert subprocess.run([sys.executable, "-c", TRAINER], env=environment, timeout=100).returncode == 0
        server.start()
        wait_for("the whole run", lambda: last_step(server) == STEPS - 1)
        series = server.get(f"/runs/{RUN}/series", metric="reward", points=10_000)["series"]
        assert series["reward"]["step"] == list(range(STEPS))
        assert server.get(f"/runs/{RUN}")["state"] == "finished"


def test_a_redis_that_is_killed_is_started_again_and_no_step_is_missing(tmp_path: Path) -> None:
    """SIGKILL for the Redis that the server started, twice in a run: nobody has to do anything."""
    with ServerProcess(tmp_path / "data") as server:
        environment = surroundings(server.redis_url)
        trainer = subprocess.Popen([sys.executable, "-c", TRAINER], env=environment)
        for seen in (20, 60):
            wait_for("the run to be under way", lambda seen=seen: last_step(server) >= seen)
            os.kill(int((tmp_path / "data" / "redis" / "redis.pid").read_text()), signal.SIGKILL)
        assert trainer.wait(60) == 0
        wait_for("the end of the run", lambda: server.get(f"/runs/{RUN}")["state"] == "finished")
        series = server.get(f"/runs/{RUN}/series", metric="reward", points=10_000)["series"]
        assert series["reward"]["step"] == list(range(STEPS))
        assert server.get(f"/runs/{RUN}")["dropped"] == {}
        assert server.is_ready()
