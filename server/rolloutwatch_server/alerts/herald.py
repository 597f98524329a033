"""What viewers of a run are told of its alerts, once it is in the archive."""

import logging
import threading
from collections.abc import Callable, Sequence

from rolloutwatch_contract import RunStart
from rolloutwatch_server.live import LiveFeed, alert_event
from rolloutwatch_server.store import Entry, Store, StoreError

log = logging.getLogger(__name__)

MOST_AT_ONCE = 1000  # transitions; of more than these viewers are told the newest


class Herald:
    """Tells viewers of records, and of what happened to alerts, after the commit. Safe to use from any thread."""

    def __init__(
        self, store: Store, feed: LiveFeed, starts: Callable[[str], None] = lambda run: None
    ) -> None:
        self._store = store
        self._feed = feed
        self.starts = starts  # is called with each run that has started, or was resumed
        self._lock = threading.Lock()
        self._changes = store.alert_changes
        self._told_to = store.last_transition()

    def announce(self, run: str, entries: Sequence[Entry]) -> None:
        """Tell of records of a run that were archived, and of what they did to alerts."""
        self._feed.announce(run, entries)
        if any(isinstance(entry.content, RunStart) for entry in entries):
            self.starts(run)
        self.tell()

    def tell(self) -> None:
        """Tell of what has happened to alerts since the last time; nothing is read as long as nothing has."""
        with self._lock:
            changes = self._store.alert_changes
            if changes == self._changes:
                return
            try:
                found = self._store.transitions_after(self._told_to, MOST_AT_ONCE)
            except StoreError as error:  # of which /readyz tells; the next change tries again
                log.debug("Viewers are not told of alerts: %s", error)
                return
            self._changes = changes
            events: dict[str, list[bytes]] = {}
            for number, alert, one in found:
                self._told_to = number
                events.setdefault(one.run, []).append(alert_event(alert, one))
            for run, some in events.items():
                self._feed.publish(run, some)
            if events:
                self._feed.publish_elsewhere(set(events))
