"""The messages of one target, sent one after the other until each has arrived or is given up."""

import logging
import random
import threading
from collections.abc import Callable

from rolloutwatch_server.notify.events import Content, decode
from rolloutwatch_server.notify.outbox import Outbox
from rolloutwatch_server.notify.posts import Pictures, Post
from rolloutwatch_server.notify.webhook import Outcome
from rolloutwatch_server.store import Delivery, StoreError

log = logging.getLogger(__name__)

FIRST_WAIT = 0.05
LONGEST_WAIT = 300.0
SECONDS_UNTIL_GIVEN_UP = 24 * 3600.0
LEAST_ATTEMPTS = 20  # also of a message that is old already when its turn comes
ATTEMPTS_UNTIL_FAILING = 3  # from which on people are told that a target fails
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_COMPLAINTS = 600.0
SECONDS_AFTER_TROUBLE = 2.0
_CHANCE = random.SystemRandom()  # the module's own generator belongs to whoever uses this as a library


def wait_after(attempts: int, jitter: float) -> float:
    """Return how long to wait after so many attempts that failed; `jitter` from 0 to 1 takes up to half of it away.

    >>> [wait_after(attempts, 0.0) for attempts in (1, 2, 3, 20)]
    [0.1, 0.2, 0.4, 300.0]
    """
    return min(FIRST_WAIT * 2.0 ** min(attempts, 30), LONGEST_WAIT) * (1.0 - jitter / 2)


class Sender:
    """Sends what is due to one target, by a thread of its own, so that it holds up nobody but itself."""

    def __init__(
        self,
        outbox: Outbox,
        post: Post,
        pictures: Pictures,
        clock: Callable[[], float],
        jitter: Callable[[], float] = _CHANCE.random,
    ) -> None:
        self._outbox, self._post, self._pictures = outbox, post, pictures
        self._clock, self._jitter = clock, jitter
        self._target = post.target
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._look_at = 0.0
        self._not_before = 0.0
        self._failures = 0  # one after the other
        self._failures_of: dict[str, int] = {}  # the same, by run
        self._is_back = False
        self._complained_at: float | None = None
        self._is_told = False  # that it fails
        self._thread = threading.Thread(
            target=self._run, name=f"rolloutwatch-notify-{self._target.name}", daemon=True
        )

    @property
    def target(self) -> str:
        """Return the name of whom it sends to."""
        return self._target.name

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look now whether there is something to send."""
        self._woken.set()

    def begin_anew(self, run: str) -> None:
        """Forget how often messages of a run failed."""
        self._failures_of.pop(run, None)

    def stop(self) -> None:
        """End; what is being sent is sent again by the next server."""
        self._stopping.set()
        self._woken.set()
        self._post.stop()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, for so many seconds: a receiver that hangs is not waited for."""
        self._thread.join(seconds)

    def round(self) -> bool:
        """Try the message that is due first, if one is; tell whether there was one.

        Those of one run go in order: a later one waits until the earlier ones have arrived or are given up.
        Once one has arrived, those that wait because others had failed are due too, until one of them fails.
        """
        now = self._clock()
        if now < self._not_before <= now + LONGEST_WAIT:
            return False
        horizon = now + LONGEST_WAIT if self._is_back else now
        due = self._outbox.due_deliveries(horizon, target=self._target.name, limit=1)
        if due:
            outcome = self._attempt(due[0])
            # an attempt that was broken off says nothing of the target
            if not outcome.error or not self._stopping.is_set():
                self._settle(due[0], outcome)
        return bool(due)

    def _attempt(self, delivery: Delivery) -> Outcome:
        try:
            content = decode(delivery.events)
            return self._post.send(delivery.key, content, self._picture(content))
        except StoreError:
            raise
        except Exception as error:
            # a thread that has ended would keep messages back without a word
            log.exception("Notifications met an error of their own; please report it.")
            return Outcome(f"an error of the server's own, {type(error).__name__}; see its log.")

    def _picture(self, content: Content) -> bytes | None:
        return self._pictures.picture(content) if self._target.picture else None

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        if not outcome.error:
            self._outbox.delivery_done(delivery.id)
            self.begin_anew(delivery.run)
            self._note_success()
        else:
            self._note_failure(outcome)
            self._put_off(delivery, outcome)

    def _put_off(self, delivery: Delivery, outcome: Outcome) -> None:
        now, attempts = self._clock(), self._attempts_of(delivery)
        is_old = now - delivery.created_at >= SECONDS_UNTIL_GIVEN_UP and attempts >= LEAST_ATTEMPTS
        if outcome.is_final or is_old:
            self._outbox.delivery_dead(delivery.id, outcome.error)
            if outcome.is_final:
                self.begin_anew(delivery.run)
            log.error("a message for target %s is given up: %s", self._target.name, outcome.error)
            return
        self._not_before = now + outcome.wait
        self._look_at = now + max(wait_after(attempts, self._jitter()), outcome.wait)
        self._outbox.delivery_failed(delivery.id, outcome.error, self._look_at)

    def _attempts_of(self, delivery: Delivery) -> int:
        """Return how often it was tried to tell this of a run: what waited behind a message shares its attempts.

        Else a run that goes on telling would fill its queue faster than it is given up.
        """
        of_run = self._failures_of.get(delivery.run, 0) + 1
        self._failures_of[delivery.run] = of_run
        return max(of_run, delivery.attempts + 1)

    def _note_success(self) -> None:
        self._failures, self._is_back = 0, True
        if self._is_told:
            self._is_told = False
            log.info("target %s takes messages again", self._target.name)

    def _note_failure(self, outcome: Outcome) -> None:
        self._failures, self._is_back = self._failures + 1, False
        now, last = self._clock(), self._complained_at
        is_new = last is None or not 0 <= now - last < SECONDS_BETWEEN_COMPLAINTS
        if self._failures >= ATTEMPTS_UNTIL_FAILING and is_new and not self._is_told:
            self._is_told, self._complained_at = True, now
            log.warning("target %s does not take messages: %s", self._target.name, outcome.error)

    def _run(self) -> None:
        is_in_trouble = False
        while not self._stopping.is_set():
            try:
                self._woken.clear()
                if not self.round():
                    self._woken.wait(self._pause())
                is_in_trouble = False
            except StoreError as error:
                if not is_in_trouble and not self._stopping.is_set():
                    log.warning("Messages for %s wait, which is tried again: %s", self._target.name, error)
                is_in_trouble = True
                self._stopping.wait(SECONDS_AFTER_TROUBLE)

    def _pause(self) -> float:
        until = self._look_at - self._clock()
        return min(max(until, 0.02), SECONDS_BETWEEN_LOOKS) if until > 0 else SECONDS_BETWEEN_LOOKS
