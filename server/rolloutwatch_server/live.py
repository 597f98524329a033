"""Tell viewers of a run what has just been archived.

Each event is put into bytes once, however many viewers there are.
A viewer that does not keep up loses events rather than the server its memory;
it is told to fetch again, which is what it does after any interruption anyway.
"""

import asyncio
import math
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from rolloutwatch_contract import Mark, StepRecord
from rolloutwatch_contract.protocol import MarkView, RunDetail, SessionView, json_fields
from rolloutwatch_server.spelling import spelt, spelt_all
from rolloutwatch_server.store import Entry, TransitionView

SECONDS_BETWEEN_KEEPALIVES = 15.0
EVENTS_PER_VIEWER = 1000
LETTERS_OF_A_HOST = 100

KEEPALIVE = b": keepalive\n\n"
RESET = b"event: reset\ndata: {}\n\n"
GONE = b"event: gone\ndata: {}\n\n"
ELSEWHERE = b"event: elsewhere\ndata: {}\n\n"


def run_event(detail: RunDetail) -> bytes:
    """Return the event that says how a run is: its summary, its generation, its losses, and who claims it at once."""
    body = msgspec.structs.asdict(detail.summary) | {
        "generation": detail.generation,
        "dropped": detail.dropped,
        "rivals": [_rival(session) for session in detail.rivals],
    }
    return b"event: run\ndata: " + msgspec.json.encode(body) + b"\n\n"


def rewind_event(detail: RunDetail) -> bytes:
    """Return the event that says that a run went back: what is shown now ends at `last_step`."""
    body = {"generation": detail.generation, "last_step": detail.summary.last_step}
    return b"event: rewind\ndata: " + msgspec.json.encode(body) + b"\n\n"


def step_event(record: StepRecord) -> bytes:
    """Return the event that brings figures of a step; what is not finite becomes null."""
    return figures_event(record.step, record.time, record.metrics)


def figures_event(step: int, time: float, metrics: Mapping[str, float]) -> bytes:
    """Return the same of figures that are no record. Those that are infinite are spelt beside it, the others are NaN."""
    infinite = {name: spelt(value) for name, value in metrics.items() if math.isinf(value)}
    told: dict[str, object] = {"step": step, "time": time, "metrics": metrics}
    body = msgspec.json.encode(told | {"infinite": infinite} if infinite else told)
    return b"event: step\ndata: " + body + b"\n\n"


def mark_event(mark: Mark | MarkView) -> bytes:
    """Return the event that brings a mark."""
    fields = json_fields(mark.fields)
    body = msgspec.json.encode({"step": mark.step, "time": mark.time, "kind": mark.kind, "fields": fields})
    return b"event: mark\ndata: " + body + b"\n\n"


def alert_event(alert: str, transition: TransitionView) -> bytes:
    """Return the event that tells what happened to an alert, by the alert's id; a figure that is not finite is spelt as text."""
    body = {
        "alert": alert,
        "rule": transition.rule,
        "severity": transition.severity.word,
        "change": transition.change,
        "epoch": transition.epoch,
        "step": transition.step,
        "time": transition.time,
        "values": spelt_all(transition.values),
        "reason": transition.reason,
        "quiet": transition.quiet,
        "late": transition.late,
    }
    return b"event: alert\ndata: " + msgspec.json.encode(body) + b"\n\n"


def _rival(session: SessionView) -> dict[str, str]:
    known = {name: session.environment.get(name, "")[:LETTERS_OF_A_HOST] for name in ("host", "pid")}
    return {"session": session.id, **known}


class Stream(Protocol):
    """What a viewer has open, live or replayed: it ends by itself, or when the server does."""

    def end(self) -> None:
        """Let the stream end after what is on its way."""

    def gone(self, run: str) -> None:
        """Tell it that a run was deleted, and let it end if it is the one it brings."""


