"""The client against a real Redis that dies, hangs, forgets and comes back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch import Monitor
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import Reached, SinkError
from rolloutwatch_contract import Record, RunEnd, RunStart, ack_key, decode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD
from tests.client.batches import batch, steps
from tests.processes import wait_for
from tests.redis_process import RedisProcess

pytestmark = pytest.mark.redis

STEPS = 300


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def watched(redis: RedisProcess) -> Monitor:
    return Monitor(project="math", run="grpo", redis_url=redis.url)


def log(one: Monitor, first: int, last: int) -> None:
    for step in range(first, last):
        one.log(step, {"loss": step / 7})


def stream(redis: RedisProcess, one: Monitor) -> tuple[list[str], list[Record]]:
    """The ids and the records that stand in a session's stream."""
    with redis.client() as client:
        entries = client.xrange(stream_key(one.run_id, one.session))
    return [entry.decode() for entry, _ in entries], [decode(fields[RECORD_FIELD]) for _, fields in entries]


def assert_nothing_is_missing_or_doubled(redis: RedisProcess, one: Monitor, last: int = STEPS) -> None:
    ids, records = stream(redis, one)
    assert ids == [f"{number}-0" for number in range(1, len(ids) + 1)]
    assert isinstance(records[0], RunStart)
    assert isinstance(records[-1], RunEnd)
    assert [(record.step, record.metrics) for record in steps(records)] == [
        (step, {"loss": step / 7}) for step in range(last)
    ]
    assert one.health().dropped == {}


def test_records_stand_in_one_stream_under_numbers_without_holes(redis: RedisProcess) -> None:
    with watched(redis) as one:
        log(one, 0, STEPS)
        assert one.flush(30)
    assert_nothing_is_missing_or_doubled(redis, one)
    assert one.health().pushed == STEPS + 2


def test_a_redis_that_comes_later_gets_everything(redis: RedisProcess) -> None:
    redis.kill()
    one = watched(redis)
    log(one, 0, STEPS)
    wait_for("the first attempt", lambda: one.health().state == "retrying")
    assert f"Redis at {redis.url} does not take records" in one.health().last_error
    redis.start()
    assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_a_redis_that_is_killed_and_comes_back_misses_nothing(redis: RedisProcess) -> None:
    """What its append-only file lost with the last second is sent again."""
    one = watched(redis)
    for first in range(0, STEPS, 100):
        log(one, first, first + 50)
        one.flush(30)
        redis.kill()
        log(one, first + 50, first + 100)
        redis.start()
        assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_a_redis_that_forgot_everything_gets_it_again(redis: RedisProcess) -> None:
    one = watched(redis)
    log(one, 0, 100)
    assert one.flush(30)
    redis.kill()
    redis.wipe()
    redis.start()
    log(one, 100, STEPS)
    assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_a_trainer_goes_on_while_redis_hangs(redis: RedisProcess) -> None:
    """Every call returns while Redis answers nothing; when it goes on, all of it arrives."""
    one = watched(redis)
    log(one, 0, 100)
    assert one.flush(30)
    redis.suspend()
    log(one, 100, STEPS)
    one.observe(step=STEPS, **batch())
    assert one.correct(step=STEPS, **batch()) is not None
    wait_for("the timeout", lambda: one.health().state == "retrying")
    redis.resume()
    assert one.flush(30)
    assert one.close()
    _, records = stream(redis, one)
    assert [record.step for record in steps(records)] == [*range(STEPS), STEPS, STEPS]


def test_what_the_server_has_archived_is_let_go_of(redis: RedisProcess) -> None:
    one = watched(redis)
    log(one, 0, 10)
    assert one.flush(30)
    with redis.client() as client:
        client.set(ack_key(one.run_id, one.session), 6)
    log(one, 10, 11)
    wait_for("the acknowledgement", lambda: one.health().archived == 6)
    assert one.close()


def test_a_full_redis_loses_nothing_and_leaves_no_hole(redis: RedisProcess) -> None:
    """Redis refuses writes at its memory limit; when there is room again the numbers go on where they were."""
    one = watched(redis)
    log(one, 0, 50)
    assert one.flush(30)
    with redis.client() as client:
        client.config_set("maxmemory", "1")
        log(one, 50, STEPS)
        wait_for("the refusal", lambda: "OutOfMemory" in one.health().last_error)
        client.config_set("maxmemory", "0")
    assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_closing_comes_back_though_redis_is_dead(redis: RedisProcess) -> None:
    redis.kill()
    one = watched(redis)
    log(one, 0, 10)
    assert not one.close(timeout=0.5)
    assert one.health().queued == 12


def test_two_sessions_of_a_run_have_streams_of_their_own(redis: RedisProcess) -> None:
    with watched(redis) as one, watched(redis) as other:
        log(one, 0, 10)
        log(other, 0, 10)
    assert_nothing_is_missing_or_doubled(redis, one, 10)
    assert_nothing_is_missing_or_doubled(redis, other, 10)


def test_a_sink_says_how_far_it_has_come(redis: RedisProcess) -> None:
    sink = RedisSink(redis.url, "math~a", "s1")
    assert sink.reached() == Reached(0, 0)
    assert sink.send([(1, b"a"), (2, b"b")]) == 0
    assert sink.reached() == Reached(2, 0)
    with redis.client() as client:
        client.set(ack_key("math~a", "s1"), 1)
        client.xtrim(stream_key("math~a", "s1"), maxlen=0)
    assert sink.reached() == Reached(2, 1), "a trimmed stream remembers its last number"
    sink.close()


def test_a_password_is_never_shown(redis: RedisProcess) -> None:
    sink = RedisSink(redis.url.replace("redis://", "redis://user:geheim@"), "math~a", "s1")
    with pytest.raises(SinkError, match=r"redis://user:\*\*\*@127") as caught:
        sink.reached()
    assert "geheim" not in str(caught.value)
    sink.close()
