"""The client against a real Redis that dies, hangs, forgets and comes back."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from rolloutwatch import Monitor
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import SinkError, StreamLost
from rolloutwatch_contract import Record, RunEnd, RunStart, ack_key, decode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, part_of
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


def stream(redis: RedisProcess, one: Monitor, part: int = 0) -> tuple[list[str], list[Record]]:
    """The ids and the records that stand in a session's stream, or in one that followed it."""
    with redis.client() as client:
        entries = client.xrange(stream_key(one.run_id, part_of(one.session, part)))
    return [entry.decode() for entry, _ in entries], [decode(fields[RECORD_FIELD]) for _, fields in entries]


def assert_nothing_is_missing_or_doubled(
    redis: RedisProcess, one: Monitor, last: int = STEPS, part: int = 0
) -> None:
    ids, records = stream(redis, one, part)
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
    """Until then it waits on disk, and the monitor says what is wrong."""
    redis.kill()
    one = watched(redis)
    log(one, 0, STEPS)
    wait_for("the first attempt", lambda: one.health().state == "retrying")
    wait_for("all on disk", lambda: one.health().spooled == STEPS + 1)
    assert f"Redis at {redis.url} does not take records" in one.health().last_error
    redis.start()
    assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_a_redis_that_is_killed_and_comes_back_misses_nothing(redis: RedisProcess) -> None:
    """What stands in its append-only file is not sent again, and the stream is gone on with.

    While the disk is busy Redis answers before it has written; then another stream has all of it.
    """
    one = watched(redis)
    for first in range(0, STEPS, 100):
        log(one, first, first + 50)
        one.flush(30)
        redis.kill()
        log(one, first + 50, first + 100)
        redis.start()
        assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one, part=one.health().streams_lost)


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
    assert_nothing_is_missing_or_doubled(redis, one, part=1)
    assert one.health().streams_lost == 1


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
        wait_for("the refusal", lambda: "it is full" in one.health().last_error)
        client.config_set("maxmemory", "0")
    assert one.flush(30)
    assert one.close()
    assert_nothing_is_missing_or_doubled(redis, one)


def test_closing_comes_back_though_redis_is_dead(redis: RedisProcess) -> None:
    """Without a spool what could not be delivered is counted, with one it waits there."""
    redis.kill()
    one = Monitor(project="math", run="grpo", redis_url=redis.url, spool_dir="off")
    log(one, 0, 10)
    assert not one.close(timeout=0.5)
    assert (one.health().dropped, one.health().spooled) == ({"undelivered": 12}, 0)
    other = watched(redis)
    log(other, 0, 10)
    assert not other.close(timeout=0.5)
    assert (other.health().dropped, other.health().spooled) == ({}, 12)


def test_closing_without_time_writes_down_what_there_is(redis: RedisProcess) -> None:
    for _ in range(10):
        one = watched(redis)
        log(one, 0, 20)
        one.close(timeout=0)
        health = one.health()
        assert (health.dropped, health.spooled + health.archived) == ({}, 22)


def test_two_sessions_of_a_run_have_streams_of_their_own(redis: RedisProcess) -> None:
    with watched(redis) as one, watched(redis) as other:
        log(one, 0, 10)
        log(other, 0, 10)
    assert_nothing_is_missing_or_doubled(redis, one, 10)
    assert_nothing_is_missing_or_doubled(redis, other, 10)