class Viewer:
    """One open page of one run, which has the history called `generation`, if it has one already.

    Steps are a queue. How the run is, is one value, of which the newest counts:
    it is compared with what the viewer knows when it is sent, so that nothing that happens in between is lost.
    """

    def __init__(self, run: str, generation: str | None = None) -> None:
        self.run = run
        self._events: deque[bytes] = deque()
        self._detail: RunDetail | None = None
        self._known: tuple[object, ...] = ()
        self._generation = generation
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, events: Sequence[bytes]) -> None:
        """Queue events; if that is more than a viewer may have waiting, replace them all by a reset."""
        if len(self._events) + len(events) > EVENTS_PER_VIEWER:
            self._events.clear()
            events = [RESET]
        self._events.extend(events)
        self._arrived.set()

    def tell(self, detail: RunDetail) -> None:
        """Let the viewer know how the run is, if that is news to it."""
        self._detail = detail
        if _told(detail) != self._known:
            self._arrived.set()

    def is_told(self) -> bool:
        """Whether anybody has told it how the run is."""
        return self._detail is not None

    def end(self) -> None:
        """Let the stream end after what is queued."""
        self._ended = True
        self._arrived.set()

    def gone(self, run: str) -> None:
        """Tell it that a run was deleted, and let it end if it is the one it brings."""
        if run == self.run:
            self.put([GONE])
            self.end()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield events as they come, joined where several wait, and a keepalive when nothing comes."""
        while True:
            try:
                await asyncio.wait_for(self._arrived.wait(), SECONDS_BETWEEN_KEEPALIVES)
            except TimeoutError:
                yield KEEPALIVE
                continue
            self._arrived.clear()
            if waiting := b"".join([*self._news(), *self._events]):
                self._events.clear()
                yield waiting
            if self._ended:
                return

    def _news(self) -> list[bytes]:
        detail = self._detail
        if detail is None or _told(detail) == self._known:
            return []
        went_back = self._generation not in (None, detail.generation)
        self._known, self._generation = _told(detail), detail.generation
        return [run_event(detail), *([rewind_event(detail)] if went_back else [])]


def _told(detail: RunDetail) -> tuple[object, ...]:
    return detail.summary.state, detail.generation, detail.dropped, detail.rivals


def _events(entries: Sequence[Entry]) -> Iterator[bytes]:
    """Yield what there is to draw, without what another session speaks for."""
    for entry in entries:
        match entry.content:
            case Mark() as mark if not entry.hidden:
                yield mark_event(mark)
            case StepRecord() as record if not entry.hidden:
                yield step_event(record)
            case StepRecord() as record:
                if metrics := {m: value for m, value in record.metrics.items() if m not in entry.hidden}:
                    yield step_event(msgspec.structs.replace(record, metrics=metrics))


class LiveFeed:
    """Who watches what, and every stream that is open. Everything but `publish` is called in the event loop."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[Stream] = weakref.WeakSet()
        # weak: a browser may leave before its stream has begun, and nobody says so then
        self._viewers: dict[str, weakref.WeakSet[Viewer]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to deliver, in this event loop."""
        self._loop = loop

    def close(self) -> None:
        """End every stream, also of a replay, so that the server need not wait for browsers to leave."""
        self._loop = None
        for stream in list(self._open):
            stream.end()

    def hold(self, stream: Stream) -> None:
        """Let a stream end when the server does, at once if that has come; it is forgotten when nobody has it."""
        self._open.add(stream)
        if self._loop is None:
            stream.end()

    def join(self, run: str, generation: str | None = None) -> Viewer:
        """Return a new viewer of a run, which has the history of a generation; `leave` when it has gone."""
        viewer = Viewer(run, generation)
        self._viewers.setdefault(run, weakref.WeakSet()).add(viewer)
        self.hold(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.get(viewer.run, weakref.WeakSet()).discard(viewer)

    def watched(self) -> list[str]:
        """Return the runs that have viewers."""
        self._viewers = {run: viewers for run, viewers in self._viewers.items() if len(viewers)}
        return list(self._viewers)

    def count(self) -> tuple[int, int]:
        """Return how many viewers there are, and of how many runs; may be called from any thread."""
        viewers = [len(one) for one in list(self._viewers.values())]
        return sum(viewers), sum(1 for one in viewers if one)

    def tell(self, run: str, detail: RunDetail) -> None:
        """Let the viewers of a run know how it is."""
        for viewer in self._viewers.get(run, ()):
            viewer.tell(detail)

    def gone(self, run: str) -> None:
        """Tell the viewers of a run that was deleted, and end their streams, replays too; who asks again is refused."""
        self._viewers.pop(run, None)
        for stream in list(self._open):
            stream.gone(run)

    def announce(self, run: str, entries: Sequence[Entry]) -> None:
        """Bring what the archive shows of these records to the viewers of their run; may be called from any thread."""
        if run in self._viewers:
            self.publish(run, list(_events(entries)))

    def publish(self, run: str, events: Sequence[bytes]) -> None:
        """Bring events to the viewers of a run; may be called from any thread."""
        if events:
            self._soon(self._deliver, run, events)

    def publish_elsewhere(self, runs: Collection[str]) -> None:
        """Say to the viewers of all other runs that something has happened to alerts of these; may be called from any thread."""
        self._soon(self._deliver_elsewhere, runs)

    def _soon(self, deliver: Callable[..., None], *what: object) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(deliver, *what)
            except RuntimeError:  # the loop has ended in this instant, and its viewers with it
                return

    def _deliver_elsewhere(self, runs: Collection[str]) -> None:
        for run in [run for run in self._viewers if run not in runs]:
            self._deliver(run, [ELSEWHERE])

    def _deliver(self, run: str, events: Sequence[bytes]) -> None:
        for viewer in self._viewers.get(run, ()):
            viewer.put(events)
