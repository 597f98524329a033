"""What is not delivered: counted by reason, and said in the log once for each."""

import enum
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping

log = logging.getLogger("rolloutwatch")


class DropReason(enum.Enum):
    """Why something was not delivered."""

    QUEUE_FULL = "queue_full"
    TRANSFERS_FULL = "transfers_full"
    BAD_STEP = "bad_step"
    BAD_NAME = "bad_name"
    BAD_VALUE = "bad_value"
    BAD_MARK = "bad_mark"
    TOO_MANY = "too_many"
    NOT_MEASURED = "not_measured"
    NOT_CORRECTED = "not_corrected"
    NOT_DECODED = "not_decoded"
    NOT_ENCODED = "not_encoded"
    NOT_KEPT = "not_kept"
    UNDELIVERED = "undelivered"
    CLOSED = "closed"


class Ledger:
    """Counts what is dropped, and remembers what the log has been told. Safe to use from any thread."""

    def __init__(self) -> None:
        # a signal may come while its thread counts, and its handler counts too
        self._lock = threading.RLock()
        self._dropped: dict[str, int] = {}
        self._heard: dict[str, int] = {}
        self._told: set[str] = set()

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
