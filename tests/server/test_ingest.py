"""From a real Redis into the archive: every record once, and what is no record beside it."""

import pytest

from rolloutwatch_contract import RunEnd, ack_key, encode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, part_of
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.reading import ENTRIES_PER_READ, HEAD_BYTES
from rolloutwatch_server.store import DEAD_LETTERS_KEPT, Store
from tests.redis_process import RedisProcess
from tests.server.ingesting import ACK, ingesting, push, wait_until_let_go
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step, values

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("protocol", [2, 3])
def test_records_are_archived_announced_and_let_go_of(
    protocol: int, redis: RedisProcess, store: Store
) -> None:
    """The stream is emptied but stays: its last id is how the client knows what has come. Redis has two dialects."""
    records = [start(), *(step(n, kl=n / 7) for n in range(5))]
    with ingesting(store, f"{redis.url}?protocol={protocol}") as running:
        push(redis, STREAM, *records)
        running.wait_for(records=6)
        wait_until_let_go(redis, 6)
        push(redis, STREAM, step(5, kl=5 / 7), first=7)
        running.wait_for(records=7)
        wait_until_let_go(redis, 7)
    assert values(store, "kl") == {n: n / 7 for n in range(6)}
    assert [(RUN, entry) for entry in batch(*records, step(5, kl=5 / 7))] == running.announced
    with redis.client() as client:
        assert client.xinfo_stream(STREAM)["last-generated-id"] == b"7-0"
        assert client.ttl(ACK) == -1


def test_a_run_that_ended_leaves_nothing_but_an_acknowledgement(redis: RedisProcess, store: Store) -> None:
    """A finished session may still ask whether all arrived, but not for ever."""
    with ingesting(store, redis.url) as running:
        push(redis, STREAM, start(), step(0, kl=1.0), RunEnd(time=2.0))
        running.wait_for(records=3)
        wait_until_let_go(redis, 3)
    with redis.client() as client:
        assert client.keys() == [ACK.encode()]
        assert client.ttl(ACK) > 3600
    assert store.runs()[0].state is RunState.FINISHED


def test_what_cannot_be_read_becomes_a_dead_letter_and_the_rest_goes_on(
    redis: RedisProcess, store: Store
) -> None:
    """Each is kept with a reason and its beginning; records before, between and behind are archived.

    Acknowledged is only what is whole: under 2 a stranger stands, so the session's own second record is missing.
    """
    frame = encode(step(9, kl=9.0))
    with redis.client() as client:
        client.xadd(STREAM, {RECORD_FIELD: encode(step(1, kl=1.0))}, id="1-0")
        client.xadd(STREAM, {RECORD_FIELD: b"noise" * 1000}, id="2-0")
        client.xadd(STREAM, {RECORD_FIELD: frame[:-3]}, id="3-0")
        client.xadd(STREAM, {RECORD_FIELD: encode(step(4, kl=4.0))}, id="4-0")
        client.xadd(STREAM, {"message": "hello"}, id="5-0")
        client.xadd(STREAM, {RECORD_FIELD: frame}, id="5-7")
        client.xadd(STREAM, {RECORD_FIELD: encode(step(6, kl=6.0))}, id="6-0")
        client.xadd(STREAM, {RECORD_FIELD: b""}, id=f"{2**64 - 1}-{2**64 - 1}")
    with ingesting(store, redis.url) as running:
        running.wait_for(records=3, dead_letters=5)
        wait_until_let_go(redis, 1)
        push(redis, OTHER_SESSION, step(7, kl=7.0))
        running.wait_for(records=4, dead_letters=5)
    assert values(store, "kl") == {1: 1.0, 4: 4.0, 6: 6.0, 7: 7.0}
    letters = store.dead_letters(100)[::-1]
    expected = [
        ("2-0", "not written by Rolloutwatch", (b"noise" * 1000)[:HEAD_BYTES]),
        ("3-0", "cannot be decompressed", frame[:-3]),
        ("5-0", "entry has the fields b'message': expected b'r'", b"hello"),
        ("5-7", "stream id '5-7': expected '<number>-0'", frame),
        (f"{2**64 - 1}-{2**64 - 1}", "expected '<number>-0'", b""),
    ]
    assert [(entry, head) for entry, _, head in expected] == [
        (letter.entry, letter.head) for letter in letters
    ]
    for letter, (_, reason, _) in zip(letters, expected, strict=True):
        assert reason in letter.reason
        assert letter.stream == STREAM


