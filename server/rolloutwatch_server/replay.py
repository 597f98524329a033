"""A past run as if it happened now: the events of the live feed, one after the other, as fast as it was or faster.

A piece of the run is in memory at a time, and the next one is read when the viewer has taken this one.
"""

import asyncio
import itertools
import math
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool

from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState
from rolloutwatch_server.live import (
    KEEPALIVE,
    SECONDS_BETWEEN_KEEPALIVES,
    figures_event,
    mark_event,
    run_event,
)
from rolloutwatch_server.recorded_steps import neighbours
from rolloutwatch_server.store import Portion, Resumed, Store, StoreError

STEPS_AT_ONCE = 1000  # in memory, and of these at most
BYTES_AT_ONCE = 256 * 1024  # on their way to the viewer
MARKS_AT_ONCE = 1000  # of each kind in a piece; a trainer that marks more often gets them thinned
SECONDS_OF_A_STEP = 1.0  # where nothing is known of a run's times
SECONDS_OF_A_GAP = 60.0  # what a longer pause is cut to, or
STEPS_OF_A_GAP = 10  # so many steps' time, where that is longer


class Clock(Protocol):
    """Tells the time in seconds, and lets it pass."""

    def now(self) -> float:
        """Return seconds since any moment."""

    async def wait(self, ended: asyncio.Event, seconds: float) -> None:
        """Return after so many seconds, or when the stream has ended."""


class WallClock:
    """The clock on the wall."""

    def now(self) -> float:
        """Return seconds since any moment."""
        return asyncio.get_running_loop().time()

    async def wait(self, ended: asyncio.Event, seconds: float) -> None:
        """Return after so many seconds, or when the stream has ended."""
        try:
            await asyncio.wait_for(ended.wait(), seconds)
        except TimeoutError:
            return


class Beat(msgspec.Struct, frozen=True):
    """What comes at one step: its events, and how many recorded seconds after those before it.

    `skipped` is how long the pause before it was, where it has been cut; `is_mark` if it is a mark that stands alone.
    """

    step: int
    seconds: float
    events: bytes
    skipped: float | None = None
    is_mark: bool = False


def gap_event(beat: Beat) -> bytes:
    """Return the event that says that a pause before a step was `seconds` long and has been cut to `shown_seconds`."""
    body = {"step": beat.step, "seconds": beat.skipped, "shown_seconds": beat.seconds}
    return b"event: gap\ndata: " + msgspec.json.encode(body) + b"\n\n"


def end_event(steps: int, last_step: int | None, trouble: str = "") -> bytes:
    """Return the event that says that a replay is over, by what `trouble` if not all of it came."""
    body = {"steps": steps, "last_step": last_step, "trouble": trouble}
    return b"event: end\ndata: " + msgspec.json.encode(body) + b"\n\n"


