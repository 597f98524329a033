"""From the trainer's call to the archive while somebody else writes into the stream: every step is there, once."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from rolloutwatch import Monitor
from rolloutwatch_contract import RunEnd, StepRecord, ack_key, encode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.store import Store
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import ingesting
from tests.server.records import values

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

RUN = "math~strangers"
STEPS = 60


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "archive.db")
    yield one
    one.close()


def watched(redis: RedisProcess) -> Monitor:
    return Monitor(project="math", run="strangers", redis_url=redis.url)


def log(one: Monitor, first: int, last: int) -> None:
    for step in range(first, last):
        one.log(step, {"reward": step / 7})


def write(client: Redis, key: str, ahead: int, frame: bytes = b"noise") -> None:
    """Write under an id that is so many ahead of the last one."""
    last = int(client.xinfo_stream(key)["last-generated-id"].split(b"-")[0])
    client.xadd(key, {RECORD_FIELD: frame}, id=f"{last + ahead}-0")


def write_anew(client: Redis, key: str, *, behind: int) -> None:
    """Write under an id of the past, or exactly the last one, into a Redis that was emptied."""
    last = int(client.xinfo_stream(key)["last-generated-id"].split(b"-")[0])
    client.flushall()
    client.xadd(key, {RECORD_FIELD: b"noise"}, id=f"{last - behind}-0")


STRANGERS: dict[str, Callable[[Redis, str], object]] = {
    "garbage under an id that Redis made": lambda client, key: client.xadd(key, {RECORD_FIELD: b"garbage"}),
    "garbage under the next id": lambda client, key: write(client, key, 1),
    "garbage under one of the next ids": lambda client, key: write(client, key, 2),
    "garbage under the largest id": lambda client, key: client.xadd(key, {"r": b""}, id=f"{2**64 - 1}-{2**64 - 1}"),
    "a sound step under the next id": lambda client, key: write(client, key, 1, encode(StepRecord(7, 0.0, {"other": 1.0}))),
    "a sound end under the next id": lambda client, key: write(client, key, 1, encode(RunEnd(0.0))),
    "nothing, but all is gone": lambda client, key: client.flushall(),
    "garbage in the past, and all is gone": lambda client, key: write_anew(client, key, behind=5),
    "garbage in place of the last one, and all is gone": lambda client, key: write_anew(client, key, behind=0),
    "something that is no stream": lambda client, key: (client.delete(key), client.set(key, "text")),
    "an acknowledgement": lambda client, key: client.set(key.replace(":stream:", ":ack:"), 10**12),
}  # fmt: skip


def assert_every_step_is_there_once(store: Store) -> None:
    wait_for("the end of the run", lambda: [run.state for run in store.runs()] == [RunState.FINISHED])
    wait_for("the last step", lambda: len(values(store, "reward", RUN)) == STEPS)
    assert values(store, "reward", RUN) == {step: step / 7 for step in range(STEPS)}
    detail = store.run(RUN)
    assert detail is not None
    assert detail.dropped == {}


@pytest.mark.parametrize("what", STRANGERS)
def test_what_a_stranger_writes_into_the_stream_of_a_run_costs_no_step(
    what: str, redis: RedisProcess, store: Store
) -> None:
    """While the server archives, and trims what it has archived."""
    with ingesting(store, redis.url) as running, watched(redis) as one:
        key = stream_key(one.run_id, one.session)
        log(one, 0, 20)
        assert one.flush(30)
        wait_for("the first steps", lambda: len(values(store, "reward", RUN)) == 20)
        with redis.client() as client:
            wait_for("the stream to be trimmed", lambda: client.xlen(key) == 0)
            STRANGERS[what](client, key)
        for step in range(20, STEPS):
            log(one, step, step + 1)
            assert one.flush(30)
        assert one.close(30)
        assert one.health().dropped == {}
        assert_every_step_is_there_once(store)
        assert running.ingest.health.trouble is None


@pytest.mark.parametrize("what", STRANGERS)
def test_what_a_stranger_writes_while_no_server_is_there_costs_no_step(
    what: str, redis: RedisProcess, store: Store
) -> None:
    """The server comes when all is over, and finds both."""
    with watched(redis) as one:
        log(one, 0, 20)
        assert one.flush(30)
        with redis.client() as client:
            STRANGERS[what](client, stream_key(one.run_id, one.session))
        log(one, 20, STEPS)
        assert one.flush(30)
        assert one.close(30)
    with ingesting(store, redis.url):
        assert_every_step_is_there_once(store)


@pytest.mark.parametrize("what", ["garbage under an id that Redis made", "garbage under the next id"])
def test_a_stranger_who_does_not_stop_costs_no_step_either(
    what: str, redis: RedisProcess, store: Store
) -> None:
    """It follows the session into each of its streams, at every step."""
    with ingesting(store, redis.url), watched(redis) as one, redis.client() as client:
        for step in range(STEPS):
            log(one, step, step + 1)
            assert one.flush(30)
            if step % 3 == 0:
                for key in client.scan_iter(f"*stream*{one.session}*", _type="stream"):
                    STRANGERS[what](client, key.decode())
        assert one.close(30)
        assert one.health().streams_lost >= STEPS / 3 - 1
        assert_every_step_is_there_once(store)


def test_a_healthy_run_beside_a_server_at_full_speed_logs_nothing(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The server trims the stream all the time that the client writes to it."""
    with ingesting(store, redis.url), watched(redis) as one:
        for step in range(1500):
            log(one, step, step + 1)
            assert one.flush(30)
        key = ack_key(one.run_id, one.session)
        assert one.close(30)
        with redis.client() as client:
            wait_for("the acknowledgement", lambda: client.get(key) == b"1502")
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
    assert (one.health().last_error, one.health().streams_lost, one.health().dropped) == ("", 0, {})
    assert len(values(store, "reward", RUN)) == 1500


def test_a_redis_that_is_killed_and_emptied_again_and_again_costs_no_step(
    redis: RedisProcess, store: Store
) -> None:
    with ingesting(store, redis.url), watched(redis) as one:
        stop = threading.Event()

        def train() -> None:
            for step in range(STEPS):
                log(one, step, step + 1)
                stop.wait(0.05)

        trainer = threading.Thread(target=train)
        trainer.start()
        for emptied in (False, True, False, True):
            redis.kill()
            if emptied:
                redis.wipe()
            redis.start()
            stop.wait(0.3)
        trainer.join()
        assert one.flush(30)
        assert one.close(30)
        assert one.health().dropped == {}
        assert_every_step_is_there_once(store)
