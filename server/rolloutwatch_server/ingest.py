"""From Redis into the archive: read, archive together with the cursor, trim, acknowledge, announce.

The order is the promise: what is trimmed or acknowledged is in the archive,
and what was archived but not trimmed comes again and is ignored.
"""

import contextlib
import enum
import logging
import math
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from rolloutwatch_contract import RecordError, RunEnd, ack_key, decode
from rolloutwatch_contract.keys import (
    RECORD_FIELD,
    STREAM_PATTERN,
    is_probe,
    sequence_of,
    split_stream_key,
)
from rolloutwatch_contract.record import declared_bytes
from rolloutwatch_server import probes
from rolloutwatch_server.moments import Moment, Reached, go_on
from rolloutwatch_server.store import DeadLetter, Entry, Position, Store, StoreError
from rolloutwatch_server.transport import BLOCK_SECONDS, CURE_OF_GIVEN

log = logging.getLogger(__name__)

ENTRIES_PER_READ = 200  # of each stream, so that a run that catches up does not keep the others waiting
SECONDS_BETWEEN_SCANS = 1.0
SECONDS_BETWEEN_WARNINGS = 60.0  # of dead letters in one stream
DECODED_AT_ONCE = (
    32 * 1024 * 1024
)  # bytes of records in memory: what compresses well is small in Redis and large here
BACKOFF_SECONDS = (0.05, 5.0)
HEAD_BYTES = 256
REASON_LETTERS = 500
NOT_CONNECTED = "not connected yet"
ACK_SECONDS = 24 * 3600  # how long a finished session may still ask whether all of it arrived

Announce = Callable[[str, Sequence[Entry]], None]
RawEntry = tuple[bytes, dict[bytes, bytes]]


class Trouble(enum.Enum):
    """What keeps the ingest from working."""

    REDIS = "redis"
    ARCHIVE = "archive"
    UNFORESEEN = "unforeseen"


@dataclass(frozen=True)
class Health:
    """How the ingest is: what troubles it, if anything, and what it has done so far."""

    trouble: Trouble | None = None
    reason: str = ""
    records: int = 0
    dead_letters: int = 0
    streams: int = 0


