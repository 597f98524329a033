"""What a trainer left on disk reaches Redis through the next one."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch import Monitor
from rolloutwatch.adoption import Adopter
from rolloutwatch.deliver import deliver
from rolloutwatch.outbox import FRAMES_PER_BATCH
from rolloutwatch.push import RedisSink
from rolloutwatch.spool import bytes_in, sessions_in, transport_of
from rolloutwatch_contract import Outcome, Record, RunEnd, RunStart, StepRecord, ack_key, decode
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN, split_stream_key
from tests.processes import surroundings, wait_for
from tests.redis_process import RedisProcess

pytestmark = pytest.mark.redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def log(one: Monitor, first: int, last: int) -> None:
    for step in range(first, last):
        one.log(step, {"loss": step / 7})


def streams(redis: RedisProcess) -> dict[str, list[Record]]:
    """What stands in Redis, by what the session is called there; without what strangers wrote."""
    with redis.client() as client:
        keys = [key.decode() for key in client.scan_iter(STREAM_PATTERN)]
        return {
            split_stream_key(key)[1]: [
                decode(fields[RECORD_FIELD]) for _, fields in client.xrange(key) if fields[RECORD_FIELD] != b"noise"
            ]
            for key in keys
        }  # fmt: skip


def steps(records: list[Record]) -> list[int]:
    return [record.step for record in records if isinstance(record, StepRecord)]


def left_behind(redis: RedisProcess, run: str = "night", last: int = 50) -> Monitor:
    """A trainer that ended while Redis was away."""
    redis.kill()
    one = Monitor(project="math", run=run, redis_url=redis.url)
    log(one, 0, last)
    assert not one.close(timeout=0.1)
    assert one.health().spooled == last + 2
    redis.start()
    return one


def next_trainer(redis: RedisProcess) -> Monitor:
    return Monitor(project="math", run="morning", redis_url=redis.url)


def test_the_next_trainer_delivers_what_the_last_one_could_not(redis: RedisProcess) -> None:
    """Whatever run it was, as its own session, with its own end."""
    gone = left_behind(redis)
    with next_trainer(redis) as one:
        wait_for("its records", lambda: len(streams(redis).get(gone.session, [])) == 52)
        wait_for("the next one's own", lambda: one.session in streams(redis))
        assert steps(streams(redis)[one.session]) == []
    records = streams(redis)[gone.session]
    assert isinstance(records[0], RunStart)
    assert records[0].run == "night"
    assert steps(records) == list(range(50))
    assert records[-1] == RunEnd(records[-1].time, Outcome.FINISHED)


def test_files_stay_until_the_server_has_archived(redis: RedisProcess, spool_dir: Path) -> None:
    gone = left_behind(redis)
    folder = spool_dir / "sessions" / gone.session
    with next_trainer(redis):
        wait_for("its records", lambda: len(streams(redis).get(gone.session, [])) == 52)
        assert folder.is_dir()
        with redis.client() as client:
            client.set(ack_key(gone.run_id, gone.session), 52)
        wait_for("the folder to go", lambda: not folder.exists())


KILLED = """
import os, rolloutwatch, signal, sys
one = rolloutwatch.Monitor(project="math", run="night")
for step in range(200):
    one.log(step, {"loss": step / 7})
    if step == 100:
        print(one.flush(20), flush=True)
        print(one.session, flush=True)
        sys.stdin.readline()
