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
from rolloutwatch.spool import Head, Spool, abandoned, make_room
from rolloutwatch_contract import Outcome, RecordError, RunEnd, decode, encode

log = logging.getLogger("rolloutwatch")

SECONDS_BETWEEN_LOOKS = 60.0
SECONDS_TO_BE_ARCHIVED = 5.0


class Adopter:
    """Delivers abandoned sessions of one Redis, one after the other, a batch at a time. Used by one thread.

    Nothing is deleted before the server has archived it: what it does not get to is left for the next look.
    """

    def __init__(
        self, root: Path, transport: str, make_sink: Callable[[Head], RedisSink], limit_bytes: int
    ) -> None:
        self.delivered = 0
        self._root = root
        self._transport = transport
        self._make_sink = make_sink
        self._limit_bytes = limit_bytes
        self._next_look = 0.0
        self._folders: Iterator[Path] = iter(())
        self._current: _Adopted | None = None

    def step(self) -> bool:
        """Look for a session, or deliver a batch of one; tell whether there was something to do."""
        try:
            return self._step()
        except (SinkError, OSError) as error:
            log.debug("A former session was not delivered, which is tried again: %s", error)
            self.close()
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            return False

    def close(self) -> None:
        """Leave what is not delivered to others."""
        self._folders = iter(())
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

    def _next(self) -> "_Adopted | None":
        for folder in self._folders:
            spool = Spool.adopt(folder, self._limit_bytes)
            if spool is None:
                continue
            if spool.head.transport != self._transport:
                spool.close()
                continue
            return _Adopted(spool, self._make_sink(spool.head))
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + SECONDS_BETWEEN_LOOKS
            make_room(self._root, self._limit_bytes)
            self._folders = iter(list(abandoned(self._root)))
            return self._next()
        return None


class _Adopted:
    """One session, from what it left to what the server has archived."""

    def __init__(self, spool: Spool, sink: RedisSink) -> None:
        self._sink = sink
        self._name = f"session {spool.head.session} of run {spool.head.run}"
        last = _record(spool)
        self._outbox = Outbox.recovered(Ledger(getattr(last, "dropped", {})), spool)
        self._left = spool.last - spool.first + 1
        if not isinstance(last, RunEnd):
            self._outbox.add(encode(RunEnd(getattr(last, "time", time.time()), Outcome.CRASHED)))
        self._delivery = Delivery(self._outbox, lambda: sink, Ledger())
        self._resumed = False
        self._sent_at = 0.0

    def step(self) -> bool:
        if not self._resumed:
            self._resume()
            return True
        if self._delivery.step():
            self._sent_at = time.monotonic()
            return True
        return False

    def is_done(self) -> bool:
        """Whether all is archived, or was sent so long ago that no server seems to be there."""
        return not self._outbox.unarchived or time.monotonic() - self._sent_at > SECONDS_TO_BE_ARCHIVED

    def close(self) -> int:
        """Let go; return how many records were delivered to their end."""
        self._delivery.close()
        self._sink.close()
        if self._outbox.release():
            return 0
        log.info("%d records that %s had left are archived now.", self._left, self._name)
        return self._left

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
        self._sent_at = time.monotonic()


def _record(spool: Spool) -> object:
    """Return the last record of a session; its start if that cannot be read, None if neither can."""
    frames = spool.read(spool.last)
    for frame in ([frames[-1][1]] if frames else []) + [spool.head.start]:
        with contextlib.suppress(RecordError):
            return decode(frame)
    return None
