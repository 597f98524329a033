"""From which step on a run has changed, so that who has read it already reads no more than is new."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.store.entries import Entry

BATCHES_KEPT = 512  # of each run, the newest


class _Batch(NamedTuple):
    changes: int
    step: int


class News:
    """Of the newest batches of each run the lowest step they brought. Safe to use from any thread.

    What is late, or comes a second time, is new too, however low its step.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[str, deque[_Batch]] = {}

    def note(self, run: str, changes: int, entries: Iterable[Entry]) -> None:
        """Note what a batch brings, by which the changes of its run come to be so many; before anybody can see it."""
        steps = [entry.content.step for entry in entries if isinstance(entry.content, StepRecord)]
        if steps:
            with self._lock:
                batches = self._batches.setdefault(run, deque(maxlen=BATCHES_KEPT))
                batches.append(_Batch(changes, min(steps)))

    def since(self, run: str, changes: int) -> int:
        """Return the lowest step that anything came for after so many changes, MAX_STEP for none; 0 if that is not known."""
        with self._lock:
            batches = list(self._batches.get(run, ()))
        if not batches or batches[0].changes > changes + 1:
            return 0
        return min((batch.step for batch in batches if batch.changes > changes), default=MAX_STEP)


class AlertNews:
    """Which runs have alerts that changed, so that who has read them reads no more than is new. For any thread."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self.begin = self.changes = int(now * 1e6)  # larger than that of a server before
        self._runs: dict[str, int] = {}

    def note(self, *runs: str) -> None:
        """Note that alerts of runs have changed."""
        with self._lock:
            for run in runs:
                self.changes += 1
                self._runs[run] = self.changes

    def since(self, changes: int) -> set[str] | None:
        """Return the runs whose alerts have changed after so many changes; None: not known, and so all."""
        with self._lock:
            if changes < self.begin:
                return None
            return {run for run, at in self._runs.items() if at > changes}
