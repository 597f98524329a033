"""What sessions left on disk whose process is no more, delivered by one that lives."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rolloutwatch.courier import Delivery
from rolloutwatch.drops import Ledger
from rolloutwatch.outbox import Outbox
from rolloutwatch.push import RedisSink
from rolloutwatch.sink import SinkError, StreamLost
from rolloutwatch.spool import Head, Spool, abandoned
from rolloutwatch_contract import Outcome, RecordError, RunEnd, decode, encode

log = logging.getLogger("rolloutwatch")

SECONDS_BETWEEN_LOOKS = 60.0
SECONDS_AFTER_A_FAILURE = 10.0
SECONDS_TO_BE_ARCHIVED = 3.0  # while nothing more is


class Adopter:
    """Delivers abandoned sessions of one Redis, one after the other, a batch at a time. Used by one thread.

    Nothing is deleted before the server has archived it: what it does not get to is left for the next look.
    """

    def __init__(self, root: Path, transport: str, make_sink: Callable[[Head], RedisSink]) -> None:
        self.delivered = 0
        self._root = root
        self._transport = transport
        self._make_sink = make_sink
        self._next_look = 0.0
        self._folders: Iterator[Path] = iter(())
        self._current: Adopted | None = None

    def step(self) -> bool:
        """Look for a session, or deliver a batch of one; tell whether there was something to do."""
        try:
            return self._step()
        except StreamLost:
            return True  # it is sent again, into another one
        except (SinkError, OSError) as error:
            log.debug("A former session was not delivered, which is tried again: %s", error)
            self.close()
            return False

    def close(self) -> None:
        """Leave what is not delivered to others, or to the next look."""
        self._folders = iter(())
        self._next_look = min(self._next_look, time.monotonic() + SECONDS_AFTER_A_FAILURE)
        if self._current is not None:
            self._current.close()
            self._current = None

    def _step(self) -> bool:
        if self._current is None:
            self._current = self._next()
            return self._current is not None
        if self._current.step():
            return True
        if self._current.is_done():
            self.delivered += self._current.close()
            self._current = None
            return True
        return False

    def _take_over(self, spool: Spool) -> "Adopted":
        try:
            return Adopted(spool, self._make_sink(spool.head))
        except BaseException:
            spool.close()
            raise

    def _next(self) -> "Adopted | None":
        for folder in self._folders:
            try:
                spool = Spool.adopt(folder)
            except OSError as error:
                log.debug("A former session cannot be read, which is tried again: %s", error)
                continue
            if spool is None:
                continue
            if spool.head.transport != self._transport:
                spool.close()
                continue
            return self._take_over(spool)
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            self._folders = iter(list(abandoned(self._root)))
            return self._next()
        return None


class Adopted:
    """One session, from what it left to what the server has archived. `records` is how many it left."""

    def __init__(self, spool: Spool, sink: RedisSink) -> None:
        self.head = spool.head
        self._sink = sink
        self._name = f"session {spool.head.session} of run {spool.head.run}"
        last = _record(spool)
        self._outbox = Outbox.recovered(Ledger(getattr(last, "dropped", {})), spool)
        self.records = spool.last - spool.first + 1
        if not isinstance(last, RunEnd):
            self._outbox.add(encode(RunEnd(getattr(last, "time", time.time()), Outcome.CRASHED)))
        self._delivery = Delivery(self._outbox, lambda: sink, Ledger())
        self._resumed = False
        self._moved_at = 0.0

    @property
    def unsent(self) -> int:
        """Return how many of its records Redis has not taken yet."""
        return self._outbox.unsent if self._resumed else self.records

    def step(self) -> bool:
        """Find out what has become of it, or send a batch; tell whether there was something to do."""
        if not self._resumed:
            self._resume()
            return True
        archived = self._outbox.archived
        busy = self._delivery.step()
        if busy or self._outbox.archived > archived:
            self._moved_at = time.monotonic()
        return busy

    def is_done(self) -> bool:
        """Whether all is archived, or nothing more has been for so long that no server seems to be there."""
        if not self._resumed or self._outbox.unsent:
            return False
        return not self._outbox.unarchived or time.monotonic() - self._moved_at > SECONDS_TO_BE_ARCHIVED

    def close(self) -> int:
        """Let go; return how many records were delivered to their end."""
        self._delivery.close()
        self._sink.close()
        if self._outbox.release():
            return 0
        log.info("%d records that %s had left are archived now.", self.records, self._name)
        return self.records

    def _resume(self) -> None:
        """Find out what Redis and the server have of it already."""
        try:
            taken = self._sink.resume(self._outbox.part, self._outbox.last_number, self._outbox.frame)
        except StreamLost as lost:
            self._outbox.acknowledge(lost.archived)
            self._outbox.rewind(lost.part)
        else:
            self._outbox.acknowledge(self._sink.send([]))
            if taken:
                self._outbox.resume_behind(taken)
        self._resumed = True
        self._moved_at = time.monotonic()


def _record(spool: Spool) -> object:
    """Return the last record of a session; its start if that cannot be read, None if neither can."""
    frames = spool.read(spool.last)
    for frame in ([frames[-1][1]] if frames else []) + [spool.head.start]:
        with contextlib.suppress(RecordError):
            return decode(frame)
    return None
