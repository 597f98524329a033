"""A past run as if it happened now: the same events in the same order, at recorded times, and none left out."""

import asyncio
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from rolloutwatch_contract import Array, Heartbeat, Mark, RunEnd, StepRecord
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_server import replay
from rolloutwatch_server.live import KEEPALIVE, LiveFeed
from rolloutwatch_server.replay import Replay
from rolloutwatch_server.store import FOLD_AT, Store
from tests.browser.site import Site
from tests.redis_process import free_port
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

NIGHT = 8 * 3600.0


@dataclass
class Hands:
    """A clock that a test holds: waiting is what makes time pass, and is written down."""

    time: float = 0.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    async def wait(self, ended: asyncio.Event, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def events(told: bytes) -> list[tuple[str, Any]]:
    """Names and data; a keepalive is a name without data."""
    found = []
    for block in told.decode().split("\n\n")[:-1]:
        if block.startswith(":"):
            found.append((block, None))
            continue
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def detail_of(store: Store) -> RunDetail:
    detail = store.run(RUN)
    assert detail is not None
    return detail


def replayed(
    store: Store, speed: float | None = None, first: int = 0, last: int = 2**53, clock: Hands | None = None
) -> list[tuple[str, Any]]:
    async def watch() -> bytes:
        one = Replay(store, detail_of(store), first, last, speed, clock or Hands())
        return b"".join([chunk async for chunk in one.stream()])

    return events(asyncio.run(watch()))


def at(number: int, time: float, **metrics: float) -> StepRecord:
    return StepRecord(number, time, metrics)


def steps_of(told: Sequence[tuple[str, Any]]) -> list[int]:
    return [data["step"] for name, data in told if name == "step"]


def test_a_replay_has_the_events_of_the_live_feed_in_their_order(store: Store) -> None:
    """First how the run was, live and without a step; in between steps and marks; last how it is, and the end."""
    store.archive(
        STREAM,
        batch(
            start(),
            at(1, 10.0, kl=0.5, ppl=math.nan),
            Mark(1, 10.5, "checkpoint"),
            Mark(2, 11.0, "weight_sync", {"version": 2**53 + 1}),
            at(2, 12.0, kl=0.25),
            Heartbeat(12.5, {"queue_full": 2}),
            RunEnd(13.0),
        ),
    )
    told = replayed(store)
    assert [name for name, _ in told] == ["run", "step", "mark", "mark", "step", "run", "end"]
    begin, *happened, end, over = [data for _, data in told]
    assert (begin["state"], begin["first_step"], begin["last_step"], begin["dropped"]) == (
        "live",
        None,
        None,
        {},
    )
    assert happened == [
        {"step": 1, "time": 10.0, "metrics": {"kl": 0.5, "ppl": None}},
        {"step": 1, "time": 10.5, "kind": "checkpoint", "fields": {}},
        {"step": 2, "time": 11.0, "kind": "weight_sync", "fields": {"version": str(2**53 + 1)}},
        {"step": 2, "time": 12.0, "metrics": {"kl": 0.25}},
    ]
    assert (end["state"], end["last_step"], end["dropped"]) == ("finished", 2, {"queue_full": 2})
    assert over == {"steps": 2, "last_step": 2, "trouble": ""}


def test_a_part_of_a_run_begins_as_if_the_rest_had_happened(store: Store) -> None:
    store.archive(STREAM, batch(start(), *(step(n, kl=1.0) for n in range(0, 20, 2)), Mark(3, 3.0, "sync")))
    told = replayed(store, first=5, last=11)
    assert steps_of(told) == [6, 8, 10]
    assert (told[0][1]["first_step"], told[0][1]["last_step"]) == (0, 4)
    assert told[-1] == ("end", {"steps": 3, "last_step": 10, "trouble": ""})
    assert [name for name, _ in replayed(store, first=30)] == ["run", "run", "end"]


def test_steps_come_at_their_times_divided_by_the_speed(store: Store) -> None:
    """And what a clock that went back says is no time at all."""
    store.archive(
        STREAM,
        batch(
            start(), at(0, 100.0, kl=1.0), at(1, 104.0, kl=1.0), at(2, 103.0, kl=1.0), at(3, 105.0, kl=1.0)
        ),
    )
    clock = Hands()
    assert steps_of(replayed(store, speed=2.0, clock=clock)) == [0, 1, 2, 3]
    assert clock.waits == [2.0, 1.0]


def test_without_times_steps_are_evenly_apart(store: Store) -> None:
    """As far as the others are as a rule, or a second where none has a time."""
    tempo = replay._Tempo()
    assert [tempo.after(time) for time in (math.nan, math.nan, math.nan)] == [
        (0.0, None),
        (1.0, None),
        (1.0, None),
    ]
    tempo = replay._Tempo()
    times = [10.0, 13.0, math.nan, 19.0]
    tempo.learn(times)
    assert [tempo.after(time)[0] for time in times] == [0.0, 3.0, 3.0, 3.0]


def test_a_night_is_cut_short_and_said(store: Store) -> None:
    """To a minute, or to ten steps where steps take longer; the step after it is on time again."""
    store.archive(
        STREAM,
        batch(
            start(),
            at(0, 0.0, kl=1.0),
            at(1, 1.0, kl=1.0),
            at(2, 1.0 + NIGHT, kl=1.0),
            at(3, 2.0 + NIGHT, kl=1.0),
        ),
    )
    clock = Hands()
    told = [event for event in replayed(store, speed=10.0, clock=clock) if event[0] in ("gap", "step")]
    assert [name for name, _ in told] == ["step", "step", "gap", "step", "step"]
    assert told[2][1] == {"step": 2, "seconds": NIGHT, "shown_seconds": 60.0}
    assert clock.waits == pytest.approx([0.1, 6.0, 0.1])

    slow = replay._Tempo()
    times = [0.0, 600.0, 1200.0, 1200.0 + NIGHT]
    slow.learn(times)
    assert [slow.after(time) for time in times] == [
        (0.0, None),
        (600.0, None),
        (600.0, None),
        (6000.0, NIGHT),
    ]


def test_a_connection_that_waits_is_kept_alive(store: Store) -> None:
    store.archive(STREAM, batch(start(), at(0, 0.0, kl=1.0), at(1, 40.0, kl=1.0)))
    told = replayed(store, speed=1.0)
    assert [name for name, _ in told].count(KEEPALIVE.decode().strip()) == 2
    assert steps_of(told) == [0, 1]


def test_a_long_run_is_read_piece_by_piece(store: Store) -> None:
    """Every step of it comes once and in order, also where steps are far apart, and before the run is read as a whole."""
    numbers = [
        *range(2500),
        *range(10_000, 2_000_000_000_000, 400_000_000_000),
        *range(3_000_000_000_000, 3_000_000_000_900),
    ]
    for begin in range(0, len(numbers), 500):
        records = [step(n, kl=float(n)) for n in numbers[begin : begin + 500]]
        store.archive(
            STREAM, batch(*([start()] if begin == 0 else []), *records, first=begin + 1 + (begin > 0))
        )
    marked = [0, 999, 1000, 2499, 10_000, 3_000_000_000_899]
    store.archive(STREAM, batch(*(Mark(n, float(n), "sync") for n in marked), first=len(numbers) + 2))

    async def watch() -> tuple[list[int], int]:
        one = Replay(store, detail_of(store), 0, 2**53, None)
        reading, most, seen = one._beats(store.history(RUN)), 0, []
        for piece in reading:
            most = max(most, len(piece))
            seen += [beat.step for beat in piece]
        return seen, most

    seen, most = asyncio.run(watch())
    assert seen == numbers
    assert [data["step"] for name, data in replayed(store) if name == "mark"] == marked
    assert most == replay.STEPS_AT_ONCE


def test_a_viewer_that_does_not_read_makes_the_server_read_no_further(store: Store) -> None:
    """As fast as the viewer takes it is not faster: the archive is asked for the next piece when this one has gone."""
    store.archive(STREAM, batch(start(), *(step(n, kl=1.0) for n in range(3 * replay.STEPS_AT_ONCE))))
    asked = []

    class Counting(Store):
        def portions(self, *args: Any, **options: Any) -> Any:
            asked.append(args)
            return super().portions(*args, **options)

    async def watch() -> int:
        archive = Counting(store.path)
        stream = Replay(archive, detail_of(store), 0, 2**53, None).stream()
        await anext(stream)
        assert asked == []
        await anext(stream)
        await stream.aclose()
        archive.close()
        return len(asked)

    assert asyncio.run(watch()) == 1


def test_an_archive_that_cannot_be_read_any_more_ends_a_replay_with_the_reason(store: Store) -> None:
    """The viewer is told how far it came, and need not guess from a broken connection."""
    store.archive(STREAM, batch(start(), *(step(n, kl=1.0) for n in range(replay.STEPS_AT_ONCE + 5))))

    async def watch() -> bytes:
        archive = Store(store.path)
        stream = Replay(archive, detail_of(store), 0, 2**53, None).stream()
        told = await anext(stream) + await anext(stream)
        archive.close()
        return told + b"".join([chunk async for chunk in stream])

    *_, (name, over) = events(asyncio.run(watch()))
    assert (name, over["steps"], over["last_step"]) == ("end", 1000, 999)
    assert "is closed" in over["trouble"]


def delete(store: Store) -> None:
    assert store.delete(RUN, "a test")


def begin_anew(store: Store) -> None:
    """With the same steps, and as if it had begun at the same time."""
    delete(store)
    bring(store, OTHER_SESSION, range(LONG), 2.0)


def resume(store: Store) -> None:
    bring(store, OTHER_SESSION, range(LONG // 2, LONG), 2.0)


def resume_behind(store: Store) -> None:
    """From a step that has come already, to one behind all others: nothing that follows is another figure."""
    bring(store, OTHER_SESSION, range(10, 12), 2.0)


def bring(store: Store, stream: str, numbers: range, kl: float) -> None:
    records = [record for n in numbers for record in (step(n, kl=kl), Mark(n, n + 0.5, "sync", {"kl": kl}))]
    store.archive(stream, batch(start(), *records, RunEnd(1e4)))


LONG = 3 * replay.STEPS_AT_ONCE


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("change", [delete, begin_anew, resume, resume_behind])
def test_a_replay_never_mixes_two_histories(
    store: Store, change: Callable[[Store], None], pieces: int
) -> None:
    """It ends and says why, also where all has been read when the run is deleted, begins anew, or goes back."""
    bring(store, STREAM, range(LONG), 1.0)
    detail = detail_of(store)

    async def watch() -> bytes:
        stream = Replay(store, detail, 0, LONG - 1, None, Hands()).stream()
        told = b""
        while steps_of(events(told))[-1:] != [pieces * replay.STEPS_AT_ONCE - 1]:
            told += await anext(stream)
        change(store)
        return told + b"".join([chunk async for chunk in stream])

    *told, (name, over) = events(asyncio.run(watch()))
    assert name == "end"
    assert over["steps"] == pieces * replay.STEPS_AT_ONCE
    assert "was resumed from an earlier step, or deleted" in over["trouble"]
    assert {data["metrics"]["kl"] for name, data in told if name == "step"} <= {1.0}
    assert {data["fields"].get("kl") for name, data in told if name == "mark"} <= {1.0}


@pytest.mark.parametrize("change", [delete, resume_behind])
def test_a_run_that_goes_back_before_its_replay_begins_is_not_replayed(
    store: Store, change: Callable[[Store], None]
) -> None:
    bring(store, STREAM, range(20), 1.0)
    late = Replay(store, detail_of(store), 0, 19, None)
    change(store)

    async def watch() -> bytes:
        return b"".join([chunk async for chunk in late.stream()])

    [(name, over)] = events(asyncio.run(watch()))
    assert (name, over["steps"], over["last_step"]) == ("end", 0, None)
    assert "was resumed from an earlier step, or deleted" in over["trouble"]


def test_marks_are_of_the_history_of_the_steps_beside_them(store: Store) -> None:
    """Also where the run goes back between the two questions to the archive."""
    bring(store, STREAM, range(LONG), 1.0)

    class GoingBack(Store):
        def marks(self, *args: Any, **options: Any) -> Any:
            resume_behind(self)
            return super().marks(*args, **options)

    archive = GoingBack(store.path)
    told = replayed(archive)
    archive.close()
    assert [name for name, _ in told] == ["run", "end"]
    assert "was resumed" in told[-1][1]["trouble"]


def test_marks_come_where_there_are_no_figures(store: Store) -> None:
    """Before the first of them, in between, and behind the last, at their own times; they are no steps."""
    kinds = {0: "config", 9: "sync", 13: "evaluation", 20: "checkpoint", 22: "checkpoint"}
    marks = [Mark(n, 100.0 + n, kind) for n, kind in kinds.items()]
    store.archive(
        STREAM, batch(start(), *marks, *(at(n, 100.0 + n, kl=1.0) for n in (5, 10, 15)), RunEnd(130.0))
    )
    clock = Hands()
    told = replayed(store, speed=2.0, clock=clock)
    happened = [(name, data["step"]) for name, data in told if name in ("step", "mark")]
    steps = [("step", n) for n in (5, 10, 15)]
    assert happened == sorted([*steps, *(("mark", n) for n in kinds)], key=lambda one: one[1])
    assert clock.waits == [2.5, 2.5, 2.5, 2.5, 1.0]
    assert told[-1] == ("end", {"steps": 3, "last_step": 15, "trouble": ""})
    assert [data["step"] for name, data in replayed(store, first=6, last=20) if name == "mark"] == [9, 13, 20]


def test_a_run_of_marks_alone_is_replayed_with_every_one(store: Store) -> None:
    """Also where more of them stand in a row than are read at once."""
    numbers = [*range(replay.MARKS_AT_ONCE + 500), 2**52, 2**52 + 1]
    store.archive(STREAM, batch(start(), *(Mark(n, float(n), "checkpoint") for n in numbers)))
    told = replayed(store)
    assert [data["step"] for name, data in told if name == "mark"] == numbers
    assert told[-1] == ("end", {"steps": 0, "last_step": None, "trouble": ""})


def test_a_step_without_figures_is_one_as_in_the_live_feed(store: Store) -> None:
    """Whether it has tables or nothing at all, in rows and in columns."""
    histogram = Array.of(np.ones(HISTOGRAM_BINS, dtype=np.int64))
    bare = [StepRecord(n, float(n), {}, histogram=histogram) for n in range(FOLD_AT)]
    store.archive(STREAM, batch(start(), *bare))
    store.archive(STREAM, batch(StepRecord(FOLD_AT, 5.0, {}), first=FOLD_AT + 2))
    told = replayed(store)
    assert steps_of(told) == [*range(FOLD_AT + 1)]
    assert [data for name, data in told if name == "step"][-1] == {
        "step": FOLD_AT,
        "time": 5.0,
        "metrics": {},
    }


def test_what_was_given_up_is_not_replayed(store: Store) -> None:
    """A replay shows the history that is shown; a restart is a mark of it."""
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=1.0) for n in range(6))))
    store.archive(OTHER_SESSION, batch(start(time=20.0), at(3, 21.0, kl=2.0), at(4, 22.0, kl=2.0)))
    told = replayed(store)
    assert [data["metrics"]["kl"] for name, data in told if name == "step"] == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert [data["kind"] for name, data in told if name == "mark"] == ["restart"]


