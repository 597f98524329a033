"""A trainer goes on although the archive that had its run was damaged and put aside."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from rolloutwatch_server.store import Store
from tests.processes import ServerProcess, surroundings, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

RUN = "keeping~night"

# a step for each line that comes, so that the test says when
TRAINER = """
import sys
import rolloutwatch

with rolloutwatch.Monitor(project="keeping", run="night", config={"rollout_is": "token"}) as monitor:
    for step, _ in enumerate(sys.stdin):
        monitor.log(step, {"reward": step / 7})
"""


class Trainer:
    """A trainer that does as many steps as it is told to."""

    def __init__(self, redis_url: str) -> None:
        self.steps = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINER], stdin=subprocess.PIPE, text=True, env=surroundings(redis_url)
        )

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def do(self, steps: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n" * steps)
        self.process.stdin.flush()
        self.steps += steps

    def end(self) -> None:
        """End it, and see that all of it was archived: it waits for that, and its spool is empty then."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def rewards(server: ServerProcess) -> dict[int, float]:
    answer = httpx.get(f"{server.url}/api/v1/runs/{RUN}/series", params={"metric": "reward"}, timeout=30)
    if answer.status_code == 404:
        return {}
    series = answer.json()["series"]["reward"]
    return dict(zip(series["step"], series["value"], strict=True))


def test_a_trainer_goes_on_beside_a_new_archive(tmp_path: Path) -> None:
    """The damaged one has what came before; what comes is archived and let go of, with the run's configuration."""
    with ServerProcess(tmp_path / "data", "--quarantine") as server, Trainer(server.redis_url) as trainer:
        trainer.do(50)
        wait_for("the first steps", lambda: len(rewards(server)) == 50)
        server.kill()
        archive = tmp_path / "data" / "archive.db"
        Store(archive).close()  # what the WAL has goes into the file
        with archive.open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 4000)
        server.start()
        assert len(httpx.get(f"{server.url}/readyz").json()["quarantined"]) == 1
        trainer.do(50)
        wait_for("the next steps", lambda: set(rewards(server)) >= set(range(50, 100)))
        trainer.end()
        wait_for("the end", lambda: server.get(f"/runs/{RUN}")["state"] == "finished")
        assert server.get(f"/runs/{RUN}")["config"]["rollout_is"] == "token"
        assert {n: value for n, value in rewards(server).items() if n >= 50} == {
            n: n / 7 for n in range(50, 100)
        }
