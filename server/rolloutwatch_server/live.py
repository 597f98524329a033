"""Tell viewers of a run what has just been archived.

Each event is put into bytes once, however many viewers there are.
A viewer that does not keep up loses events rather than the server its memory;
it is told to fetch again, which is what it does after any interruption anyway.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.protocol import RunSummary
from rolloutwatch_server.store import Entry

SECONDS_BETWEEN_KEEPALIVES = 15.0
EVENTS_PER_VIEWER = 1000

KEEPALIVE = b": keepalive\n\n"
RESET = b"event: reset\ndata: {}\n\n"


def run_event(summary: RunSummary) -> bytes:
    """Return the event that says how a run is."""
    return b"event: run\ndata: " + msgspec.json.encode(summary) + b"\n\n"


def rewind_event(last_step: int | None) -> bytes:
    """Return the event that says that a run went back: what is shown now ends at `last_step`."""
    return b"event: rewind\ndata: " + msgspec.json.encode({"last_step": last_step}) + b"\n\n"


def step_event(record: StepRecord) -> bytes:
    """Return the event that brings figures of a step; what is not finite becomes null."""
    body = msgspec.json.encode({"step": record.step, "time": record.time, "metrics": record.metrics})
    return b"event: step\ndata: " + body + b"\n\n"


class Viewer:
    """One open page of one run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._events: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, events: Sequence[bytes]) -> None:
        """Queue events; if that is more than a viewer may have waiting, replace them all by a reset."""
        if len(self._events) + len(events) > EVENTS_PER_VIEWER:
            self._events.clear()
            events = [RESET]
        self._events.extend(events)
        self._arrived.set()

    def end(self) -> None:
        """Let the stream end after what is queued."""
        self._ended = True
        self._arrived.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield events as they come, joined where several wait, and a keepalive when nothing comes."""
        while True:
            try:
                await asyncio.wait_for(self._arrived.wait(), SECONDS_BETWEEN_KEEPALIVES)
            except TimeoutError:
                yield KEEPALIVE
                continue
            self._arrived.clear()
            if self._events:
                waiting = b"".join(self._events)
                self._events.clear()
                yield waiting
            if self._ended:
                return


class LiveFeed:
    """Who watches what. Everything but `publish` is called in the event loop."""

    def __init__(self) -> None:
        # weak: a browser may leave before its stream has begun, and nobody says so then
        self._viewers: dict[str, weakref.WeakSet[Viewer]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to deliver, in this event loop."""
        self._loop = loop

    def close(self) -> None:
        """End every viewer's stream, so that the server need not wait for browsers to leave."""
        self._loop = None
        for viewers in self._viewers.values():
            for viewer in viewers:
                viewer.end()

    def join(self, run: str) -> Viewer:
        """Return a new viewer of a run; `leave` when it has gone."""
        viewer = Viewer(run)
        self._viewers.setdefault(run, weakref.WeakSet()).add(viewer)
        if self._loop is None:
            viewer.end()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.get(viewer.run, weakref.WeakSet()).discard(viewer)

    def watched(self) -> list[str]:
        """Return the runs that have viewers."""
        self._viewers = {run: viewers for run, viewers in self._viewers.items() if len(viewers)}
        return list(self._viewers)

    def announce(self, run: str, entries: Sequence[Entry]) -> None:
        """Bring archived records to the viewers of their run; may be called from any thread."""
        if run in self._viewers:
            self.publish(run, [step_event(e.content) for e in entries if isinstance(e.content, StepRecord)])

    def publish(self, run: str, events: Sequence[bytes]) -> None:
        """Bring events to the viewers of a run; may be called from any thread."""
        loop = self._loop
        if loop is not None and events:
            try:
                loop.call_soon_threadsafe(self._deliver, run, events)
            except RuntimeError:  # the loop has ended in this instant, and its viewers with it
                return

    def _deliver(self, run: str, events: Sequence[bytes]) -> None:
        for viewer in self._viewers.get(run, ()):
            viewer.put(events)