def test_closing_the_feed_ends_replays_too(store: Store) -> None:
    """The server need not wait for a viewer who watches a night at its own pace; one that comes now ends at once."""
    store.archive(STREAM, batch(start(), at(0, 0.0, kl=1.0), at(1, NIGHT, kl=1.0)))

    async def watch() -> tuple[bytes, bytes]:
        feed = LiveFeed()
        feed.open(asyncio.get_running_loop())
        one = Replay(store, detail_of(store), 0, 1, 1.0)
        feed.hold(one)
        stream = one.stream()
        told = await anext(stream) + await anext(stream)
        waiting = asyncio.ensure_future(anext(stream, b"over"))
        await asyncio.sleep(0)
        feed.close()
        late = Replay(store, detail_of(store), 0, 1, 1.0)
        feed.hold(late)
        return told, await asyncio.wait_for(waiting, 10) + b"".join([chunk async for chunk in late.stream()])

    told, after = asyncio.run(watch())
    assert steps_of(events(told)) == [0]
    assert after == b"over"


def test_a_run_that_is_deleted_ends_its_replay_at_once(store: Store) -> None:
    """Not only when the steps that have been read are over, which may be tomorrow; one of another run goes on."""
    store.archive(STREAM, batch(start(), at(0, 0.0, kl=1.0), at(1, NIGHT, kl=1.0), RunEnd(NIGHT)))
    api = Asking.of(store)

    async def watch() -> tuple[bytes, bytes]:
        api.feed.open(asyncio.get_running_loop())
        one = Replay(store, detail_of(store), 0, 1, 1.0)
        api.feed.hold(one)
        stream = one.stream()
        told = await anext(stream) + await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        api.feed.gone("math~another")
        await asyncio.sleep(0)
        assert not waiting.done()
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.delete(f"/api/v1/runs/{RUN}")).status_code == 204
        return told, await asyncio.wait_for(waiting, 10) + b"".join([chunk async for chunk in stream])

    told, after = asyncio.run(watch())
    assert steps_of(events(told)) == [0]
    [(name, over)] = events(after)
    assert (name, over["steps"], over["last_step"]) == ("end", 1, 0)
    assert "or deleted" in over["trouble"]


