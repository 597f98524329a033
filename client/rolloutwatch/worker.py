"""What everything the trainer must not wait for is given to: a bounded queue, and two threads behind it.

The trainer's side is `put`, which takes a lock that is never held across anything slow.
One thread makes records of jobs and writes them down, the other one delivers them (`courier.py`),
so a Redis that hangs keeps no record from the disk.
"""

import contextlib
import logging
import os
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rolloutwatch.courier import Courier, Delivery, Others
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.hearing import Hearing, Listener
from rolloutwatch.jobs import Job
from rolloutwatch.outbox import MAX_BYTES, Outbox
from rolloutwatch.sink import Sink
from rolloutwatch.spool import Spool, make_room
from rolloutwatch.threads import Bell, Supervised
from rolloutwatch_contract import Heartbeat, RecordError, encode

log = logging.getLogger("rolloutwatch")

MAX_JOBS = 4096
SECONDS_BETWEEN_HEARTBEATS = 5.0
# To wake a thread can cost the one that does it its turn, a millisecond of the trainer's on a busy machine,
# so the recorder looks by itself as long as jobs come quickly. Where they come seldom it is woken at once:
# a trainer that is killed loses what is not written down, which at a step in 50 ms is to be nothing.
SECONDS_BETWEEN_POLLS = 0.01
SECONDS_BEFORE_SLEEP = 0.025
SECONDS_OF_SLEEP = 1.0
SECONDS_TO_WRITE_DOWN = 1.0  # at the end, however little time there is
SECONDS_TO_GIVE_UP = 0.5  # behind the deadline, for a call that is under way
SECONDS_BETWEEN_CLEARANCES = 60.0


@dataclass(frozen=True)
class Health:
    """How the monitoring is: `state` is "starting", "delivering", "retrying" or "closed",
    and "silent" where another rank pushes.

    `queued` records wait to be sent, `pushed` have been taken by Redis, `archived` by the server;
    `dropped` counts what was not delivered, by reason; `last_error` says what is wrong now, "" if nothing is;
    `streams_lost` counts how often records went on in a new stream, because Redis or somebody else spoilt the old one.
    `spooled` records stand on disk and are not archived: they outlive this process.
    `restarts` counts how often a thread had to be started again, which is an error of ours.
    `alerts` says how alerts are heard, None if nobody asked for them.
    """

    state: str
    queued: int
    pushed: int
    archived: int
    dropped: dict[str, int]
    last_error: str
    streams_lost: int = 0
    spooled: int = 0
    restarts: int = 0
    alerts: Hearing | None = None


