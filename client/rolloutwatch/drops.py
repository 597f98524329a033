"""What is not delivered: counted by reason, and said in the log once for each."""

import enum
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping

log = logging.getLogger("rolloutwatch")

SECONDS_BETWEEN_TROUBLES = 60.0  # that come and go


class DropReason(enum.Enum):
    """Why something was not delivered."""

    QUEUE_FULL = "queue_full"
    TRANSFERS_FULL = "transfers_full"
    BAD_STEP = "bad_step"
    BAD_NAME = "bad_name"
    BAD_VALUE = "bad_value"
    BAD_MARK = "bad_mark"
    TOO_MANY = "too_many"
    VETOED_LEFT_OUT = "vetoed_left_out"
    NOT_MEASURED = "not_measured"
    NOT_CORRECTED = "not_corrected"
    NOT_DECODED = "not_decoded"
    NOT_ENCODED = "not_encoded"
    NOT_KEPT = "not_kept"
    SPOOL_FULL = "spool_full"
    SPOOL_DAMAGED = "spool_damaged"
    UNDELIVERED = "undelivered"
    CLOSED = "closed"


class Ledger:
    """Counts what is dropped, and remembers what the log has been told. Safe to use from any thread."""

    def __init__(self, dropped: Mapping[str, int] | None = None) -> None:
        # a signal may come while its thread counts, and its handler counts too
        self._lock = threading.RLock()
        self._dropped: dict[str, int] = dict(dropped or {})
        self._heard: dict[str, int] = {}
        self._told: set[str] = set()
        self._troubles: set[str] = set()
        self._last_told: dict[str, float] = {}

    def drop(self, reason: DropReason, detail: str = "", times: int = 1) -> None:
        """Count something that will not be delivered; say so once for each reason if there is a detail."""
        with self._lock:
            self._dropped[reason.value] = self._dropped.get(reason.value, 0) + times
        if detail:
            self.say_once(
                reason.value,
                f"{detail} Training goes on; further ones are only counted, see Monitor.health().",
            )

    def say_once(self, key: str, message: str) -> None:
        """Log a warning the first time it is needed."""
        with self._lock:
            if key in self._told:
                return
            self._told.add(key)
        log.warning("%s", message)

    def trouble(self, key: str, message: str) -> None:
        """Log the beginning of something that may pass, unless it is known, or was told of a moment ago."""
        now = time.monotonic()
        with self._lock:
            if key in self._troubles or now - self._last_told.get(key, -math.inf) < SECONDS_BETWEEN_TROUBLES:
                return
            self._troubles.add(key)
            self._last_told[key] = now
        log.warning("%s", message)

    def over(self, key: str, message: str) -> None:
        """Log the end of a trouble that the log was told of."""
        with self._lock:
            if key not in self._troubles:
                return
            self._troubles.discard(key)
        log.warning("%s", message)

    def hear(self, others: Iterable[Mapping[str, int]]) -> None:
        """Note what other ranks have dropped so far, in place of what was heard of them before."""
        heard: Counter[str] = Counter()
        for tally in others:
            heard.update(tally)
        with self._lock:
            self._heard = dict(heard)

    def tally(self) -> dict[str, int]:
        """Return how many were dropped so far, by reason; by other ranks too, where they are heard."""
        with self._lock:
            return dict(Counter(self._dropped) + Counter(self._heard))

    def count(self, reason: DropReason) -> int:
        """Return how many were dropped for one reason."""
        with self._lock:
            return self._dropped.get(reason.value, 0)

    def disown(self) -> None:
        """Be usable in a forked child, whatever its parent's threads held."""
        self._lock = threading.RLock()
