"""What of the server brings records from Redis into the archive, as a process that starts at once and can be killed.

    python -m tests.chaos.archivist REDIS_URL ARCHIVE [MOMENT BATCH SECONDS]

With a moment it kills itself so many seconds after it has reached that moment of that batch, counted from 1.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.moments import Moment, Reached, go_on
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect


def main(url: str, archive: Path, reached: Reached) -> None:
    parent, ending = os.getppid(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    store = Store(archive)
    ingest = Ingest(store, lambda: connect(url), lambda run, entries: None, reached=reached)
    ingest.start()
    while not ending.wait(0.2) and os.getppid() == parent:
        pass
    ingest.stop()
    store.close()


def dying_at(moment: Moment, batch: int, seconds: float) -> Reached:
    """Return what ends this process as a power switch would; without seconds nothing happens in between."""
    batches = 0

    def reached(now: Moment) -> None:
        nonlocal batches
        batches += now is moment
        if now is moment and batches == batch:
            threading.Timer(seconds, _die).start() if seconds else _die()

    return reached


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url, archive, *death = sys.argv[1:]
    main(url, Path(archive), dying_at(Moment(death[0]), int(death[1]), float(death[2])) if death else go_on)
