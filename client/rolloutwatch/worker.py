"""The thread that does everything the trainer must not wait for: encode, number, send, try again.

The trainer's side is `put`, which takes a lock that is never held across anything slow.
"""

import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.jobs import Job
from rolloutwatch.outbox import Outbox
from rolloutwatch.sink import Sink, SinkError, StreamLost
from rolloutwatch_contract import Heartbeat, RecordError, encode

log = logging.getLogger("rolloutwatch")

MAX_JOBS = 4096
MAX_BYTES = 64 * 1024 * 1024
FRAMES_PER_BATCH = 256
BYTES_PER_BATCH = 4 * 1024 * 1024
SECONDS_BETWEEN_HEARTBEATS = 5.0
SECONDS_BETWEEN_POLLS = 0.005
BACKOFF_SECONDS = (0.05, 5.0)


@dataclass(frozen=True)
class Health:
    """How the monitoring is: `state` is "starting", "delivering", "retrying" or "closed".

    `queued` records wait to be sent, `pushed` have been taken by Redis, `archived` by the server;
    `dropped` counts what was not delivered, by reason; `last_error` says what is wrong now, "" if nothing is;
    `streams_lost` counts how often records went on in a new stream, because Redis or somebody else spoilt the old one.
    """

    state: str
    queued: int
    pushed: int
    archived: int
    dropped: dict[str, int]
    last_error: str
    streams_lost: int = 0


