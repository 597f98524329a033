"""What a process has instead of a worker where another one pushes."""

from rolloutwatch.drops import Ledger
from rolloutwatch.hearing import Listener
from rolloutwatch.jobs import Job
from rolloutwatch.worker import Health


class Silent:
    """Takes everything and delivers nothing: no thread, no connection, no file."""

    def __init__(self, ledger: Ledger, listener: Listener | None = None) -> None:
        self._ledger = ledger
        self._listener = listener
        self._state = "silent"

    def start(self) -> None:
        """Begin to do nothing."""

    def put(self, job: Job) -> bool:
        """Let go of a job: what is to be told of it, the rank that pushes tells."""
        return True

    def health(self) -> Health:
        """Return how it is: "silent" until it is closed, with what this process has counted."""
        hearing = None if self._listener is None else self._listener.health()
        return Health(self._state, 0, 0, 0, self._ledger.tally(), "", alerts=hearing)

    def flush(self, timeout: float) -> bool:
        """Return at once: nothing is waited for."""
        return True

    def begin_to_close(self, last: Job, deadline: float) -> None:
        """Begin nothing."""
        if self._listener is not None:
            self._listener.end()

    def close(self, last: Job, deadline: float) -> bool:
        """End; tell whether that was the first time."""
        self.begin_to_close(last, deadline)
        first, self._state = self._state != "closed", "closed"
        return first
