"""An ingest at work on a real Redis, and a client that pushes to it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import redis

from rolloutwatch_contract import Record, ack_key, encode
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.ingest import Ingest, Trouble
from rolloutwatch_server.store import Entry, Store
from rolloutwatch_server.transport import connect
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.records import RUN, STREAM

ACK = ack_key(RUN, "s1")


@dataclass
class Running:
    """An ingest at work, how often it has connected or tried to, and what it announced."""

    ingest: Ingest
    attempts: list[str] = field(default_factory=list)
    announced: list[tuple[str, Entry]] = field(default_factory=list)

    def wait_for(self, records: int, dead_letters: int = 0) -> None:
        def arrived() -> bool:
            health = self.ingest.health
            return (health.records, health.dead_letters) == (records, dead_letters)

        wait_for(f"{records} records and {dead_letters} dead letters", arrived)

    def wait_for_trouble(self, trouble: Trouble | None) -> str:
        wait_for(f"the trouble to be {trouble}", lambda: self.ingest.health.trouble is trouble)
        return self.ingest.health.reason


@contextlib.contextmanager
def ingesting(store: Store, url: str) -> Iterator[Running]:

    def try_to_connect() -> redis.Redis:
        running.attempts.append(url)
        return connect(url)

    def announce(run: str, entries: Sequence[Entry]) -> None:
        running.announced.extend((run, entry) for entry in entries)

    running = Running(Ingest(store, try_to_connect, announce))
    running.ingest.start()
    try:
        yield running
    finally:
        running.ingest.stop()


def push(server: RedisProcess, stream: str, *records: Record | bytes, first: int = 1) -> None:
    """Add records as the client does; bytes are added as they are."""
    with server.client() as client, client.pipeline(transaction=True) as pipe:
        for number, record in enumerate(records, first):
            frame = record if isinstance(record, bytes) else encode(record)
            pipe.xadd(stream, {RECORD_FIELD: frame}, id=entry_id(number))
        pipe.execute()


def wait_until_let_go(server: RedisProcess, last: int, stream: str = STREAM, ack: str = ACK) -> None:
    """Wait until the stream is empty and acknowledged up to `last`."""

    def let_go() -> bool:
        with server.client() as client:
            return client.xlen(stream) == 0 and client.get(ack) == str(last).encode()

    wait_for(f"{stream} to be let go of", let_go)
