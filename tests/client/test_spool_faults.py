"""A trainer whose disk fails: it trains on, records wait in memory, and all is well again by itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch import Monitor
from rolloutwatch.outbox import FRAMES_PER_BATCH
from rolloutwatch.spool import Spool, abandoned
from rolloutwatch_contract import Heartbeat, Record, StepRecord, decode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN
from tests.client.batches import steps
from tests.processes import surroundings, wait_for
from tests.redis_process import RedisProcess

pytestmark = pytest.mark.redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def records(redis: RedisProcess) -> list[Record]:
    """What stands in the one stream there is."""
    with redis.client() as client:
        (key,) = client.scan_iter(STREAM_PATTERN)
        return [decode(fields[RECORD_FIELD]) for _, fields in client.xrange(key)]


def log(one: Monitor, first: int, last: int) -> None:
    for step in range(first, last):
        one.log(step, {"loss": step / 7})


FULL = """
import resource, time, rolloutwatch

def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds(monitor.health()):
        assert time.monotonic() < deadline, monitor.health()
        time.sleep(0.01)

unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))
monitor = rolloutwatch.Monitor(project="math", run="grpo")
for step in range(500):
    monitor.log(step, {"loss": step / 7})
wait_until(lambda health: health.pushed >= 501 and health.spooled < 501)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
wait_until(lambda health: health.spooled >= 501)
print(monitor.health().dropped)
monitor.log(500, {"loss": 500 / 7})
monitor.close()
"""


def test_a_disk_that_is_full_costs_nothing_but_what_a_kill_would(redis: RedisProcess) -> None:
    """Said once, as is its end; what was in memory alone is written down when there is room again."""
    command = [sys.executable, "-c", FULL]
    ended = subprocess.run(
        command, env=surroundings(redis.url), capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "{}\n"), ended.stderr
    assert ended.stderr.count("cannot be written ([Errno 27] File too large)") == 1
    assert ended.stderr.count("works again, nothing is lost") == 1
    assert [record.step for record in steps(records(redis))] == list(range(501))


CRAMPED = """
import resource, rolloutwatch
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
monitor = rolloutwatch.Monitor(project="math", run="grpo")
for step in range(400):
    monitor.log(step, {"loss": step / 7})
while monitor._worker._pending or not monitor.health().last_error:  # until writing has failed, as everything does
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
monitor.close(0.2)
print(monitor.health().spooled, monitor.health().dropped["undelivered"])
"""


def test_at_the_end_what_is_on_disk_and_what_is_gone_are_told_apart(spool_dir: Path) -> None:
    """Neither Redis nor the disk takes all of it: both numbers are true, and add up."""
    ended = subprocess.run(
        [sys.executable, "-c", CRAMPED], env=surroundings("redis://127.0.0.1:1/0"),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    kept, gone = map(int, ended.stdout.split())
    assert kept + gone == 402
    assert f"{kept} records wait in {spool_dir}" in ended.stderr
    assert f"{gone} records were not delivered, and are gone" in ended.stderr
    (left,) = abandoned(spool_dir)
    spool = Spool.adopt(left)
    assert spool is not None
    assert sum(len(spool.read(segment.first)) for segment in spool.segments) == kept
    spool.close()


FOREIGN = """
import encodings.idna, os, rolloutwatch  # of which the last needs the first later, when it may not be read any more
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
with rolloutwatch.Monitor(project="math", run="grpo") as monitor:
    monitor.log(0, {"loss": 1.0})
    assert monitor.flush(30)
    print(monitor.health().spooled, monitor.health().dropped)