def test_it_comes_over_a_connection_as_a_stream(tmp_path: Path) -> None:
    """And stops being read when the viewer has gone: the server ends in good order while one is open."""
    site = Site(tmp_path, f"redis://127.0.0.1:{free_port()}")
    site.start()
    try:
        site.begin(RUN)
        for number in range(3):
            site.step(RUN, number, {"kl": float(number)})
        address = f"{site.url}/api/v1/runs/{RUN}/replay"
        whole = httpx.get(address, params={"speed": "max", "from": 1})
        assert whole.headers["content-type"].startswith("text/event-stream")
        assert (whole.headers["cache-control"], whole.headers["x-accel-buffering"]) == ("no-store", "no")
        assert steps_of(events(whole.content)) == [1, 2]
        with httpx.stream("GET", address, params={"speed": 1e-3}, timeout=20) as answer:
            lines = answer.iter_lines()
            assert next(itertools.islice(lines, 0, None)) == "event: run"
            site.stop()
            site.start()
    finally:
        site.stop()
        site.close()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"speed": "fast"}, "speed is 'fast': expected a number from 0.001 to 1e+06, or max"),
        ({"speed": "-1"}, "speed is '-1'"),
        ({"speed": "nan"}, "speed is 'nan'"),
        ({"speed": "inf"}, "speed is 'inf'"),
        ({"from": 5, "to": 3}, "from is 5 and to is 3: expected from <= to."),
        ({"from": -1}, "from is '-1'"),
    ],
)
def test_what_cannot_be_replayed_is_refused(store: Store, query: dict[str, Any], words: str) -> None:
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    answer = Asking.of(store).ask(f"/api/v1/runs/{RUN}/replay", **query)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert Asking.of(store).ask("/api/v1/runs/math~none/replay").status_code == 404
