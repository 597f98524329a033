"""What is done to the archive beside the ingest: space is given back, limits are kept, and a large file is checked."""

import logging
import threading

from rolloutwatch_server.store import Store, StoreError

log = logging.getLogger(__name__)

SECONDS_BETWEEN_BITES = 0.02  # in which the ingest has the writer to itself
SECONDS_BETWEEN_ROUNDS = 2.0
SECONDS_AFTER_TROUBLE = 10.0
SECONDS_TO_END = 10.0


class Keeper:
    """A thread that keeps the archive within its limits, in bites so small that neither ingest nor readers wait for them.

    It ends with the server and may be killed at any time: what is left to do stands in the archive.
    What it cannot do, on a disk that is full perhaps, it tries again, and says so once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rolloutwatch-keeper", daemon=True)
        self._told = ""

    def __enter__(self) -> "Keeper":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End after the bite at hand."""
        self._stopping.set()
        self._thread.join(SECONDS_TO_END)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._round())

    def _round(self) -> float:
        """Do what there is to do; return after how many seconds to look again."""
        try:
            self._store.check()
            while self._store.keep():
                if self._stopping.wait(SECONDS_BETWEEN_BITES):
                    break
        except StoreError as error:
            self._tell(str(error))
            return SECONDS_AFTER_TROUBLE
        except Exception as error:
            # a thread that has ended would let the disk fill without a word
            log.exception("The keeper of the archive met an error of its own; please report it.")
            self._tell(f"{type(error).__name__}: {error}")
            return SECONDS_AFTER_TROUBLE
        self._told = ""
        return SECONDS_BETWEEN_ROUNDS

    def _tell(self, why: str) -> None:
        if why != self._told and why != self._store.damage:  # of which the log has been told
            log.warning("Nothing is let go of, which is tried again: %s", why)
        self._told = why
