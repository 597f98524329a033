"""What is read of which stream next, and what stands in an entry.

Streams that keep up are read together, every time; of those that are behind one is read at a time, in turn.
So a backlog, or many of them, keeps nobody waiting who has none.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import redis

from rolloutwatch_contract import RecordError, decode
from rolloutwatch_contract.keys import RECORD_FIELD, sequence_of
from rolloutwatch_contract.record import declared_bytes
from rolloutwatch_server.store import DeadLetter, Entry, Position

ENTRIES_PER_READ = 200  # of each stream; one that has more waiting is behind
DECODED_AT_ONCE = (
    32 * 1024 * 1024
)  # bytes of records in memory: what compresses well is small in Redis and large here
HEAD_BYTES = 256
REASON_LETTERS = 500

RawEntry = tuple[bytes, dict[bytes, bytes]]
Batches = dict[str, list[RawEntry]]


class Turns:
    """Which streams keep up, and in which order those that are behind are read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keeping_up: set[str] = set()
        self._behind: deque[str] = deque()
        self._sizes: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._read_at = self._kept_up_at = clock()

    @property
    def behind(self) -> Collection[str]:
        """Return the streams that have, or may have, more waiting than one read brings."""
        return self._behind

    def know(self, streams: Collection[str]) -> None:
        """Take these streams for all there are; new ones come before those that are behind already."""
        self._keeping_up &= set(streams)
        self._behind = deque(stream for stream in self._behind if stream in streams)
        new = set(streams) - self._keeping_up - set(self._behind)
        self._behind.extendleft(new)
        self._since = {stream: at for stream, at in self._since.items() if stream in streams}
        self._since |= dict.fromkeys(new, self._clock())
        self._sizes = {stream: size for stream, size in self._sizes.items() if stream in streams}

    def begin_again(self) -> None:
        """Take every stream for one that is behind, after what was read last has not been archived."""
        for stream in self._keeping_up:
            self._since.setdefault(stream, self._kept_up_at)
        self._behind.extend(self._keeping_up)
        self._keeping_up.clear()

    def archived(self) -> None:
        """Note that all that was read last is archived."""
        for stream in self._keeping_up & self._since.keys():
            del self._since[stream]
        self._kept_up_at = self._read_at

    def lag(self) -> float:
        """Return for how many seconds, at most, anything has waited; may be asked from any thread."""
        since = list(self._since.values())
        if self._keeping_up:
            since.append(self._kept_up_at)
        return self._clock() - min(since) if since else 0.0

    def read(self, client: "redis.Redis", cursors: Mapping[str, Position], block_seconds: float) -> Batches:
        """Return what has come in streams that keep up, and a portion of the next one that is behind.

        Waits for something to come only if none is behind.
        """
        wait = None if self._behind else block_seconds
        self._read_at = self._clock()
        came = self._read(client, self._keeping_up, cursors, ENTRIES_PER_READ, wait)
        for stream in [stream for stream, raw in came.items() if len(raw) >= ENTRIES_PER_READ]:
            self._keeping_up.remove(stream)
            self._behind.append(stream)
            self._since.setdefault(stream, self._kept_up_at)
            self._sizes[stream] = _mean_size(came[stream])
        if wait is None:
            came |= self._read_next(client, cursors)
        return came

    def _read_next(self, client: "redis.Redis", cursors: Mapping[str, Position]) -> Batches:
        stream = self._behind.popleft()
        count = max(1, min(ENTRIES_PER_READ, DECODED_AT_ONCE // self._sizes.get(stream, 1)))
        try:
            came = self._read(client, [stream], cursors, count, None)
        except BaseException:
            self._behind.append(stream)
            raise
        raw = came.get(stream, [])
        if len(raw) < count:
            self._keeping_up.add(stream)
            self._sizes.pop(stream, None)
        else:
            self._behind.append(stream)
            self._sizes[stream] = _mean_size(raw)
        return came

    def _read(
        self,
        client: "redis.Redis",
        streams: Iterable[str],
        cursors: Mapping[str, Position],
        count: int,
        wait: float | None,
    ) -> Batches:
        after = {stream: str(cursors.get(stream, Position())) for stream in streams}
        return read(client, after, count, wait) if after else {}


def read(client: "redis.Redis", after: dict[str, str], count: int, wait: float | None) -> Batches:
    """Return at most so many entries of each stream behind the id `after`; wait so many seconds for one to come."""
    block = None if wait is None else int(wait * 1000)
    answer: Any = client.xread(cast("Any", after), count=count, block=block)
    if isinstance(answer, dict):  # so the third version of the protocol has it, which a URL may ask for
        answer = [(stream, entries) for stream, (entries,) in answer.items()]
    return {stream.decode(): entries for stream, entries in answer or [] if entries}


def portions(came: Mapping[str, Sequence[RawEntry]]) -> Iterator[Batches]:
    """Divide what came, in order, so that a portion takes no more than DECODED_AT_ONCE decoded, or has one entry."""
    portion: Batches = {}
    size = 0
    for stream, raw in came.items():
        for entry, fields in raw:
            bytes_of_one = declared_bytes((fields or {}).get(RECORD_FIELD, b""))
            if portion and size + bytes_of_one > DECODED_AT_ONCE:
                yield portion
                portion, size = {}, 0
            portion.setdefault(stream, []).append((entry, fields))
            size += bytes_of_one
    if portion:
        yield portion


def read_entry(stream: str, entry: bytes, fields: dict[bytes, bytes] | None) -> Entry:
    """Return what stands in an entry: a record, or a dead letter that says why it is none."""
    frame = (fields or {}).get(RECORD_FIELD)
    try:
        sequence_of(entry)
        if frame is None:
            names = ", ".join(ascii(name) for name in fields or {}) or "none"
            raise RecordError(f"entry has the fields {names[:200]}: expected {RECORD_FIELD!r}.")
        return Entry(Position.of(entry), decode(frame))
    except ValueError as error:
        head = frame if frame is not None else next(iter((fields or {}).values()), b"")
        letter = DeadLetter(
            stream,
            entry.decode(errors="replace"),
            str(error)[:REASON_LETTERS],
            head[:HEAD_BYTES],
            time.time(),
        )
        return Entry(Position.of(entry), letter)


def size_in_redis(came: Batches) -> int:
    """Return how many bytes the records of entries have as they were sent."""
    return sum(len((fields or {}).get(RECORD_FIELD, b"")) for batch in came.values() for _, fields in batch)


def _mean_size(raw: Sequence[RawEntry]) -> int:
    """Return how much memory an entry takes decoded, on average."""
    sizes = [declared_bytes((fields or {}).get(RECORD_FIELD, b"")) for _, fields in raw]
    return max(1, sum(sizes) // len(sizes))
