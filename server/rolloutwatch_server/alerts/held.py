"""The runs that are judged, in memory: as many as are at work, within a bound.

Beyond the bound it is those that were heard of lately that stay, and not those that were read last:
else each of a few runs too many would put out the next one that is due, and all would be read again at every step.
"""

import math

from rolloutwatch_server.alerts.watch import Watch

MOST_BYTES = 256 * 1024 * 1024
SECONDS_AT_WORK = 300.0  # after which a run makes room for others
MOST_SILENT = 256  # as many as this stay all the same, as long as all are no more


class Held:
    """Runs in memory, the one that was asked for last being the last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._watches: dict[str, Watch] = {}
        self._weights: dict[str, int] = {}
        self._weight = 0
        self._newcomers: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def clear(self) -> None:
        """Hold none."""
        self._watches.clear()
        self._weights.clear()
        self._newcomers.clear()
        self._weight = 0

    def get(self, run: str) -> Watch | None:
        """Return a run, None if it is not here."""
        return self._watches.get(run)

    def put(self, run: str, watch: Watch) -> None:
        """Hold a run."""
        if run not in self._watches:
            self._newcomers[run] = None
        self._watches.pop(run, None)
        self._watches[run] = watch
        weight = watch.alerts.plan.weight
        self._weight += weight - self._weights.get(run, 0)
        self._weights[run] = weight

    def pop(self, run: str) -> None:
        """Hold a run no longer."""
        self._watches.pop(run, None)
        self._newcomers.pop(run, None)
        self._weight -= self._weights.pop(run, 0)

    def let_go(self, now: float) -> None:
        """Come down to the bound: of runs that are silent first, then of those that came since this was asked last."""
        while self._is_beyond(MOST_SILENT):
            run, watch = next(iter(self._watches.items()))
            if _is_at_work(watch, now):
                break
            self.pop(run)
        while self._is_beyond():
            self.pop(next(reversed(self._newcomers or self._watches)))
        self._newcomers.clear()

    def _is_beyond(self, most: float = math.inf) -> bool:
        return bool(self._watches) and (self._weight > self._most or len(self._watches) > most)


def _is_at_work(watch: Watch, now: float) -> bool:
    heard_at = watch.row.heard_at
    return heard_at is not None and not watch.row.ended and now - heard_at <= SECONDS_AT_WORK
