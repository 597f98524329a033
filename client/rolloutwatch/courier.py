"""The thread that brings records to Redis: this session's, and what others have left on disk."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.hearing import Listener, TellsOfAlerts
from rolloutwatch.outbox import BYTES_PER_BATCH, FRAMES_PER_BATCH, Outbox
from rolloutwatch.sink import Frame, Sink, SinkError, StreamLost
from rolloutwatch.threads import Bell

BACKOFF_SECONDS = (0.05, 5.0)
HALVINGS = 8  # of a batch, down to one frame
SUCCESSES_BEFORE_DOUBLING = 8
SECONDS_BETWEEN_QUESTIONS = 1.0  # how far the server has come, while nothing is to be sent
SECONDS_TO_BE_ARCHIVED = (0.25, 1.0)  # to wait for at the end: if no server was heard of, and if one was
_CHANCE = random.SystemRandom()  # the module's own generator is the trainer's, who may have seeded it


class Delivery:
    """One session's way into a sink.

    A batch that fails is tried again with half of it, as there may be little room behind it, or a slow line before it.
    """

    def __init__(self, outbox: Outbox, make_sink: Callable[[], Sink], ledger: Ledger) -> None:
        self.outbox = outbox
        self.streams_lost = 0
        self._make_sink = make_sink
        self._ledger = ledger
        self._sink: Sink | None = None
        self._given: list[Frame] = []
        self._part: int | None = None  # the stream that is to be begun
        self._halvings = self._successes = 0
        self._asked = 0.0

    def step(self) -> bool:
        """Send a batch, or else ask now and then how far the server has come; tell whether something was sent.

        SinkError: it could not be sent, or nobody knows; the same is tried again next time.
        """
        batch = self._next_batch()
        if not batch and not self._is_time_to_ask():
            return False
        self._sink = self._sink or self._make_sink()
        self._asked = time.monotonic()
        try:
            archived = self._sink.send(batch)
        except StreamLost as lost:
            self._begin_anew(lost)
            raise
        except SinkError:
            self._halvings, self._successes = min(self._halvings + 1, HALVINGS), 0
            raise
        if batch:
            self._given = self._given[len(batch) :]
            self.outbox.sent(batch[-1][0])
            self._succeeded()
        self.outbox.acknowledge(archived)
        return bool(batch)

    def _next_batch(self) -> Sequence[Frame]:
        """Return what is to be sent: of frames that nobody knows whether they were taken these very ones."""
        frames, size = FRAMES_PER_BATCH >> self._halvings, BYTES_PER_BATCH >> self._halvings
        try:
            if self._part is not None:
                self.outbox.rewind(self._part)
                self._part = None
            if not self._given:
                self._given = self.outbox.next_batch(frames, size)
        except OSError as error:
            raise SinkError(f"The spool cannot be read: {error}") from error
        return self._given[:frames]

    def hear(self, listener: Listener) -> None:
        """Ask for alerts, by the connection that records go."""
        self._sink = self._sink or self._make_sink()
        if isinstance(self._sink, TellsOfAlerts):
            listener.listen(self._sink.hear)

    def ask_at_once(self) -> None:
        """Ask with the next step, however short ago it was."""
        self._asked = 0.0

    def close(self) -> None:
        """Let go of connections."""
        if self._sink is not None:
            self._sink.close()

    def _is_time_to_ask(self) -> bool:
        return self.outbox.unarchived > 0 and time.monotonic() - self._asked > SECONDS_BETWEEN_QUESTIONS

    def _succeeded(self) -> None:
        self._successes += 1
        if self._successes % SUCCESSES_BEFORE_DOUBLING == 0:
            self._halvings = max(self._halvings - 1, 0)

    def _begin_anew(self, lost: StreamLost) -> None:
        """Send again what is not archived."""
        self.outbox.acknowledge(lost.archived)
        self._part, self._given = lost.part, []
        self.streams_lost += 1
        self._ledger.say_once(
            "streams_lost",
            f"{lost}. Records go on in a new stream, first those that are not archived yet; "
            "further times are only counted, see Monitor.health().",
        )


class Others(Protocol):
    """Work for when this session has none: what other sessions have left."""

    def step(self) -> bool:
        """Do a little of it; tell whether there was something to do. Raises nothing that passes."""

    def close(self) -> None:
        """Leave the rest to others."""


class Courier:
    """Delivers until it is told to finish; waits longer and longer while it cannot. `run` is a thread's work."""

    def __init__(
        self,
        delivery: Delivery,
        ledger: Ledger,
        others: Others | None = None,
        is_last: Callable[[], bool] = lambda: True,
        listener: Listener | None = None,
    ) -> None:
        self.delivery = delivery
        self.bell = Bell()
        self.state = "starting"
        self.last_error = ""
        self._ledger = ledger
        self._others = others
        self._listener = listener
        self._is_last = is_last  # whether what is in the outbox is all that is to come
        self._lost_before = 0  # when the trouble began
        self._wait = BACKOFF_SECONDS[0]
        self._finishing = False
        self._deadline = float("inf")
        self._archived_by: float | None = None

    def finish(self, deadline: float) -> None:
        """End when everything is delivered, or at a deadline in seconds of time.monotonic()."""
        self._deadline = deadline
        self._finishing = True
        self.bell.ring()

    def run(self) -> None:
        """Deliver."""
        while not self._is_done():
            try:
                busy = self.delivery.step()
                self._recovered()
            except SinkError as error:
                self._leave_others()
                self._troubled(error)
                self._hear()  # a Redis that is full answers all the same, and of one that hangs the trainer is told
                self._pause(error)
                continue
            self._hear()
            if not busy and not self._finishing:
                busy = self._others is not None and self._others.step()
            if not busy:
                self._rest()
        self.delivery.close()
        self._leave_others()

    def _leave_others(self) -> None:
        """Let go of what other sessions left: while nothing can be delivered, room may have to be made there."""
        if self._others is not None:
            self._others.close()

    def _hear(self) -> None:
        if self._listener is not None and self._listener.is_due and not self._finishing:
            self.delivery.hear(self._listener)

    def _is_done(self) -> bool:
        if not self._finishing:
            return False
        now, outbox = time.monotonic(), self.delivery.outbox
        if now > self._deadline or not outbox.unarchived:
            return now > self._deadline or self._is_last()
        if outbox.unsent or not self._is_last():
            return False
        if self._archived_by is None:
            patience = SECONDS_TO_BE_ARCHIVED[outbox.archived > 0]
            self._archived_by = now + (patience if outbox.is_spooled else 0.0)
        return now > self._archived_by

    def _rest(self) -> None:
        if self._finishing:
            self.delivery.ask_at_once()
            self.bell.wait(0.02)
        else:
            self.bell.wait(SECONDS_BETWEEN_QUESTIONS)

    def _pause(self, error: SinkError) -> None:
        """Wait before trying again, but not beyond the end."""
        seconds = self._wait * _CHANCE.uniform(0.5, 1.0)
        self._wait = min(self._wait * 2, BACKOFF_SECONDS[1])
        end = time.monotonic() + max(seconds, error.retry_after_seconds or 0.0)
        while time.monotonic() < min(end, self._deadline):
            if self._finishing and error.retry_after_seconds:
                return
            time.sleep(0.02)

    def _troubled(self, error: SinkError) -> None:
        if isinstance(error, StreamLost):
            return
        self.last_error = str(error)
        if self.state != "retrying":
            self.state = "retrying"
            self._lost_before = self._lost()
        where = "on disk and in memory" if self.delivery.outbox.is_spooled else "in memory"
        self._ledger.trouble(
            "sink",
            f"{str(error).rstrip('.')}. Training goes on, records wait {where} and are sent when it works again.",
        )

    def _lost(self) -> int:
        return sum(self._ledger.count(reason) for reason in (DropReason.QUEUE_FULL, DropReason.SPOOL_FULL))

    def _recovered(self) -> None:
        if self.state == "retrying":
            gone = self._lost() - self._lost_before
            lost = f"{gone} were too many to wait" if gone else "nothing of what waited is lost"
            self._ledger.over("sink", f"Redis takes records again; {lost}.")
        if self.state != "delivering" and self.delivery.outbox.sent_to:
            self.state = "delivering"
        self.last_error, self._wait = "", BACKOFF_SECONDS[0]