while one.health().queued and not one.health().spooled == 201:
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("meanwhile", ["nothing", "archived", "wiped", "stranger", "killed"])
def test_a_killed_trainer_loses_nothing_that_was_written_down(meanwhile: str, redis: RedisProcess) -> None:
    """What Redis has of it is gone on with if it can be; the run ends as crashed."""
    trainer = subprocess.Popen(
        [sys.executable, "-c", KILLED], env=surroundings(redis.url), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert trainer.stdout is not None
    assert trainer.stdin is not None
    assert trainer.stdout.readline() == "True\n"
    session = trainer.stdout.readline().strip()
    redis.suspend()
    trainer.stdin.write("go on\n")
    trainer.stdin.flush()
    assert trainer.wait(60) == -signal.SIGKILL
    redis.resume()
    trainer.stdin.close()
    trainer.stdout.close()
    archived = 0
    with redis.client() as client:
        key = f"rolloutwatch:stream:{{math~night}}:{session}"
        wait_for("Redis to go on", lambda: client.ping())
        if meanwhile == "archived":
            client.xtrim(key, minid="51-0", approximate=False)
            client.set(ack_key("math~night", session), archived := 50)
        elif meanwhile == "wiped":
            client.flushall()
        elif meanwhile == "stranger":
            client.xadd(key, {"r": b"noise"})
    if meanwhile == "killed":
        redis.kill()
        redis.start()
    with next_trainer(redis):
        wait_for(
            "the end",
            lambda: any(isinstance(r[-1], RunEnd) for name, r in streams(redis).items() if session in name),
        )
    found = {name: records for name, records in streams(redis).items() if session in name}
    (last,) = [records for records in found.values() if isinstance(records[-1], RunEnd)]
    assert steps(last) == list(range(max(archived - 1, 0), 200))
    assert isinstance(last[-1], RunEnd)
    assert last[-1].outcome is Outcome.CRASHED
    assert (f"{session}.part1" in found) == (meanwhile == "stranger")


def test_the_records_of_another_redis_are_not_touched(redis: RedisProcess, tmp_path: Path) -> None:
    gone = left_behind(redis)
    with RedisProcess(tmp_path / "other") as other, next_trainer(other) as one:
        log(one, 0, 5)
        assert one.flush(20)
        wait_for("a look", lambda: one.health().archived >= 0)
        assert list(streams(other)) == [one.session]
    with next_trainer(redis):
        wait_for("its records", lambda: gone.session in streams(redis))


def test_what_one_trainer_does_not_get_to_the_next_one_goes_on_with(
    redis: RedisProcess, spool_dir: Path
) -> None:
    gone = left_behind(redis, last=3000)

    def adopter() -> Adopter:
        return Adopter(
            spool_dir,
            transport_of(redis.url),
            lambda head: RedisSink(redis.url, head.run, head.session),
        )

    first, second = adopter(), adopter()
    for _ in range(5):  # finds it, asks Redis, sends three batches
        assert first.step()
    assert not second.step(), "it is the first one's"
    first.close()
    assert len(streams(redis)[gone.session]) == 3 * FRAMES_PER_BATCH
    third = adopter()
    wait_for("the rest", lambda: not third.step())
    third.close()
    assert steps(streams(redis)[gone.session]) == list(range(3000))
    assert [name for name in streams(redis) if ".part" in name] == []


def test_what_is_left_can_be_delivered_without_another_trainer(
    redis: RedisProcess, spool_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says of each session what became of it, and the exit code whether all is archived."""
    first = left_behind(redis)
    options = ["--redis-url", redis.url, "--spool-dir", str(spool_dir)]
    assert deliver(options) == 1
    told = capsys.readouterr().out
    assert f"math~night, session {first.session}, 52 records: in Redis, and not archived yet" in told
    second = left_behind(redis, "noon", last=10)
    with redis.client() as client:
        client.set(ack_key(first.run_id, first.session), 52)
        client.set(ack_key(second.run_id, second.session), 12)
    assert deliver(options) == 0
    assert capsys.readouterr().out.count("delivered and archived") == 2
    assert deliver(options) == 0
    assert capsys.readouterr().out == f"Nothing waits in {spool_dir}.\n"


def test_what_cannot_be_delivered_is_said_and_kept(
    redis: RedisProcess, spool_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_behind(redis)
    redis.kill()
    assert deliver(["--redis-url", redis.url]) == 1
    assert "does not take records" in capsys.readouterr().out
    assert deliver(["--redis-url", "redis://127.0.0.1:1/0"]) == 1
    assert "meant for another Redis" in capsys.readouterr().out
    assert deliver(["--redis-url", "nonsense"]) == 2
    assert deliver(["--spool-dir", "off"]) == 0
    assert [len(list(folder.iterdir())) for folder in (spool_dir / "sessions").iterdir()] == [2]


def test_a_session_that_lives_is_not_delivered_by_others(
    redis: RedisProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    with next_trainer(redis) as one:
        assert one.flush(20)
        assert deliver(["--redis-url", redis.url]) == 0
        assert "in use by a trainer that lives" in capsys.readouterr().out


def test_what_is_beyond_the_limit_is_delivered_if_it_can_be(
    redis: RedisProcess, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that crashed in a night are more than one limit together; in the morning Redis is there."""
    gone = [left_behind(redis, f"night{number}", last=300) for number in range(3)]
    size = bytes_in(spool_dir)
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", str(size // 4))
    with next_trainer(redis) as one:
        for each in gone:
            wait_for("its records", lambda each=each: len(streams(redis).get(each.session, [])) == 302)
        assert one.health().dropped == {}


def test_while_nothing_can_be_delivered_all_spools_together_keep_to_the_limit(
    redis: RedisProcess, spool_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go, and the trainer that lets them go says how many they were."""
    gone = [left_behind(redis, f"night{number}", last=300) for number in range(3)]
    size = bytes_in(spool_dir)
    redis.kill()
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", str(size * 5 // 6))
    one = next_trainer(redis)
    wait_for("room", lambda: one.health().dropped or None)
    assert one.health().dropped == {"spool_full": 302}
    left = {folder.name for folder in sessions_in(spool_dir)}
    assert left == {gone[1].session, gone[2].session, one.session}
    one.close(timeout=0)
