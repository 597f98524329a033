"""From Redis into the archive: read, archive together with the cursor, trim, acknowledge, announce.

The order is the promise: what is trimmed or acknowledged is in the archive,
and what was archived but not trimmed comes again and is ignored.
"""

import contextlib
import enum
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from rolloutwatch_contract import RunEnd, ack_key
from rolloutwatch_contract.keys import STREAM_PATTERN, is_probe, split_stream_key
from rolloutwatch_server import probes
from rolloutwatch_server.letters import Letters
from rolloutwatch_server.moments import Moment, Reached, go_on
from rolloutwatch_server.prometheus.tally import Tally
from rolloutwatch_server.reading import Batches, Turns, portions, read_entry, size_in_redis
from rolloutwatch_server.store import DeadLetter, Entry, Position, Store, StoreError
from rolloutwatch_server.transport import BLOCK_SECONDS, CURE_OF_GIVEN

log = logging.getLogger(__name__)

SECONDS_BETWEEN_SCANS = 1.0
BACKOFF_SECONDS = (0.05, 5.0)
_CHANCE = random.SystemRandom()  # the module's own generator belongs to whoever uses this as a library
NOT_CONNECTED = "not connected yet"
ACK_SECONDS = 24 * 3600  # how long a finished session may still ask whether all of it arrived

Announce = Callable[[str, Sequence[Entry]], None]


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
        self._letters = Letters()
        self._turns = Turns()
        self.tally = Tally()
        self._has_begun = False
        self._is_hurried = False
        self._next_scan = 0.0
        self.health = Health(Trouble.REDIS, NOT_CONNECTED)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the batch at hand and end; wait for that no longer than `timeout`, nor once there is a hurry."""
        self._stopping.set()
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and not self._is_hurried and time.monotonic() < deadline:
            self._thread.join(0.02)

    def hurry(self) -> None:
        """Let nobody wait for the batch at hand: if it is not archived it comes again. A signal handler may call it."""
        self._is_hurried = True

    def lag(self) -> float:
        """Return for how many seconds, at most, anything has waited in Redis; 0 as long as no stream is known."""
        return self._turns.lag()

    def behind(self) -> int:
        """Return how many streams have, or may have, more waiting than one read brings."""
        return len(self._turns.behind)

    # -- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = BACKOFF_SECONDS[0]
        while not self._stopping.is_set():
            try:
                self._begin()
                with self._connect() as client:
                    # from the beginning: what was archived but not let go of comes again, and is let go of
                    self._cursors = {}
                    self._turns.begin_again()
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
            self._stopping.wait(wait * _CHANCE.uniform(0.5, 1.0))
            wait = min(wait * 2, BACKOFF_SECONDS[1])
        self._letters.tell(among=(), at_once=True)

    def _begin(self) -> None:
        if not self._has_begun:
            self.tally.begin(self._store)
            self._has_begun = True

    def _pass(self, client: "redis.Redis") -> None:
        if time.monotonic() >= self._next_scan:
            self._discover(client)
            self._next_scan = time.monotonic() + SECONDS_BETWEEN_SCANS
        if not self._streams:
            self._letters.tell(among=())
            self._stopping.wait(BLOCK_SECONDS)
            return
        came = self._turns.read(client, self._cursors, BLOCK_SECONDS)
        for portion in portions(came):
            self._take_in(client, portion)
        self._turns.archived()
        self._letters.tell(among=came)

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
                log.warning("Ignored: %s", error, extra={"stream": key})
        self._streams = found - self._strangers
        # a stream that went and comes again, after a wipe perhaps, is read from its beginning too
        self._cursors = {stream: at for stream, at in self._cursors.items() if stream in self._streams}
        self._turns.know(self._streams)
        self.tally.scanned(self._waiting(client))
        self.health = _with(self.health, streams=len(self._streams))

    def _waiting(self, client: "redis.Redis") -> int | None:
        """Return how many entries wait in the streams that are behind; None where this may not be asked."""
        try:
            with client.pipeline(transaction=False) as pipe:
                for stream in self._turns.behind:
                    pipe.xlen(stream)
                lengths: list[int] = pipe.execute()
                return sum(lengths)
        except redis.ResponseError as error:
            log.debug("How much waits in Redis is not known: %s", error)
            return None

    def _take_in(self, client: "redis.Redis", came: Batches) -> None:
        """Take all of it together; what makes an error of our own keeps nobody else waiting."""
        try:
            self._take(client, came)
        except (StoreError, redis.RedisError, OSError):
            raise
        except Exception:
            for stream, raw in came.items() if len(came) > 1 else ():
                with contextlib.suppress(Exception):  # the first one is raised anyway
                    self._take(client, {stream: raw})
            raise

    def _take(self, client: "redis.Redis", came: Batches) -> None:
        """Archive what came in one transaction, of which a disk makes as much as of a small one; let go of it; tell."""
        batches = {
            stream: [read_entry(stream, entry, fields) for entry, fields in raw]
            for stream, raw in came.items()
        }
        self._reached(Moment.READ)
        begin = time.monotonic()
        fresh = self._store.archive_many(batches, before_commit=lambda: self._reached(Moment.WRITTEN))
        self._reached(Moment.COMMITTED)
        self.tally.archived(fresh, size_in_redis(came), time.monotonic() - begin)
        for stream, entries in batches.items():
            self._cursors[stream] = entries[-1].position
            self._count(stream, fresh[stream])
        self._let_go(client, batches)
        self._reached(Moment.LET_GO)
        for stream, entries in fresh.items():
            self._announce(split_stream_key(stream)[0], entries)
        self._reached(Moment.ANNOUNCED)

    def _let_go(self, client: "redis.Redis", batches: Mapping[str, Sequence[Entry]]) -> None:
        """Trim what is archived and say so, at once: to the client, what is trimmed and not acknowledged is lost."""
        try:
            self._let_go_together(client, batches)
        except redis.ResponseError as error:
            if len(batches) > 1:
                for stream, entries in batches.items():
                    self._let_go(client, {stream: entries})
                return
            for stream, entries in batches.items():
                self._tell_untidy(stream, error)
                # a Redis that is full refuses to be told anything, but not to be emptied
                with contextlib.suppress(redis.ResponseError):
                    _trim(client, stream, entries)

    def _let_go_together(self, client: "redis.Redis", batches: Mapping[str, Sequence[Entry]]) -> None:
        with client.pipeline(transaction=True) as pipe:
            for stream, entries in batches.items():
                _trim(pipe, stream, entries)
                if number := self._store.archived_to(stream):
                    ended = isinstance(entries[-1].content, RunEnd)
                    pipe.set(ack_key(*split_stream_key(stream)), number, ex=ACK_SECONDS if ended else None)
            pipe.execute()
        self._untidy -= batches.keys()

    def _tell_untidy(self, stream: str, error: Exception) -> None:
        if stream not in self._untidy:
            self._untidy.add(stream)
            log.warning(
                "Stream %s was archived but not tidied up, which is tried again: %s",
                stream, error, extra={"stream": stream},
            )  # fmt: skip

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
            log.warning("%s; trying again until it works.", reason, extra={"trouble": trouble.value})
        self.health = _with(self.health, trouble=trouble, reason=reason)

    def _recovered(self) -> None:
        if self.health.trouble is not None:
            counts = {"records": self.health.records, "streams": self.health.streams}
            log.info("Reading from Redis, archiving to %s.", self._store.path, extra=counts)
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


def _with(health: Health, **changes: Any) -> Health:
    return Health(**{**vars(health), **changes})