class Worker:
    """A bounded queue and the one thread that empties it into a sink.

    Full means that the oldest job is dropped, and counted: the newest figures matter most.
    """

    def __init__(self, make_sink: Callable[[], Sink], ledger: Ledger, limit_bytes: int = MAX_BYTES) -> None:
        self._make_sink = make_sink
        self._ledger = ledger
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._closing = False
        self._deadline = float("inf")
        self._outbox = Outbox(limit_bytes)
        self._state = "starting"
        self._last_error = ""
        self._streams_lost = 0
        self._overflowed = 0  # what the full queue had dropped when the trouble began
        self._gave_up = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch", daemon=True)
        _workers.add(self)

    # -- the trainer's side --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def put(self, job: Job) -> bool:
        """Queue a job. Returns False if it was dropped, which only a closed worker does."""
        if self._closing or self._pid != os.getpid():
            self._ledger.drop(DropReason.CLOSED)
            return False
        full = False
        with self._lock:
            self._jobs.append(job)
            self._bytes += job.size
            while len(self._jobs) > MAX_JOBS or (self._bytes > MAX_BYTES and len(self._jobs) > 1):
                self._bytes -= self._jobs.popleft().size
                self._ledger.drop(DropReason.QUEUE_FULL)
                full = True
            self._idle.clear()
        self._wake.set()
        if full:
            self._ledger.say_once(
                DropReason.QUEUE_FULL.value,
                "Figures come faster than they can be sent, or Redis has been away for long: the oldest are dropped. "
                "Training goes on; further ones are only counted, see Monitor.health().",
            )
        return True

    def health(self) -> Health:
        """Return how it is."""
        with self._lock:
            queued = len(self._jobs)
        box = self._outbox
        waiting = 0 if self._gave_up else queued + box.unsent
        return Health(
            self._state,
            waiting,
            box.sent_to,
            box.archived,
            self._ledger.tally(),
            self._last_error,
            self._streams_lost,
        )

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued is in the sink, at most `timeout` seconds; tell whether it is."""
        return self._pid == os.getpid() and self._idle.wait(timeout)

    def close(self, last: Job, timeout: float) -> bool:
        """Queue a last job, deliver what can be delivered within `timeout` seconds, and end; tell whether all was."""
        if self._closing or self._pid != os.getpid():
            return False
        self.put(last)
        self._deadline = time.monotonic() + timeout
        self._closing = True
        self._wake.set()
        self._thread.join(timeout + 0.5)
        if not self._idle.is_set():
            self._give_up(timeout)
        return self._idle.is_set()

    def disown(self) -> None:
        """Forget everything: this is a forked child, and the records are its parent's."""
        self._lock = threading.Lock()
        self._jobs, self._bytes, self._state = deque(), 0, "closed"

    def _give_up(self, timeout: float) -> None:
        """Count what was not delivered, and say so: these are the last words."""
        with self._lock:
            left = len(self._jobs) + self._outbox.unsent
            self._ledger.drop(DropReason.UNDELIVERED, times=left)
            self._gave_up = True
        log.warning(
            "%d records were not delivered, and are gone: %.1f seconds were not enough to do it at the end%s.",
            left,
            timeout,
            f" ({self._last_error})" if self._last_error else "",
        )

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        sink: Sink | None = None
        wait = BACKOFF_SECONDS[0]
        heard = time.monotonic()
        while not self._is_done():
            try:
                self._fill_outbox()
                if not self._outbox.unsent and time.monotonic() - heard > SECONDS_BETWEEN_HEARTBEATS:
                    self._outbox.add(encode(Heartbeat(time=time.time(), dropped=self._ledger.tally())))
                if not self._outbox.unsent:
                    self._rest()
                    continue
                sink = sink or self._make_sink()
                self._send(sink)
                self._recovered()
                heard, wait = time.monotonic(), BACKOFF_SECONDS[0]
            except StreamLost as lost:
                self._begin_anew(lost)
                self._pause(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, BACKOFF_SECONDS[1])
            except SinkError as error:
                self._troubled(str(error))
                self._pause(error.retry_after_seconds or wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, BACKOFF_SECONDS[1])
            except Exception as error:
                log.exception("Rolloutwatch met an error of its own and goes on; please report it.")
                self._last_error = f"{type(error).__name__}: {error}"
                self._pause(BACKOFF_SECONDS[1])
        self._state = "closed"
        if not self._jobs and not self._outbox.unsent:
            self._idle.set()
        if sink is not None:
            sink.close()

    def _is_done(self) -> bool:
        if not self._closing:
            return False
        delivered = not self._jobs and not self._outbox.unsent
        return delivered or time.monotonic() > self._deadline

    def _fill_outbox(self) -> None:
        """Make records of the jobs whose figures have arrived, in the order in which they came."""
        while self._outbox.has_room:
            with self._lock:
                if not self._jobs or not self._jobs[0].ready():
                    return
                job = self._jobs.popleft()
                self._bytes -= job.size
            try:
                self._outbox.add(encode(job.record(self._ledger.tally())))
            except RecordError as error:
                self._ledger.drop(DropReason.NOT_ENCODED, f"A record was not sent: {error}")
            except Exception as error:  # noqa: BLE001 - a poisoned record must not stop those behind it
                self._ledger.drop(
                    DropReason.NOT_ENCODED, f"A record could not be made: {type(error).__name__}: {error}."
                )

    def _send(self, sink: Sink) -> None:
        batch = self._outbox.next_batch(FRAMES_PER_BATCH, BYTES_PER_BATCH)
        if batch:
            archived = sink.send(batch)
            self._outbox.sent(len(batch))
            self._outbox.acknowledge(archived)

    def _begin_anew(self, lost: StreamLost) -> None:
        """Send again what is not archived."""
        self._outbox.acknowledge(lost.archived)
        given_up = self._outbox.rewind()
        with self._lock:
            self._idle.clear()
            self._streams_lost += 1
            if given_up:
                self._ledger.drop(DropReason.NOT_KEPT, times=given_up)
        self._ledger.say_once(
            "streams_lost",
            f"{lost}. Records go on in a new stream, first those that are not archived yet; "
            "further times are only counted, see Monitor.health().",
        )
        if given_up:
            self._ledger.say_once(
                DropReason.NOT_KEPT.value,
                f"{given_up} records may be lost: they were sent, not archived, and no longer kept here.",
            )

    def _rest(self) -> None:
        """Sleep until there is something to do."""
        with self._lock:
            waiting = bool(self._jobs)
            if not waiting and not self._outbox.unsent:
                self._idle.set()
        self._wake.wait(SECONDS_BETWEEN_POLLS if waiting else SECONDS_BETWEEN_HEARTBEATS / 2)
        self._wake.clear()

    def _pause(self, seconds: float) -> None:
        """Wait before trying again, but not beyond the end."""
        end = min(time.monotonic() + seconds, self._deadline)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            end = min(end, self._deadline)

    def _troubled(self, error: str) -> None:
        self._last_error = error
        if self._state != "retrying":
            self._state = "retrying"
            self._overflowed = self._ledger.count(DropReason.QUEUE_FULL)
            log.warning(
                "%s. Training goes on, records wait in memory and are sent when it works again.",
                error.rstrip("."),
            )

    def _recovered(self) -> None:
        if self._state == "retrying":
            overflow = self._ledger.count(DropReason.QUEUE_FULL) - self._overflowed
            log.warning(
                "Redis takes records again; %s.",
                f"{overflow} were too many to wait" if overflow else "nothing of what waited is lost",
            )
        self._state, self._last_error = "delivering", ""


_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for worker in list(_workers):
        worker.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