"""


def test_a_folder_that_belongs_to_somebody_else_is_done_without(redis: RedisProcess, spool_dir: Path) -> None:
    """Records wait in memory alone, which is said with its cure; nothing in the folder is touched."""
    others = spool_dir / "sessions" / "somebody" / "0000000000000001.seg"
    others.parent.mkdir(parents=True)
    others.write_bytes(b"what somebody else left")
    for folder in (others.parent, others.parent.parent, spool_dir):
        folder.chmod(0o500)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", FOREIGN], env=surroundings(redis.url),
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    finally:
        for folder in (spool_dir, others.parent.parent, others.parent):
            folder.chmod(0o700)
    assert (ended.returncode, ended.stdout) == (0, "0 {}\n"), ended.stderr
    assert ended.stderr.count("Permission denied") == 1
    assert "name another folder with spool_dir= or ROLLOUTWATCH_SPOOL_DIR" in ended.stderr
    assert len(steps(records(redis))) == 1
    assert others.read_bytes() == b"what somebody else left"


@pytest.mark.parametrize("where", ["file", "file/in/the/way"])
def test_a_folder_that_cannot_be_made_is_done_without(
    where: str, redis: RedisProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with Monitor(project="math", run="grpo", redis_url=redis.url, spool_dir=tmp_path / where) as one:
        log(one, 0, 100)
        assert one.flush(30)
        assert (one.health().spooled, one.health().dropped) == (0, {})
    assert len(steps(records(redis))) == 100
    assert caplog.text.count("cannot be written") == 1


@pytest.mark.parametrize("what", ["all of it", "the sessions", "the files", "the lock"])
def test_a_spool_that_is_deleted_meanwhile_is_begun_anew(
    what: str, redis: RedisProcess, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever tidies up does not know what it is; what is in memory still is written down again."""
    redis.kill()
    one = Monitor(project="math", run="grpo", redis_url=redis.url)
    log(one, 0, 100)
    wait_for("all on disk", lambda: one.health().spooled == 101)
    folder = spool_dir / "sessions" / one.session
    if what == "the lock":
        (folder / "lock").unlink()
    elif what == "the files":
        for file in folder.iterdir():
            file.unlink()
    else:
        shutil.rmtree(spool_dir if what == "all of it" else spool_dir / "sessions")
    if what != "the lock":
        wait_for("this to be noticed", lambda: "was deleted" in caplog.text)
    log(one, 100, 200)
    wait_for("all on disk again", lambda: one.health().spooled == 201)
    assert not one.close(timeout=0.2)
    assert one.health().dropped == {}
    assert one.health().spooled == 202
    redis.start()
    with Monitor(project="math", run="next", redis_url=redis.url) as another:
        wait_for("what it left", lambda: _steps_of(redis, one.session) == list(range(200)))
        assert another.health().dropped == {}


def _steps_of(redis: RedisProcess, session: str) -> list[int]:
    with redis.client() as client:
        entries = client.xrange(stream_key("math~grpo", session))
    return [record.step for record in steps([decode(fields[RECORD_FIELD]) for _, fields in entries])]


def test_a_session_whose_lock_was_deleted_is_nobody_elses(redis: RedisProcess, spool_dir: Path) -> None:
    """While its trainer lives, another one does not say that it has crashed."""
    one = Monitor(project="math", run="grpo", redis_url=redis.url)
    log(one, 0, 10)
    wait_for("all on disk", lambda: one.health().spooled == 11)
    (spool_dir / "sessions" / one.session / "lock").unlink()
    wait_for("another lock", (spool_dir / "sessions" / one.session / "lock").exists)
    with Monitor(project="math", run="grpo", redis_url=redis.url) as another:
        log(another, 10, 20)
        assert another.flush(30)
    log(one, 20, 30)
    assert one.flush(30)
    assert _steps_of(redis, one.session) == [*range(10), *range(20, 30)]
    assert one.close()


def test_a_night_without_redis_costs_what_is_beyond_the_limit_and_that_is_counted(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """A megabyte of disk: the newest records are kept, and a sign of life stands for each that is gone."""
    redis.kill()
    one = Monitor(project="math", run="grpo", redis_url=redis.url, spool_limit=1_000_000)
    noise = os.urandom(8 * 400 * 20)
    for step in range(3000):
        begin = step * 37 % 20 * 8 * 400
        values = memoryview(noise[begin : begin + 8 * 400]).cast("d")
        one.log(step, {f"figure_{number}": value for number, value in enumerate(values)})
        if step % 100 == 0:
            wait_for("room in the queue", lambda: one._worker._pending < 500)
    wait_for("all written down", lambda: not one._worker._pending)
    assert 0 < one.health().spooled < 1000
    redis.start()
    assert one.flush(60)
    assert one.close()
    came = records(redis)
    dropped = one.health().dropped
    kept = [record.step for record in came if isinstance(record, StepRecord)]
    assert dropped == {"spool_full": sum(isinstance(record, Heartbeat) for record in came)}
    newest = [
        step for step in kept if step >= FRAMES_PER_BATCH
    ]  # what was being sent is in the sender's hand
    assert newest == list(range(newest[0], 3000))
    assert kept == sorted(set(kept))
    assert len(kept) + dropped["spool_full"] == 3000
    assert came[-1].dropped == dropped  # type: ignore[union-attr]
    assert "Raise spool_limit= or ROLLOUTWATCH_SPOOL_LIMIT" in caplog.text
