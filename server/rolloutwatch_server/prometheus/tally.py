"""What the ingest counts in memory, so that nobody who asks for it has to read the archive."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from time import time

from rolloutwatch_contract import Record, RunStart
from rolloutwatch_contract.drops import DROPS
from rolloutwatch_contract.keys import first_stream_key
from rolloutwatch_server.prometheus.histogram import Histogram
from rolloutwatch_server.prometheus.latest import LatestFigures
from rolloutwatch_server.store import DeadLetter, Entry, Store

COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELAY_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
OTHER_REASON = "other"  # trainers name reasons; only those that the contract knows become labels


class Tally:
    """Counts since the server began, but drops and dead letters since the archive did. One thread counts, any may read."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._dropped_of: dict[str, dict[str, int]] = {}
        self._dropped: Counter[str] = Counter()
        self.records = 0
        self.bytes = 0
        self.batches = 0
        self.dead_letters = 0
        self.last_scan = 0.0
        self.waiting: int | None = None
        self.commits = Histogram(COMMIT_BOUNDS)
        self.delays = Histogram(DELAY_BOUNDS)
        self.latest = LatestFigures()

    def begin(self, store: Store) -> None:
        """Take what the archive has of drops and dead letters."""
        self.dead_letters = store.dead_letter_count()
        with self._lock:
            self._dropped_of = store.dropped()
            self._dropped.clear()
            for counts in self._dropped_of.values():
                self._dropped.update(counts)

    def archived(self, fresh: Mapping[str, Sequence[Entry]], size: int, seconds: float) -> None:
        """Count a commit that took so many seconds, of so many bytes in Redis, and what was new in it."""
        now = self._clock()
        self.batches += 1
        self.bytes += size
        self.commits.observe(seconds)
        for stream, entries in fresh.items():
            contents = [one.content for one in entries if not isinstance(one.content, DeadLetter)]
            self.records += len(contents)
            self.dead_letters += len(entries) - len(contents)
            if contents:
                self.delays.observe(max(0.0, now - contents[-1].time))
            for content in contents:
                self._count_drops(stream, content)
            self.latest.archived(stream, entries, now)

    def scanned(self, waiting: int | None) -> None:
        """Note that streams were looked for just now, and how much waits in those that are behind; None if unknown."""
        self.last_scan = self._clock()
        self.waiting = waiting

    def dropped(self) -> dict[str, int]:
        """Return what trainers could not deliver, by reason; every reason that is known is there."""
        known = dict.fromkeys((*DROPS, OTHER_REASON), 0)
        with self._lock:
            for reason, count in self._dropped.items():
                known[reason if reason in DROPS else OTHER_REASON] += count
        return known

    def _count_drops(self, stream: str, content: Record) -> None:
        """A session says how many it lost so far, again and again."""
        if isinstance(content, RunStart) or not content.dropped:
            return
        with self._lock:
            before = self._dropped_of.setdefault(first_stream_key(stream), {})
            for reason, count in content.dropped.items():
                if (more := count - before.get(reason, 0)) > 0:
                    before[reason] = count
                    self._dropped[reason] += more
