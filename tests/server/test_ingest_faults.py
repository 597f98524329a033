"""From a real Redis into the archive while Redis, disk or server fail: nothing is lost, nothing comes twice."""

import contextlib
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from redis import Redis

from rolloutwatch_contract import Array, Record, RunEnd, StepRecord, encode, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD
from rolloutwatch_contract.record import MAX_COLUMNS, MAX_SEQUENCES, declared_bytes
from rolloutwatch_server.ingest import Ingest, Trouble
from rolloutwatch_server.reading import DECODED_AT_ONCE, portions
from rolloutwatch_server.store import Entry, Store
from rolloutwatch_server.transport import connect
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import ACK, ingesting, push, wait_until_let_go
from tests.server.records import OTHER_SESSION, STREAM, batch, start, step, values

pytestmark = pytest.mark.redis


def test_nothing_is_let_go_of_before_it_is_archived(redis: RedisProcess, store: Store, path: Path) -> None:
    """While the disk is full Redis keeps what came; when there is room again it is archived, without a restart."""
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON recent BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(refuse)
        with ingesting(store, redis.url) as running:
            push(redis, STREAM, start(), step(0, kl=1.0))
            reason = running.wait_for_trouble(Trouble.ARCHIVE)
            assert reason == f"archive {path} cannot be written: disk full"
            with redis.client() as client:
                assert client.xlen(STREAM) == 2
                assert client.get(ACK) is None
            assert running.announced == []
            db.execute("DROP TRIGGER refuse")
            running.wait_for(records=2)
            running.wait_for_trouble(None)
            wait_until_let_go(redis, 2)


def test_what_is_small_in_redis_and_large_in_memory_is_taken_a_little_at_a_time(
    redis: RedisProcess, store: Store
) -> None:
    """Records of zeros are ten thousand times smaller compressed; a read of them is divided, in order, and all arrive."""
    large = StepRecord(0, 0.0, {"kl": 1.0}, sequences=Array.of(np.zeros((MAX_SEQUENCES, MAX_COLUMNS))))
    frames = [encode(msgspec.structs.replace(large, step=n)) for n in range(40)]
    raw = [(b"%d-0" % n, {RECORD_FIELD: frame}) for n, frame in enumerate([b"noise", *frames])]
    divided = list(portions({STREAM: raw[:20], OTHER_SESSION: raw[20:]}))
    assert [entry for portion in divided for entry in portion.get(STREAM, [])] == raw[:20]
    assert [entry for portion in divided for entry in portion.get(OTHER_SESSION, [])] == raw[20:]
    sizes = [
        [declared_bytes(fields[RECORD_FIELD]) for batch in portion.values() for _, fields in batch]
        for portion in divided
    ]
    assert max(sum(one) for one in sizes) <= DECODED_AT_ONCE
    assert len(divided) == 3
    push(redis, STREAM, *frames)
    with ingesting(store, redis.url) as running:
        running.wait_for(records=40)
        wait_until_let_go(redis, 40)
    assert values(store, "kl") == dict.fromkeys(range(40), 1.0)


def test_a_new_server_goes_on_where_the_last_one_was(redis: RedisProcess, path: Path) -> None:
    """What came in between is archived once; what was announced before is not announced again."""
    for first in (1, 4, 7):
        push(redis, STREAM, *(step(n, kl=float(n)) for n in range(first, first + 3)), first=first)
        with contextlib.closing(Store(path)) as store, ingesting(store, redis.url) as running:
            running.wait_for(records=3)
        # only once it has ended: what is counted is announced a moment later
        assert [entry.position.major for _, entry in running.announced] == [first, first + 1, first + 2]
    with contextlib.closing(Store(path)) as store:
        assert values(store, "kl") == {n: float(n) for n in range(1, 10)}


@pytest.mark.parametrize("end", [[], [RunEnd(time=3.0)]])
def test_what_a_killed_server_had_archived_is_let_go_of(
    end: list[Record], redis: RedisProcess, store: Store
) -> None:
    """Killed between its commit and its acknowledgement: the client would wait for ever, Redis would keep it for ever."""
    records = [start(), step(0, kl=1.0), step(1, kl=2.0), *end]
    push(redis, STREAM, *records)
    store.archive(STREAM, batch(*records))
    with ingesting(store, redis.url) as running:
        wait_until_let_go(redis, len(records))
        assert running.announced == []
    with redis.client() as client:
        assert client.exists(STREAM) == (0 if end else 1)
    assert values(store, "kl") == {0: 1.0, 1: 2.0}


