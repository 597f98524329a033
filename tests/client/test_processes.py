"""A trainer's process as a whole: how it ends, and what its children do."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch_contract import Outcome, Record, RunEnd, decode
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN
from tests.client.batches import steps
from tests.processes import surroundings
from tests.redis_process import RedisProcess, free_port

pytestmark = [pytest.mark.redis, pytest.mark.end_to_end]

BEGIN = """
import os, sys, rolloutwatch
monitor = rolloutwatch.Monitor(project="math", run="grpo")
monitor.log(0, {"loss": 1.0})
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def train(code: str, redis_url: str) -> "subprocess.CompletedProcess[str]":
    """Run a trainer to its end; it may take a minute at most."""
    environment = surroundings(redis_url)
    command = [sys.executable, "-c", BEGIN + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def records(redis: RedisProcess) -> list[list[Record]]:
    """What stands in each stream."""
    with redis.client() as client:
        streams = [client.xrange(key) for key in client.scan_iter(STREAM_PATTERN)]
    return [[decode(fields[RECORD_FIELD]) for _, fields in entries] for entries in streams]


def outcome(redis: RedisProcess) -> Outcome:
    (stream,) = records(redis)
    assert [record.step for record in steps(stream)] == [0]
    end = stream[-1]
    assert isinstance(end, RunEnd)
    return end.outcome


def test_a_trainer_that_forgets_to_close_loses_nothing(redis: RedisProcess) -> None:
    assert train("", redis.url).returncode == 0
    assert outcome(redis) is Outcome.FINISHED


def test_an_exception_nobody_caught_ends_the_run_as_crashed(redis: RedisProcess) -> None:
    ended = train("raise RuntimeError('out of memory')", redis.url)
    assert ended.returncode == 1
    assert "out of memory" in ended.stderr
    assert outcome(redis) is Outcome.CRASHED


def test_sys_exit_is_not_a_crash(redis: RedisProcess) -> None:
    assert train("sys.exit(3)", redis.url).returncode == 3
    assert outcome(redis) is Outcome.FINISHED


def test_a_trainer_ends_though_nobody_takes_its_records() -> None:
    """Bounded, with the trainer's own exit code, and one warning that names the cure."""
    ended = train("", f"redis://127.0.0.1:{free_port()}/0")
    assert ended.returncode == 0
    assert ended.stderr.count("Training goes on") == 1
    assert "Start the server (rolloutwatch serve)" in ended.stderr


def test_a_forked_child_never_sends(redis: RedisProcess) -> None:
    """Data loaders fork; records are their parent's, and each is sent once."""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what this is about
lock = monitor._worker._lock
lock.acquire()  # the fork may come at any instant, also while another thread holds this
child = os.fork()
if child == 0:
    monitor.log(1, {"loss": 2.0})
    monitor.close()
    print(monitor.health().dropped)
    sys.exit(0)
lock.release()
_, status = os.waitpid(child, 0)
monitor.close()
sys.exit(status)
"""
    ended = train(code, redis.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "{'closed': 1}\n"
    assert outcome(redis) is Outcome.FINISHED


def test_a_spawned_child_has_a_monitor_of_its_own(redis: RedisProcess) -> None:
    code = f"""
import subprocess
subprocess.run([sys.executable, "-c", {BEGIN!r}], check=True)
"""
    assert train(code, redis.url).returncode == 0
    assert [[record.step for record in steps(stream)] for stream in records(redis)] == [[0], [0]]