class Worker:
    """A bounded queue, and the threads that empty it into a sink.

    Full means that the oldest job is dropped, and counted: the newest figures matter most.
    """

    def __init__(
        self,
        make_sink: Callable[[], Sink],
        ledger: Ledger,
        *,
        spool: Spool | None = None,
        others: Others | None = None,
        listener: Listener | None = None,
        limit_bytes: int = MAX_BYTES,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._listener = listener
        self._lock = threading.RLock()  # a signal may interrupt `put`, and its handler closes
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        # what is being made into a record, of which number, and how many jobs before it were none
        self._at_hand: tuple[Job, int, int] | None = None
        self._bell = Bell()
        self._asleep = False
        self._closing = False
        self._closed = self._delivered = False
        self._deadline = float("inf")
        self._left_on_disk = 0
        self._added_at = time.monotonic()
        self._next_clearance = 0.0
        self._outbox = Outbox(ledger, spool, limit_bytes)
        delivery = Delivery(self._outbox, make_sink, ledger)
        self._courier = Courier(
            delivery, ledger, others, is_last=lambda: not self._pending, listener=listener
        )
        self._pid = os.getpid()
        self._recording = Supervised("rolloutwatch-recorder", self._record)
        self._delivering = Supervised("rolloutwatch-courier", self._courier.run)
        _workers.add(self)

    # -- the trainer's side --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deliver."""
        self._recording.start()
        self._delivering.start()

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
        if self._asleep:
            self._bell.ring()
        self._ensure_threads()
        if full:
            self._ledger.say_once(
                DropReason.QUEUE_FULL.value,
                "Figures come faster than they can be written down, or Redis has been away for long: "
                "the oldest are dropped. "
                "Training goes on; further ones are only counted, see Monitor.health().",
            )
        return True

    def health(self) -> Health:
        """Return how it is."""
        box, courier = self._outbox, self._courier
        waiting = 0 if self._closed else self._pending + box.unsent
        spooled = self._left_on_disk if self._closed else box.on_disk
        return Health(
            state="closed" if self._closed else courier.state,
            queued=waiting,
            pushed=box.sent_to,
            archived=box.archived,
            dropped=self._ledger.tally(),
            last_error=courier.last_error,
            streams_lost=courier.delivery.streams_lost,
            spooled=spooled,
            restarts=self._recording.restarts + self._delivering.restarts,
            alerts=None if self._listener is None else self._listener.health(),
        )

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued is in the sink, at most `timeout` seconds; tell whether it is."""
        if self._pid != os.getpid():
            return False
        deadline = time.monotonic() + timeout
        self._bell.ring()
        while not self._is_idle():
            if time.monotonic() > deadline or self._closed:
                return self._is_idle()
            self._ensure_threads()
            time.sleep(0.001)
        return True

    def begin_to_close(self, last: Job, deadline: float) -> None:
        """Queue a last job, and end when all is delivered or at a moment of time.monotonic(); do not wait for that."""
        if self._closed or self._pid != os.getpid():
            return
        if not self._closing:
            self.put(last)
        # however little time there is, what was logged a moment ago is written down
        self._deadline = max(deadline, time.monotonic() + SECONDS_TO_WRITE_DOWN)
        self._closing = True
        if self._listener is not None:
            self._listener.end()
        self._courier.finish(deadline)
        self._bell.ring()

    def close(self, last: Job, deadline: float) -> bool:
        """Queue a last job, deliver what can be delivered until the deadline, and end; tell whether all was.

        A signal handler that interrupts this may call it too: it does the rest, in its own time.
        """
        if self._closed or self._pid != os.getpid():
            return self._delivered
        self.begin_to_close(last, deadline)
        self._recording.join(self._deadline - time.monotonic())
        self._delivering.join(deadline - time.monotonic() + SECONDS_TO_GIVE_UP)
        delivered = self._delivered = self._is_idle()
        gone = 0 if self._outbox.is_spooled else self._outbox.unsent
        if not self._pending:  # else the recorder is in the middle of something that does not end
            gone = self._outbox.in_memory_alone()
            self._left_on_disk = self._outbox.release()
        self._closed = True
        if not delivered:
            self._say_what_is_left(self._pending + gone)
        return delivered

    def disown(self) -> None:
        """Forget everything: this is a forked child, and the records are its parent's."""
        self._lock = threading.RLock()
        self._bell = Bell()
        self._jobs, self._bytes, self._at_hand = deque(), 0, None
        self._closing = self._closed = True
        self._ledger.disown()
        if self._listener is not None:
            self._listener.disown()
        self._outbox.disown()

    def _ensure_threads(self) -> None:
        self._recording.ensure()
        self._delivering.ensure()

    @property
    def _pending(self) -> int:
        """Return how many jobs are neither in the outbox nor dropped."""
        # in this order: a job is in hand before it leaves the queue
        return len(self._jobs) + (self._at_hand is not None)

    def _is_idle(self) -> bool:
        # in this order: a job is in the outbox before it is no longer pending
        return not self._pending and not self._outbox.unsent

    def _say_what_is_left(self, gone: int) -> None:
        """Say what becomes of what was not delivered: these are the last words."""
        why = f" ({self._courier.last_error})" if self._courier.last_error else ""
        if self._left_on_disk and self._spool is not None:
            log.warning(
                "%d records wait in %s: there was not enough time to deliver them at the end%s. "
                "The next trainer that uses this folder delivers them, and so does 'rolloutwatch deliver'.",
                self._left_on_disk, self._spool.root, why,
            )  # fmt: skip
        if gone:
            self._ledger.drop(DropReason.UNDELIVERED, times=gone)
            log.warning(
                "%d records were not delivered, and are gone: there was not enough time to do it at the end%s.",
                gone, why,
            )  # fmt: skip

    # -- the thread that writes down -----------------------------------------------------------------------------

    def _record(self) -> None:
        looked_at = time.monotonic()
        while not self._is_recorded():
            if self._fill_outbox():
                looked_at = time.monotonic()
                self._courier.bell.ring()
            self._outbox.tend()
            self._show_life()
            self._make_room_on_disk()
            if time.monotonic() - looked_at < SECONDS_BEFORE_SLEEP:
                self._bell.wait(SECONDS_BETWEEN_POLLS)
            else:
                self._sleep()

    def _make_room_on_disk(self) -> None:
        """While nothing can be delivered, keep all spools together within the limit."""
        if self._spool is None or self._courier.state != "retrying":
            return
        if time.monotonic() >= self._next_clearance:
            self._next_clearance = time.monotonic() + SECONDS_BETWEEN_CLEARANCES
            if lost := make_room(self._spool.root, self._spool.limit_bytes):
                self._ledger.drop(DropReason.SPOOL_FULL, times=lost)

    def _sleep(self) -> None:
        self._asleep = True
        if not self._jobs:  # else one came before anybody could know
            self._bell.wait(SECONDS_OF_SLEEP)
        self._asleep = False

    def _is_recorded(self) -> bool:
        return self._closing and (not self._pending or time.monotonic() > self._deadline)

    def _fill_outbox(self) -> bool:
        """Make records of the jobs whose figures have arrived, in the order in which they came; tell whether there are any."""
        there_are = self._pending > 0
        while self._outbox.has_room:
            if self._at_hand is None:
                self._take_in_hand()
            if self._at_hand is None:
                break
            job, number, failed = self._at_hand
            # else a thread that ended had come so far
            if self._outbox.last_number < number and self._ledger.count(DropReason.NOT_ENCODED) == failed:
                self._make_record(job)
            self._forget(job)
        return there_are

    def _take_in_hand(self) -> None:
        with self._lock:
            if self._jobs and self._is_ready(self._jobs[0]):
                self._bytes -= self._jobs[0].size
                failed = self._ledger.count(DropReason.NOT_ENCODED)
                self._at_hand = (self._jobs[0], self._outbox.last_number + 1, failed)
                self._jobs.popleft()

    def _forget(self, job: Job) -> None:
        """Go on from a job that is done, which a thread that ended may have left in the queue too."""
        with self._lock:
            if self._jobs and self._jobs[0] is job:
                self._jobs.popleft()
            self._at_hand = None

    def _is_ready(self, job: Job) -> bool:
        try:
            return job.ready()
        except Exception:  # noqa: BLE001 - of a device that has failed, say: its record cannot be made, and will tell why
            return True

    def _make_record(self, job: Job) -> None:
        try:
            frame = encode(job.record(self._ledger.tally()))
        except RecordError as error:
            self._ledger.drop(DropReason.NOT_ENCODED, f"A record was not sent: {error}")
            self._quarantine(job)
        except BaseException as error:  # noqa: BLE001 - a poisoned record must not stop those behind it
            self._ledger.drop(
                DropReason.NOT_ENCODED, f"A record could not be made: {type(error).__name__}: {error}."
            )
            self._quarantine(job)
        else:
            self._add(frame)

    def _quarantine(self, job: Job) -> None:
        """Keep what is known of a poisoned record beside the spool, for whoever looks for the reason."""
        if self._spool is not None:
            with contextlib.suppress(Exception):
                told = f"{traceback.format_exc()}\n{job!r:.20000}\n"
                name = f"{self._spool.head.session}-{self._ledger.count(DropReason.NOT_ENCODED)}.txt"
                self._spool.quarantine(name, told.encode(errors="backslashreplace"))

    def _add(self, frame: bytes) -> None:
        self._outbox.add(frame)
        self._added_at = time.monotonic()

    def _show_life(self) -> None:
        if not self._outbox.unsent and time.monotonic() - self._added_at > SECONDS_BETWEEN_HEARTBEATS:
            self._add(encode(Heartbeat(time=time.time(), dropped=self._ledger.tally())))
            self._courier.bell.ring()


_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for worker in list(_workers):
        worker.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