@pytest.mark.parametrize("fault", ["kill", "suspend"])
def test_a_redis_that_goes_and_comes_back(
    fault: str, redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The trouble is told once, however long it lasts, and ends by itself; every record is there once."""
    with ingesting(store, redis.url) as running:
        push(redis, STREAM, step(1, kl=1.0))
        running.wait_for(records=1)
        getattr(redis, fault)()
        running.wait_for_trouble(Trouble.REDIS)
        wait_for("several attempts", lambda: len(running.attempts) > 3)
        {"kill": redis.start, "suspend": redis.resume}[fault]()
        push(redis, STREAM, step(2, kl=2.0), first=2)
        running.wait_for(records=2)
        running.wait_for_trouble(None)
    warnings = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("Redis cannot be read: ")
    assert values(store, "kl") == {1: 1.0, 2: 2.0}


@pytest.mark.parametrize("how", ["wiped", "flushed"])
def test_a_redis_that_lost_everything_is_filled_again_by_the_client(
    how: str, redis: RedisProcess, store: Store
) -> None:
    """The client sends anew what it never saw acknowledged: what the archive has is ignored, the rest is taken."""
    with ingesting(store, redis.url) as running:
        push(redis, STREAM, *(step(n, kl=float(n)) for n in (1, 2, 3)))
        running.wait_for(records=3)
        if how == "wiped":
            redis.kill()
            redis.wipe()
            redis.start()
        else:
            with redis.client() as client:
                client.flushall()
            wait_for("the ingest to notice", lambda: running.ingest.health.streams == 0)
        push(redis, STREAM, step(2, kl=-1.0), step(3, kl=-1.0), first=2)
        wait_until_let_go(redis, 3)
        push(redis, STREAM, step(4, kl=4.0), first=4)
        running.wait_for(records=4)
        wait_until_let_go(redis, 4)
    assert values(store, "kl") == {n: float(n) for n in (1, 2, 3, 4)}


def test_a_redis_that_is_not_there_yet(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The server says once where it looked and what to do, and begins as soon as Redis is there."""
    redis = RedisProcess(tmp_path / "late")
    with ingesting(store, redis.url) as running:
        wait_for("several attempts", lambda: len(running.attempts) > 3)
        assert running.ingest.health.trouble is Trouble.REDIS
        with redis:
            push(redis, STREAM, step(1, kl=1.0))
            running.wait_for(records=1)
            warnings = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"127.0.0.1:{redis.port}" in warnings[0]
    assert "Start it, or name another one with --redis-url" in warnings[0]


def test_a_full_redis_is_emptied_all_the_same(redis: RedisProcess, store: Store) -> None:
    """It refuses the acknowledgement but not the trimming, without which it would stay full."""
    push(redis, STREAM, step(1, kl=1.0))
    with redis.client() as client:
        client.config_set("maxmemory", 1)
        with ingesting(store, redis.url) as running:
            running.wait_for(records=1)
            wait_for("the stream to be empty", lambda: client.xlen(STREAM) == 0)
            assert client.get(ACK) is None
            client.config_set("maxmemory", 0)
            push(redis, STREAM, step(2, kl=2.0), first=2)
            wait_until_let_go(redis, 2)


def test_an_error_nobody_foresaw_is_told_and_does_not_end_the_ingest(
    redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Readiness says no as long as it lasts; then everything is there once."""
    broken, mended = threading.Event(), threading.Event()

    def announce(run: str, entries: Sequence[Entry]) -> None:
        if entries and not mended.is_set():
            broken.set()
            raise LookupError("a bug of ours")

    def try_to_connect() -> Redis:
        if broken.is_set() and not mended.is_set():
            raise LookupError("a bug of ours")
        return connect(redis.url)

    ingest = Ingest(store, try_to_connect, announce)
    ingest.start()
    try:
        push(redis, STREAM, start(), step(0, kl=1.0))
        wait_for("the trouble", lambda: ingest.health.trouble is Trouble.UNFORESEEN)
        assert ingest.health.reason == "LookupError: a bug of ours"
        assert "please report it" in caplog.text
        mended.set()
        wait_for("the recovery", lambda: ingest.health.trouble is None)
        push(redis, STREAM, step(1, kl=2.0), first=3)
        wait_until_let_go(redis, 3)
    finally:
        ingest.stop()
    assert values(store, "kl") == {0: 1.0, 1: 2.0}


class Choking(Store):
    """An archive that has a bug of ours with one stream."""

    def archive_many(self, batches: Mapping[str, Sequence[Entry]], **options: Any) -> dict[str, list[Entry]]:
        if STREAM in batches:
            raise OverflowError("a number too large")
        return super().archive_many(batches, **options)


def test_a_stream_that_makes_an_error_nobody_foresaw_keeps_no_other_waiting(
    redis: RedisProcess, path: Path
) -> None:
    """What comes in the others is archived and let go of; that stream stays in Redis, and readiness says no."""
    others = [OTHER_SESSION, stream_key("code~b", "s1")]
    for stream in (STREAM, *others):
        push(redis, stream, start(), step(0, kl=1.0))
    with contextlib.closing(Choking(path)) as store, ingesting(store, redis.url) as running:
        for last in range(2, 5):
            running.wait_for(records=2 * last)
            assert running.wait_for_trouble(Trouble.UNFORESEEN) == "OverflowError: a number too large"
            for stream in others:
                push(redis, stream, step(last - 1, kl=1.0), first=last + 1)
        running.wait_for(records=10)
        with redis.client() as client:
            assert client.xlen(STREAM) == 2
        assert values(store, "kl", "code~b") == dict.fromkeys(range(4), 1.0)
