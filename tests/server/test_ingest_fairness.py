"""A stream with a backlog, or many of them, keeps nobody waiting who has none."""

from collections.abc import Sequence

import numpy as np
import pytest

from rolloutwatch_contract import Array, StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_contract.record import MAX_COLUMNS, MAX_SEQUENCES, declared_bytes
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.reading import DECODED_AT_ONCE, ENTRIES_PER_READ, Turns, portions
from rolloutwatch_server.store import Entry, Position, Store
from rolloutwatch_server.transport import connect
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import push
from tests.server.records import step, values

pytestmark = pytest.mark.redis

LIVE = [run_id("live", name) for name in "abc"]


def stream_of(run: str) -> str:
    return stream_key(run, "s1")


@pytest.mark.parametrize(("streams", "each"), [(1, 20_000), (32, 600)])
def test_a_live_record_waits_for_no_backlog(
    streams: int, each: int, redis: RedisProcess, store: Store
) -> None:
    """Whenever it comes, it is announced before more of the backlog than two reads of one stream bring."""
    late = [run_id("late", f"r{n}") for n in range(streams)]
    for run in late:
        push(redis, stream_of(run), *(step(n, kl=float(n)) for n in range(each)))
    for run in LIVE:
        push(redis, stream_of(run), step(0, kl=0.0))
    order: list[str] = []
    pushed: dict[int, int] = {}
    seen: dict[int, int] = {}

    def announce(run: str, entries: Sequence[Entry]) -> None:
        """Push another live record after every few portions of the backlog."""
        order.extend([run] * len(entries))
        backlog = sum(1 for one in order if one not in LIVE)
        if run == LIVE[0]:
            seen.update((entry.position.major, backlog) for entry in entries)
        elif run in late and LIVE[0] in order and set(pushed) <= set(seen) and backlog < streams * each // 2:
            number = len(pushed) + 2
            pushed[number] = backlog
            for one in LIVE:
                push(redis, stream_of(one), step(number, kl=1.0), first=number)

    ingest = Ingest(store, lambda: connect(redis.url), announce)
    ingest.start()
    try:
        wait_for("the backlog", lambda: ingest.health.records >= streams * each)
        wait_for("the live records", lambda: set(pushed) <= set(seen))
    finally:
        ingest.stop()
    waited = [seen[number] - pushed[number] for number in pushed]
    assert len(waited) > 10
    assert max(waited) <= 2 * ENTRIES_PER_READ
    assert values(store, "kl", late[-1]) == {n: float(n) for n in range(each)}


def test_new_streams_come_before_those_that_are_behind_already(redis: RedisProcess) -> None:
    """A run that begins while others catch up is read at once."""
    late = [stream_of(run_id("late", f"r{n}")) for n in range(5)]
    for stream in late:
        push(redis, stream, *(step(n) for n in range(ENTRIES_PER_READ + 1)))
    push(redis, stream_of(LIVE[0]), step(0))
    turns = Turns()
    turns.know(late)
    with connect(redis.url) as client:
        first = turns.read(client, {}, 0.1)
        assert [len(raw) for raw in first.values()] == [ENTRIES_PER_READ]
        turns.know([*late, stream_of(LIVE[0])])
        assert list(turns.read(client, {}, 0.1)) == [stream_of(LIVE[0])]
        assert set(turns.behind) == set(late)


def test_large_records_of_a_backlog_are_read_a_few_at_a_time(redis: RedisProcess) -> None:
    """After the first read of a stream it is known how large its records are."""
    large = StepRecord(0, 0.0, {}, sequences=Array.of(np.zeros((MAX_SEQUENCES, MAX_COLUMNS))))
    stream, frame = stream_of(LIVE[0]), encode(large)
    with redis.client() as client, client.pipeline(transaction=False) as pipe:
        for number in range(1, 2 * ENTRIES_PER_READ + 1):
            pipe.xadd(stream, {RECORD_FIELD: frame}, id=entry_id(number))
        pipe.execute()
    turns = Turns()
    turns.know([stream])
    with connect(redis.url) as client:
        assert len(turns.read(client, {}, 0.1)[stream]) == ENTRIES_PER_READ
        count = DECODED_AT_ONCE // declared_bytes(frame)
        came = turns.read(client, {stream: Position(ENTRIES_PER_READ)}, 0.1)
        assert len(came[stream]) == count
        assert len(list(portions(came))) == 1
        # the last one is caught up with, after which it is waited for
        turns.read(client, {stream: Position(2 * ENTRIES_PER_READ)}, 0.1)
        assert list(turns.behind) == []
