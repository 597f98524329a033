"""What of the server brings records from Redis into the archive, as a process that starts at once and can be killed.

python -m tests.chaos.archivist REDIS_URL ARCHIVE
"""

import os
import signal
import sys
import threading
from pathlib import Path

from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect


def main(url: str, archive: Path) -> None:
    parent, ending = os.getppid(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    store = Store(archive)
    ingest = Ingest(store, lambda: connect(url), lambda run, entries: None)
    ingest.start()
    while not ending.wait(0.2) and os.getppid() == parent:
        pass
    ingest.stop()
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
