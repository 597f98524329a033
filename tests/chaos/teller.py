"""What of the server judges alerts and tells people of them, as a process that starts at once and can be killed.

    python -m tests.chaos.teller REDIS_URL DATA_DIR NOTIFY_FILE OWN_URL [MOMENT COUNT SECONDS]

With a moment it kills itself so many seconds after it has come to that moment for the so many-th time, counted from 1.
"""

import enum
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.moments import Moment
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.notify.targets import read_targets
from rolloutwatch_server.store import ARCHIVE, Delivery, NewDelivery, Store
from rolloutwatch_server.transport import connect


class Leg(enum.Enum):
    """How far a message is on its way to a target; its next steps have not begun."""

    GATHERED = "gathered"  # from events that still stand in the outbox
    MADE = "made"  # instead of the events, and committed
    DUE = "due"  # and about to be sent
    SENT = "sent"  # and answered, of which the archive knows nothing
    NOTED = "noted"


Stop = Moment | Leg
Reached = Callable[[Stop], None]


class Watched:
    """An archive that tells how far the notifier is with it."""

    def __init__(self, store: Store, reached: Reached) -> None:
        self._store, self._reached = store, reached

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def make_deliveries(self, deliveries: Iterable[NewDelivery], events: Sequence[str]) -> None:
        self._reached(Leg.GATHERED)
        self._store.make_deliveries(deliveries, events)
        self._reached(Leg.MADE)

    def due_deliveries(self, *arguments: Any, **options: Any) -> list[Delivery]:
        due = self._store.due_deliveries(*arguments, **options)
        if due:
            self._reached(Leg.DUE)
        return due

    def delivery_done(self, delivery: int) -> None:
        self._reached(Leg.SENT)
        self._store.delivery_done(delivery)
        self._reached(Leg.NOTED)


def main(url: str, data_dir: Path, notify_file: Path, own_url: str, reached: Reached) -> None:
    parent, ending = os.getppid(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    store = Store(data_dir / ARCHIVE)
    ingest = Ingest(store, lambda: connect(url), lambda run, entries: None, reached=reached)
    targets = read_targets(notify_file, os.environ)
    world = World(links=Links(own_url), environment=dict(os.environ))
    ingest.start()
    with Notifier(Watched(store, reached), targets, world):
        while not ending.wait(0.2) and os.getppid() == parent:
            pass
    ingest.stop()
    store.close()


def dying_at(stop: Stop | None, count: int, seconds: float) -> Reached:
    """Return what ends this process as a power switch would."""
    lock, times = threading.Lock(), 0

    def reached(now: Stop) -> None:
        nonlocal times
        with lock:
            times += now is stop
            is_time = now is stop and times == count
        if is_time:
            threading.Timer(seconds, _die).start() if seconds else _die()

    return reached


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(name: str) -> Stop:
    return next(one for one in (*Moment, *Leg) if one.value == name)


if __name__ == "__main__":
    url, data_dir, notify_file, own_url, *death = sys.argv[1:]
    doom = (_stop(death[0]), int(death[1]), float(death[2])) if death else (None, 0, 0.0)
    main(url, Path(data_dir), Path(notify_file), own_url, dying_at(*doom))