def test_a_healthy_run_beside_a_server_that_trims_logs_nothing(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever archives touches the stream all the time, which is no reason for an alarm."""
    one = watched(redis)
    key, ack = stream_key(one.run_id, one.session), ack_key(one.run_id, one.session)
    enough = threading.Event()

    def archive() -> None:
        with redis.client() as client:
            while not enough.is_set():
                if entries := client.xrange(key, count=200):
                    number = int(entries[-1][0].split(b"-")[0])
                    with client.pipeline(transaction=True) as pipe:
                        pipe.xtrim(key, minid=number + 1, approximate=False)
                        pipe.set(ack, number)
                        pipe.execute()

    server = threading.Thread(target=archive)
    server.start()
    try:
        for step in range(1500):
            one.log(step, {"loss": 1.0})
            assert one.flush(30)
        assert one.close()
    finally:
        enough.set()
        server.join()
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
    health = one.health()
    assert (health.last_error, health.streams_lost, health.dropped) == ("", 0, {})


@pytest.fixture
def sink(redis: RedisProcess) -> Iterator[RedisSink]:
    one = RedisSink(redis.url, "math~a", "s1")
    yield one
    one.close()


FRAMES = [(number, b"frame %d" % number) for number in range(1, 9)]
STREAM, ACK = stream_key("math~a", "s1"), ack_key("math~a", "s1")
NEXT_STREAM = stream_key("math~a", part_of("s1", 1))


def numbers(redis: RedisProcess, key: str) -> list[int]:
    """The numbers under which this session's own records stand in a stream."""
    with redis.client() as client:
        found = [
            (int(entry.split(b"-")[0]), fields.get(RECORD_FIELD)) for entry, fields in client.xrange(key)
        ]
    return [number for number, frame in found if (number, frame) in FRAMES]


def archive(redis: RedisProcess, number: int) -> None:
    """Let go of records as the server does."""
    with redis.client() as client:
        client.xtrim(STREAM, minid=f"{number}-1", approximate=False)
        client.set(ACK, number)


def test_a_sink_says_how_far_the_server_has_come(redis: RedisProcess, sink: RedisSink) -> None:
    assert sink.send(FRAMES[:2]) == 0
    archive(redis, 1)
    assert sink.send(FRAMES[2:3]) == 1
    archive(redis, 3)
    assert sink.send(FRAMES[3:4]) == 3, "a stream that is empty now is still the one that it was"
    assert numbers(redis, STREAM) == [4]


def test_frames_that_were_taken_without_an_answer_are_not_sent_again(
    redis: RedisProcess, sink: RedisSink
) -> None:
    """A Redis that hangs does what it was told when it goes on; by then nobody listens."""
    sink.send(FRAMES[:2])
    redis.suspend()
    with pytest.raises(SinkError, match="does not take records"):
        sink.send(FRAMES[2:4])
    redis.resume()
    sink.send(FRAMES[2:5])
    assert numbers(redis, STREAM) == [1, 2, 3, 4, 5]


def test_frames_whose_answer_was_lost_may_be_archived_by_now(redis: RedisProcess, sink: RedisSink) -> None:
    """The stream of a run that has ended is gone; its acknowledgement says that all is well."""
    sink.send(FRAMES[:2])
    redis.suspend()
    with pytest.raises(SinkError):
        sink.send(FRAMES[2:4])
    redis.resume()
    with redis.client() as client:
        wait_for("Redis to go on", lambda: client.xlen(STREAM) == 4)
        client.delete(STREAM)
        client.set(ACK, 4)
    assert sink.send(FRAMES[2:4]) == 4
    assert numbers(redis, NEXT_STREAM) == []


SPOILT: dict[str, Callable[[Redis], object]] = {
    "an id that Redis made": lambda client: client.xadd(STREAM, {RECORD_FIELD: b"noise"}),
    "the next id": lambda client: client.xadd(STREAM, {RECORD_FIELD: b"noise"}, id="5-0"),
    "an id among the next ones": lambda client: client.xadd(STREAM, {RECORD_FIELD: b"noise"}, id="6-0"),
    "an id between two of ours": lambda client: client.xadd(STREAM, {"r": b"noise"}, id="4-7"),
    "the largest id": lambda client: client.xadd(STREAM, {"r": b"x"}, id=f"{2**64 - 1}-{2**64 - 1}"),
    "a frame of ours": lambda client: client.xadd(STREAM, {RECORD_FIELD: FRAMES[4][1]}, id="5-0"),
    "nothing left": lambda client: client.flushall(),
    "an id of the past": lambda client: (client.flushall(), client.xadd(STREAM, {"r": b"x"}, id="2-0")),
    "our last id": lambda client: (client.flushall(), client.xadd(STREAM, {"r": b"x"}, id="4-0")),
    "our last id with more": lambda client: (
        client.flushall(), client.xadd(STREAM, {"r": FRAMES[3][1], "x": b"y"}, id="4-0")
    ),
    "our last id, taken out": lambda client: client.xtrim(STREAM, maxlen=0),
    "something else": lambda client: (client.delete(STREAM), client.set(STREAM, "text")),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("acknowledged", [b"3", b"3000", b"noise"])
def test_a_stream_that_others_wrote_to_is_not_gone_on_with(
    what: str, acknowledged: bytes, redis: RedisProcess, sink: RedisSink
) -> None:
    """A new one is begun, whatever it is that does not fit; what is said to be archived is believed if it can be."""
    sink.send(FRAMES[:4])
    with redis.client() as client:
        SPOILT[what](client)
        client.set(ACK, acknowledged)
    with pytest.raises(StreamLost, match=f"stream {STREAM} .* is not as it was left") as lost:
        sink.send(FRAMES[4:6])
    assert lost.value.archived == (3 if acknowledged == b"3" else 0)
    sink.send(FRAMES[2:6])
    sink.send(FRAMES[6:])
    assert numbers(redis, NEXT_STREAM) == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("what", SPOILT)
def test_an_answer_that_was_lost_does_not_hide_a_stranger(
    what: str, redis: RedisProcess, sink: RedisSink
) -> None:
    """Of the frames in doubt some may have been taken and some refused: those that were taken speak for no others."""
    sink.send(FRAMES[:4])
    with redis.client() as client:
        SPOILT[what](client)
    redis.suspend()
    with pytest.raises(SinkError, match="does not take records"):
        sink.send(FRAMES[4:6])
    redis.resume()
    whole = STREAM
    try:
        sink.send(FRAMES[4:])
    except StreamLost:
        whole = NEXT_STREAM
        sink.send(FRAMES)
    assert numbers(redis, whole) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_the_server_cannot_read_is_tried_twice_and_not_for_ever(
    redis: RedisProcess, sink: RedisSink
) -> None:
    """A server of another version takes records out of every stream and acknowledges none."""
    sink.send(FRAMES[:2])
    with redis.client() as client:
        client.xtrim(STREAM, maxlen=0)
        with pytest.raises(StreamLost, match="taken out of it and not archived"):
            sink.send(FRAMES[2:3])
        sink.send(FRAMES[:3])
        for number in range(3, 8):
            client.xtrim(NEXT_STREAM, maxlen=0)
            sink.send(FRAMES[number : number + 1])


def test_a_password_is_never_shown(redis: RedisProcess) -> None:
    sink = RedisSink(redis.url.replace("redis://", "redis://user:geheim@"), "math~a", "s1")
    with pytest.raises(SinkError, match=r"redis://user:\*\*\*@127") as caught:
        sink.send(FRAMES)
    assert "geheim" not in str(caught.value)
    sink.close()
