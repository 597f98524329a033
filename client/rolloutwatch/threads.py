"""Threads that do not stay dead, and the bell that wakes them."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger("rolloutwatch")

SECONDS_OF_A_SOUND_LIFE = 60.0
BACKOFF_SECONDS = (0.05, 5.0)


class Bell:
    """Wakes the one thread that waits.

    A signal handler may ring it while the thread that it interrupted is ringing; a threading.Event would hang there.
    """

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Wake whoever waits, or keep the next one from waiting."""
        if self._rings.empty():
            self._rings.put(None)

    def wait(self, seconds: float) -> None:
        """Wait for a ring, at most so long."""
        with contextlib.suppress(queue.Empty):
            self._rings.get(timeout=max(seconds, 0.0))


class Supervised:
    """A daemon thread whose work is begun again when it fails, until it returns.

    `ensure` starts another thread should this one be gone; whoever gives it work calls that.
    """

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.restarts = 0
        self._name = name
        self._work = work
        self._started = self._ended = False
        self._lock = threading.Lock()
        self._thread = self._make()

    def start(self) -> None:
        """Begin; where no thread can be started now, `ensure` tries it again."""
        self._started = True
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def ensure(self) -> None:
        """Begin again if the thread has gone without having ended."""
        if not self._is_gone() or not self._lock.acquire(blocking=False):
            return  # somebody else is at it
        try:
            if self._is_gone():
                self.restarts += 1
                self._thread = self._make()
                with contextlib.suppress(RuntimeError):  # no thread can be had now
                    self._thread.start()
        finally:
            self._lock.release()

    def join(self, seconds: float) -> None:
        """Wait for the end, at most so long; at once if it was never begun."""
        if self._started and self._thread.ident is not None:
            self._thread.join(max(seconds, 0.0))

    def _is_gone(self) -> bool:
        return self._started and not self._ended and not self._thread.is_alive()

    def _make(self) -> threading.Thread:
        return threading.Thread(target=self._run, name=self._name, daemon=True)

    def _run(self) -> None:
        wait = BACKOFF_SECONDS[0]
        while True:
            born = time.monotonic()
            try:
                self._work()
            except BaseException as error:
                self.restarts += 1
                if self.restarts == 1:
                    log.exception("Rolloutwatch met an error of its own and goes on; please report it.")
                else:
                    log.debug("%s failed again, %r", self._name, error)
            else:
                self._ended = True
                return
            if time.monotonic() - born > SECONDS_OF_A_SOUND_LIFE:
                wait = BACKOFF_SECONDS[0]
            time.sleep(wait)
            wait = min(wait * 2, BACKOFF_SECONDS[1])
