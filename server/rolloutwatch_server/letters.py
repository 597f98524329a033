"""What the log is told of dead letters: a burst of them is one line."""

import logging
import math
import time
from collections.abc import Collection, Sequence

from rolloutwatch_server.store import DeadLetter

log = logging.getLogger(__name__)

SECONDS_BETWEEN_WARNINGS = 60.0  # of dead letters in one stream


class Letters:
    """Dead letters that the log has not told of yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[int, DeadLetter]] = {}
        self._told: dict[str, float] = {}

    def add(self, stream: str, letters: Sequence[DeadLetter]) -> None:
        """Note dead letters of a stream, to be told of later."""
        if letters:
            count, first = self._waiting.get(stream, (0, letters[0]))
            self._waiting[stream] = (count + len(letters), first)

    def tell(self, among: Collection[str], *, at_once: bool = False) -> None:
        """Tell of streams whose burst is over, which is of all but those `among` which entries come; seldom of one."""
        now = time.monotonic()
        for stream, (count, first) in list(self._waiting.items()):
            seldom = now - self._told.get(stream, -math.inf) >= SECONDS_BETWEEN_WARNINGS
            if at_once or (seldom and stream not in among):
                del self._waiting[stream]
                self._told[stream] = now
                log.warning(
                    "Dead letters in %s: %d, see /api/v1/dead-letters. The first, %s: %s",
                    stream, count, first.entry, first.reason,
                    extra={"stream": stream, "count": count},
                )  # fmt: skip