def test_a_backlog_of_several_runs_is_caught_up_with(redis: RedisProcess, store: Store) -> None:
    """More than one read brings, on several streams, two of them of one run."""
    count = 3 * ENTRIES_PER_READ + 7
    expected = {n: float(n) for n in range(count)}
    streams = {STREAM: "kl", OTHER_SESSION: "reward", stream_key("code~b", "s1"): "kl"}
    for stream, metric in streams.items():
        push(redis, stream, *(step(n, **{metric: value}) for n, value in expected.items()))
    with ingesting(store, redis.url) as running:
        running.wait_for(records=3 * count)
    assert values(store, "kl") == values(store, "reward") == values(store, "kl", "code~b") == expected


def test_keys_of_others_are_left_alone(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Only streams whose names are ours are read; a stream that is named nearly so is mentioned once."""
    with redis.client() as client:
        client.set(stream_key(RUN, "text"), "not a stream")
        client.xadd("other:stream", {RECORD_FIELD: encode(step(1))}, id="1-0")
        client.xadd("rolloutwatch:stream:\xff", {RECORD_FIELD: encode(step(1))}, id="1-0")
        before = sorted(client.keys())
        push(redis, STREAM, step(1, kl=1.0))
        with ingesting(store, redis.url) as running:
            running.wait_for(records=1)
            wait_until_let_go(redis, 1)
        assert sorted({*client.keys()} - {STREAM.encode(), ACK.encode()}) == before
        assert client.xlen("other:stream") == client.xlen("rolloutwatch:stream:\xff") == 1
    assert [run.id for run in store.runs()] == [RUN]
    assert len([m for m in caplog.messages if "not a Rolloutwatch stream" in m]) == 1


def test_a_session_that_goes_on_in_another_stream_is_one_session(redis: RedisProcess, store: Store) -> None:
    """Its streams are acknowledged one by one, from the start on; what came in both is there once."""
    other = stream_key(RUN, part_of("s1", 1))
    with ingesting(store, redis.url) as running:
        push(redis, STREAM, start(), step(0, kl=0.0), step(1, kl=1.0), b"noise", step(3, kl=3.0))
        running.wait_for(records=4, dead_letters=1)
        wait_until_let_go(redis, 3)
        push(
            redis, other, start(), step(2, kl=2.0), step(3, kl=3.0), RunEnd(9.0, dropped={"bad": 1}), first=3
        )
        running.wait_for(records=8, dead_letters=1)
        wait_until_let_go(redis, 6, other, ack_key(RUN, part_of("s1", 1)))
    assert values(store, "kl") == {n: float(n) for n in range(4)}
    assert store.runs()[0].state is RunState.FINISHED
    detail = store.run(RUN)
    assert detail is not None
    assert detail.dropped == {"bad": 1}


def test_a_stream_without_a_record_makes_no_run(redis: RedisProcess, store: Store) -> None:
    """Nor does what comes after it keep the run alive; its dead letters are kept."""
    with ingesting(store, redis.url) as running:
        push(redis, stream_key("nobody~was-here", "s1"), b"noise", b"noise")
        running.wait_for(records=0, dead_letters=2)
        push(redis, STREAM, start(), step(0, kl=1.0))
        running.wait_for(records=2, dead_letters=2)
    assert [run.id for run in store.runs()] == [RUN]
    assert len(store.dead_letters(10)) == 2


def test_a_burst_of_dead_letters_is_one_line_in_the_log(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It has their number and the first reason; the archive keeps the newest ones and counts them all."""
    count = 5 * ENTRIES_PER_READ
    push(redis, STREAM, start(), *[b"noise"] * count)
    with ingesting(store, redis.url) as running:
        running.wait_for(records=1, dead_letters=count)
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [line.split(", see")[0] for line in told] == [f"Dead letters in {STREAM}: {count}"]
    assert "The first, 2-0: frame begins with b'nois'" in told[0]
    letters = store.dead_letters(1000)
    assert [letter.entry for letter in letters] == [
        f"{n}-0" for n in range(count + 1, count + 1 - DEAD_LETTERS_KEPT, -1)
    ]
    assert store.dead_letter_count() == count