class Ingest:
    """One thread that reads every stream from its cursor on. `announce(run, entries)` is called after the commit.

    `cure` is what to do about a Redis that cannot be read; `reached` is called at each moment of each batch.
    """

    def __init__(
        self,
        store: Store,
        connect: Callable[[], "redis.Redis"],
        announce: Announce,
        *,
        cure: str = CURE_OF_GIVEN,
        reached: Reached = go_on,
    ) -> None:
        self._store = store
        self._connect = connect
        self._announce = announce
        self._cure = cure
        self._reached = reached
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-ingest", daemon=True)
        self._cursors: dict[str, Position] = {}
        self._streams: set[str] = set()
        self._strangers: set[str] = set()
        self._untidy: set[str] = set()
        self._letters = _Letters()
        self._next_scan = 0.0
        self.health = Health(Trouble.REDIS, NOT_CONNECTED)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the batch at hand and end."""
        self._stopping.set()
        self._thread.join(timeout)

    # -- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = BACKOFF_SECONDS[0]
        while not self._stopping.is_set():
            try:
                with self._connect() as client:
                    # from the beginning: what was archived but not let go of comes again, and is let go of
                    self._cursors = {}
                    self._next_scan = 0.0
                    while not self._stopping.is_set():
                        self._pass(client)
                        self._recovered()
                        wait = BACKOFF_SECONDS[0]
            except (redis.RedisError, OSError) as error:
                why = f"Redis cannot be read: {str(error).rstrip('.')}. {self._cure}"
                self._troubled(Trouble.REDIS, why)
            except StoreError as error:
                self._troubled(Trouble.ARCHIVE, str(error))
            except Exception as error:
                # nothing was archived or let go of: trying again loses nothing, a dead thread would lose the live view
                log.exception("The ingest met an error of its own; please report it.")
                self._troubled(Trouble.UNFORESEEN, f"{type(error).__name__}: {error}")
            self._stopping.wait(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, BACKOFF_SECONDS[1])
        self._letters.tell(among=(), at_once=True)

    def _pass(self, client: "redis.Redis") -> None:
        if time.monotonic() >= self._next_scan:
            self._discover(client)
            self._next_scan = time.monotonic() + SECONDS_BETWEEN_SCANS
        if not self._streams:
            self._letters.tell(among=())
            self._stopping.wait(BLOCK_SECONDS)
            return
        came = read(client, {s: str(self._cursors.get(s, Position())) for s in self._streams})
        for stream, raw in came:
            for portion in portions(raw):
                self._take(client, stream, portion)
        self._letters.tell(among={stream for stream, _ in came})

    def _discover(self, client: "redis.Redis") -> None:
        found = {
            key.decode(errors="replace")
            for key in client.scan_iter(match=STREAM_PATTERN, count=1000, _type="stream")
        }
        asking = {key for key in found if is_probe(key)}
        probes.answer(client, asking)
        found -= asking
        for key in found - self._streams - self._strangers:
            try:
                split_stream_key(key)
            except ValueError as error:
                self._strangers.add(key)
                log.warning("Ignored: %s", error)
        self._streams = found - self._strangers
        # a stream that went and comes again, after a wipe perhaps, is read from its beginning too
        self._cursors = {stream: at for stream, at in self._cursors.items() if stream in self._streams}
        self.health = _with(self.health, streams=len(self._streams))

    def _take(self, client: "redis.Redis", stream: str, raw: Sequence[RawEntry]) -> None:
        entries = [read_entry(stream, entry, fields) for entry, fields in raw]
        self._reached(Moment.READ)
        fresh = self._store.archive(stream, entries, before_commit=lambda: self._reached(Moment.WRITTEN))
        self._reached(Moment.COMMITTED)
        self._cursors[stream] = entries[-1].position
        self._count(stream, fresh)
        self._let_go(client, stream, entries)
        self._reached(Moment.LET_GO)
        run, _ = split_stream_key(stream)
        self._announce(run, fresh)
        self._reached(Moment.ANNOUNCED)

    def _let_go(self, client: "redis.Redis", stream: str, entries: Sequence[Entry]) -> None:
        """Trim what is archived and say so, at once: to the client, what is trimmed and not acknowledged is lost."""
        number = self._store.archived_to(stream)
        ended = isinstance(entries[-1].content, RunEnd)
        try:
            with client.pipeline(transaction=True) as pipe:
                _trim(pipe, stream, entries)
                if number:
                    pipe.set(ack_key(*split_stream_key(stream)), number, ex=ACK_SECONDS if ended else None)
                pipe.execute()
            self._untidy.discard(stream)
        except redis.ResponseError as error:
            self._tell_untidy(stream, error)
            # a Redis that is full refuses to be told anything, but not to be emptied
            with contextlib.suppress(redis.ResponseError):
                _trim(client, stream, entries)

    def _tell_untidy(self, stream: str, error: Exception) -> None:
        if stream not in self._untidy:
            self._untidy.add(stream)
            log.warning("Stream %s was archived but not tidied up, which is tried again: %s", stream, error)

    # -- what others are told -----------------------------------------------------------------------------------

    def _count(self, stream: str, fresh: Iterable[Entry]) -> None:
        letters = [entry.content for entry in fresh if isinstance(entry.content, DeadLetter)]
        self._letters.add(stream, letters)
        records = sum(1 for _ in fresh) - len(letters)
        health = self.health
        self.health = _with(
            health, records=health.records + records, dead_letters=health.dead_letters + len(letters)
        )

    def _troubled(self, trouble: Trouble, reason: str) -> None:
        if self.health.trouble is not trouble or self.health.reason == NOT_CONNECTED:
            log.warning("%s; trying again until it works.", reason)
        self.health = _with(self.health, trouble=trouble, reason=reason)

    def _recovered(self) -> None:
        if self.health.trouble is not None:
            log.info("Reading from Redis, archiving to %s.", self._store.path)
            self.health = _with(self.health, trouble=None, reason="")


def _trim(client: "redis.Redis", stream: str, entries: Sequence[Entry]) -> None:
    """Take entries, the first ones of a stream, out of it; the whole stream when its session has ended."""
    behind = entries[-1].position.following
    if isinstance(entries[-1].content, RunEnd):
        client.delete(stream)
    elif behind is None:
        client.xtrim(stream, maxlen=0, approximate=False)
    else:
        client.xtrim(stream, minid=str(behind), approximate=False)


class _Letters:
    """Dead letters that the log has not told of yet: a burst of them is one line."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, DeadLetter]] = {}
        self._told: dict[str, float] = {}

    def add(self, stream: str, letters: Sequence[DeadLetter]) -> None:
        if letters:
            count, first = self._waiting.get(stream, (0, letters[0]))
            self._waiting[stream] = (count + len(letters), first)

    def tell(self, among: Collection[str], *, at_once: bool = False) -> None:
        """Tell of streams whose burst is over, which is of all but those `among` which entries come; seldom of one."""
        now = time.monotonic()
        for stream, (count, first) in list(self._waiting.items()):
            seldom = now - self._told.get(stream, -math.inf) >= SECONDS_BETWEEN_WARNINGS
            if at_once or (seldom and stream not in among):
                del self._waiting[stream]
                self._told[stream] = now
                log.warning(
                    "Dead letters in %s: %d, see /api/v1/dead-letters. The first, %s: %s",
                    stream, count, first.entry, first.reason,
                )  # fmt: skip


def read(client: "redis.Redis", cursors: dict[str, str]) -> list[tuple[str, list[RawEntry]]]:
    """Wait a moment for entries behind the cursors; return what came, by stream."""
    answer: Any = client.xread(cast("Any", cursors), count=ENTRIES_PER_READ, block=int(BLOCK_SECONDS * 1000))
    if isinstance(answer, dict):  # so the third version of the protocol has it, which a URL may ask for
        answer = [(stream, entries) for stream, (entries,) in answer.items()]
    return [(stream.decode(), entries) for stream, entries in answer or [] if entries]


def portions(raw: Sequence[RawEntry]) -> Iterator[list[RawEntry]]:
    """Divide entries into portions that take no more than DECODED_AT_ONCE when they are decoded, or have one entry."""
    portion: list[RawEntry] = []
    size = 0
    for entry, fields in raw:
        bytes_of_one = declared_bytes((fields or {}).get(RECORD_FIELD, b""))
        if portion and size + bytes_of_one > DECODED_AT_ONCE:
            yield portion
            portion, size = [], 0
        portion.append((entry, fields))
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


def _with(health: Health, **changes: Any) -> Health:
    return Health(**{**vars(health), **changes})