class Replay:
    """One viewer's replay of the steps `first` to `last` of a run, `speed` times as fast as it was.

    None for `speed` is as fast as the viewer takes it.
    """

    def __init__(
        self,
        store: Store,
        detail: RunDetail,
        first: int,
        last: int,
        speed: float | None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._detail = detail
        self._range = first, last
        self._speed = speed
        self._clock = clock or WallClock()
        self._ended = asyncio.Event()
        self._is_gone = False

    def end(self) -> None:
        """Let the stream end."""
        self._ended.set()

    def gone(self, run: str) -> None:
        """Tell it that a run was deleted, and let it end, and say why, if it is the one it brings."""
        if run == self._detail.summary.id:
            self._is_gone = True
            self._ended.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the state as it was, every step and mark at its time, the state as it is, and an end."""
        if self._ended.is_set() and not self._is_gone:
            return
        count, last_step = 0, None
        try:
            history, as_it_was = await run_in_threadpool(self._begin)
        except StoreError as error:
            yield end_event(count, last_step, str(error))
            return
        yield run_event(as_it_was)
        pace = _Pace(self._clock, self._speed)
        reading = self._beats(history)
        while not self._ended.is_set():
            try:
                piece = await run_in_threadpool(next, reading, None)
            except StoreError as error:
                yield end_event(count, last_step, str(error))
                return
            if piece is None:
                yield run_event(self._detail) + end_event(count, last_step)
                return
            waiting: list[bytes] = []
            size = 0
            for beat in piece:
                seconds = pace.until(beat)
                if waiting and (seconds > 0 or size > BYTES_AT_ONCE):
                    yield b"".join(waiting)
                    waiting, size = [], 0
                    seconds = pace.left()
                while seconds > 0 and not self._ended.is_set():
                    await self._clock.wait(self._ended, min(seconds, SECONDS_BETWEEN_KEEPALIVES))
                    seconds = pace.left()
                    if seconds > 0 and not self._ended.is_set():
                        yield KEEPALIVE
                if self._ended.is_set():
                    break
                waiting.append(beat.events if beat.skipped is None else gap_event(beat) + beat.events)
                size += len(beat.events)
                if not beat.is_mark:
                    count, last_step = count + 1, beat.step
            if waiting:
                yield b"".join(waiting)
        if self._is_gone:
            yield end_event(count, last_step, str(Resumed(self._detail.summary.id)))

    def _begin(self) -> tuple[object, RunDetail]:
        """Return which history is replayed, and how the run was before; Resumed: it is not the one asked for any more."""
        history, now = self._store.history(self._detail.summary.id), self._store.run(self._detail.summary.id)
        if now is None or now.generation != self._detail.generation:
            raise Resumed(self._detail.summary.id)
        end = max(
            -1 if now.summary.last_step is None else now.summary.last_step,
            self._store.last_marked(now.summary.id),
        )
        self._detail, self._range = now, (self._range[0], min(self._range[1], end))
        return history, self._as_it_was()

    def _check(self, history: object) -> None:
        """Refuse to go on, by Resumed, where what was read may be of another history than what came before."""
        if self._store.history(self._detail.summary.id) != history:
            raise Resumed(self._detail.summary.id)

    def _as_it_was(self) -> RunDetail:
        """Return how the run was before its first step that is replayed: live, and nothing more than that."""
        before, _ = neighbours(self._store, self._detail, self._range[0])
        begun = None if before is None else self._detail.summary.first_step
        summary = msgspec.structs.replace(
            self._detail.summary, state=RunState.LIVE, contested=False, first_step=begun, last_step=before
        )
        sessions = tuple(msgspec.structs.replace(one, contested=False) for one in self._detail.sessions)
        return msgspec.structs.replace(self._detail, summary=summary, sessions=sessions, dropped={})

    def _beats(self, history: object) -> Iterator[list[Beat]]:
        """Yield what is to be told, a piece of the run at a time, all of one history; Resumed: it is not shown any more."""
        run, tempo = self._detail.summary.id, _Tempo()
        begin, last = self._range
        for portion in self._store.portions(run, None, begin, last, STEPS_AT_ONCE, bare=True):
            for first in range(0, len(portion.step), STEPS_AT_ONCE):
                at = slice(first, first + STEPS_AT_ONCE)
                start, end = int(portion.step[at][0]), int(portion.step[at][-1])
                yield from self._marks_alone(begin, start - 1, tempo, history)
                marks = self._store.marks(run, from_step=start, to_step=end, most=MARKS_AT_ONCE)
                self._check(history)
                yield list(_beats(portion, at, marks, tempo))
                begin = end + 1
        yield from self._marks_alone(begin, last, tempo, history)
        self._check(history)

    def _marks_alone(self, first: int, last: int, tempo: "_Tempo", history: object) -> Iterator[list[Beat]]:
        """Yield all that was marked where there are no figures, in pieces of so few steps that none is thinned."""
        if first > last:
            return
        run = self._detail.summary.id
        if first < last and self._store.marked(run, first, last) > MARKS_AT_ONCE:
            middle = (first + last) // 2
            yield from self._marks_alone(first, middle, tempo, history)
            yield from self._marks_alone(middle + 1, last, tempo, history)
            return
        marks = self._store.marks(run, from_step=first, to_step=last, most=MARKS_AT_ONCE)
        self._check(history)
        if marks:
            yield [_mark_alone(mark, tempo) for mark in marks]


class _Pace:
    """When what is due: recorded seconds add up, and are divided by the speed."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._due = clock.now()

    def until(self, beat: Beat) -> float:
        """Return how many seconds it is until a beat, which is the next one."""
        if self._speed is not None:
            self._due += beat.seconds / self._speed
        return self.left()

    def left(self) -> float:
        """Return how many of these seconds are left."""
        return 0.0 if self._speed is None else self._due - self._clock.now()


class _Tempo:
    """How far apart steps are, by their recorded times."""

    def __init__(self) -> None:
        self._time = math.nan
        self._usual = math.nan
        self._begun = False

    def learn(self, times: Sequence[float]) -> None:
        """Note how far apart the steps of a piece are as a rule."""
        apart = [b - a for a, b in itertools.pairwise(times) if b - a >= 0]
        if apart:
            self._usual = statistics.median(apart)

    def after(self, time: float) -> tuple[float, float | None]:
        """Return how long after the one before it a step comes, and how long it was if that has been cut."""
        former, usual = self._time, self._usual if math.isfinite(self._usual) else SECONDS_OF_A_STEP
        is_first, self._begun = not self._begun, True
        self._time = time if math.isfinite(time) else former + usual
        if is_first:
            return 0.0, None
        if not math.isfinite(time - former):
            return usual, None
        apart = max(0.0, time - former)  # another session's clock may be behind
        most = max(SECONDS_OF_A_GAP, STEPS_OF_A_GAP * usual)
        return (most, apart) if apart > most else (apart, None)

    def after_mark(self, time: float) -> tuple[float, float | None]:
        """Return the same of a mark that stands alone, which may have been made before the figures it comes behind."""
        return self.after(max(time, self._time) if math.isfinite(self._time) else time)


def _mark_alone(mark: MarkView, tempo: _Tempo) -> Beat:
    seconds, skipped = tempo.after_mark(mark.time)
    return Beat(mark.step, seconds, mark_event(mark), skipped, is_mark=True)


def _beats(portion: Portion, at: slice, marks: Sequence[MarkView], tempo: _Tempo) -> Iterator[Beat]:
    """Yield the steps of a piece, each with the marks since the one before it."""
    steps, times = portion.step[at].tolist(), portion.time[at].tolist()
    columns = [
        (name, values[at].tolist(), portion.present[name][at]) for name, values in portion.values.items()
    ]
    tempo.learn(times)
    places = np.searchsorted([mark.step for mark in marks], steps, side="right").tolist()
    begin = 0
    for row, (step, time, end) in enumerate(zip(steps, times, places, strict=True)):
        metrics = {name: values[row] for name, values, present in columns if present[row]}
        figures = figures_event(step, time, metrics)
        here = marks[begin:end]
        # what was marked before the figures were made comes before them
        before = [mark_event(mark) for mark in here if mark.step < step or mark.time < time]
        after = [mark_event(mark) for mark in here if not (mark.step < step or mark.time < time)]
        seconds, skipped = tempo.after(time)
        yield Beat(step, seconds, b"".join([*before, figures, *after]), skipped)
        begin = end
