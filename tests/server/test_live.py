"""The live feed: viewers learn of what was archived, in order, and cost the server no memory."""

import asyncio
import gc
import json
import math
from collections.abc import AsyncIterator

from starlette.requests import Request

from rolloutwatch_contract import Heartbeat, Mark, RunEnd, StepRecord
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary
from rolloutwatch_server.api.live import get_live
from rolloutwatch_server.live import (
    ELSEWHERE,
    EVENTS_PER_VIEWER,
    RESET,
    LiveFeed,
    mark_event,
    rewind_event,
    run_event,
    step_event,
)
from rolloutwatch_server.store import DeadLetter, Entry, Position, Store
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step, values

SECONDS = 10.0


def opened() -> LiveFeed:
    feed = LiveFeed()
    feed.open(asyncio.get_running_loop())
    return feed


async def next_of(stream: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(stream), SECONDS)


def test_an_event_is_what_a_browser_can_read() -> None:
    """JSON has no NaN and no infinity: both are null, infinities are spelt beside, and a figure that does not exist is absent."""
    event = step_event(StepRecord(7, 1.5, {"kl": 0.25, "ppl": math.nan, "max": math.inf}))
    name, data, *rest = event.decode().split("\n")
    assert name == "event: step"
    assert rest == ["", ""]
    assert json.loads(data.removeprefix("data: ")) == {
        "step": 7,
        "time": 1.5,
        "metrics": {"kl": 0.25, "ppl": None, "max": None},
        "infinite": {"max": "Infinity"},
    }


def test_a_mark_is_an_event(store: Store) -> None:
    """With its fields; an integer that a browser would round is a text. One that was given up is no news."""
    mark = Mark(7, 1.5, "weight_sync", {"version": 2**53 + 1, "path": "\n\ndata: x", "loss": math.inf})
    name, data, *rest = mark_event(mark).decode().split("\n")
    assert (name, rest) == ("event: mark", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {
        "step": 7, "time": 1.5, "kind": "weight_sync",
        "fields": {"version": str(2**53 + 1), "path": "\n\ndata: x", "loss": None},
    }  # fmt: skip
    store.archive(STREAM, batch(start(time=1.0), step(0, kl=1.0)))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(5, kl=2.0)))

    async def watch() -> bytes:
        feed = opened()
        viewer = feed.join(RUN)
        feed.announce(RUN, store.archive(STREAM, batch(Mark(4, 1.0, "sync"), Mark(6, 1.0, "sync"), first=3)))
        await asyncio.sleep(0)
        feed.close()
        return b"".join([event async for event in viewer.stream()])

    assert asyncio.run(watch()) == mark_event(Mark(4, 1.0, "sync"))


def test_a_viewer_gets_the_steps_of_its_run_in_order() -> None:
    """Announced from the ingest's thread; what is no step, and what belongs to another run, is not shown."""

    async def watch() -> bytes:
        feed = opened()
        viewer, other = feed.join(RUN), feed.join("math~other")
        letter = Entry(Position(9), DeadLetter(STREAM, "9-0", "bad", b"", 0.0))
        await asyncio.to_thread(
            feed.announce, RUN, [*batch(start(), step(1, kl=0.5), Heartbeat(1.0)), letter]
        )
        await asyncio.to_thread(feed.announce, "math~other", batch(step(50, kl=9.0)))
        await asyncio.to_thread(feed.announce, RUN, batch(step(2, kl=0.25), step(3, kl=0.125), RunEnd(1.0)))
        feed.close()
        other_saw = b"".join([event async for event in other.stream()])
        assert other_saw == step_event(step(50, kl=9.0))
        return b"".join([event async for event in viewer.stream()])

    expected = [step(1, kl=0.5), step(2, kl=0.25), step(3, kl=0.125)]
    assert b"".join(step_event(record) for record in expected) == asyncio.run(watch())


def test_what_the_archive_does_not_show_is_not_announced(store: Store) -> None:
    """A trainer that goes on beside its successor is kept; only what the successor does not bring is news."""
    store.archive(STREAM, batch(start(time=1.0), step(0, kl=1.0)))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(5, kl=2.0)))

    async def watch() -> bytes:
        feed = opened()
        viewer = feed.join(RUN)
        late = [step(4, kl=1.0), step(5, kl=1.0), step(6, kl=1.0, eval=1.0)]
        feed.announce(RUN, store.archive(STREAM, batch(*late, first=3)))
        feed.announce(RUN, store.archive(OTHER_SESSION, batch(step(6, kl=2.0), first=3)))
        await asyncio.sleep(0)
        feed.close()
        return b"".join([event async for event in viewer.stream()])

    expected = [step(4, kl=1.0), step(6, eval=1.0), step(6, kl=2.0)]
    assert asyncio.run(watch()) == b"".join(step_event(record) for record in expected)
    assert values(store, "kl") == {0: 1.0, 4: 1.0, 5: 2.0, 6: 2.0}


def test_every_viewer_of_a_run_gets_every_event() -> None:
    async def watch() -> list[bytes]:
        feed = opened()
        streams = [feed.join(RUN).stream() for _ in range(3)]
        feed.publish(RUN, [b"a", b"b"])
        return [await next_of(stream) for stream in streams]

    assert asyncio.run(watch()) == [b"ab"] * 3


def test_a_viewer_that_does_not_keep_up_is_told_to_fetch_again() -> None:
    """The queue is bounded: one event too many, and a single reset stands for them all; later ones follow it."""

    async def watch() -> bytes:
        viewer = opened().join(RUN)
        viewer.put([b"old"] * EVENTS_PER_VIEWER)
        viewer.put([b"one too many"])
        viewer.put([b"new"])
        return await next_of(viewer.stream())

    assert asyncio.run(watch()) == RESET + b"new"


def detail(generation: str, state: RunState = RunState.LIVE) -> RunDetail:
    return RunDetail(RunSummary(RUN, "math", "a", state, 0, 9, 0.0, 1.0), (), {}, {}, {}, generation)


def test_how_a_run_is_does_not_get_lost_in_a_full_queue() -> None:
    """It is no event among many: whoever did not keep up still learns that the run went back."""

    async def watch() -> bytes:
        feed = opened()
        viewer = feed.join(RUN, "old")
        feed.tell(RUN, detail("new"))
        viewer.put([b"x"] * EVENTS_PER_VIEWER)
        viewer.put([b"y"])
        return await next_of(viewer.stream())

    assert asyncio.run(watch()) == run_event(detail("new")) + rewind_event(detail("new")) + RESET


def test_news_is_told_once_and_to_everyone_to_whom_it_is_news() -> None:
    """One viewer knows the history, one has an older one, one has none yet."""

    async def watch() -> list[bytes]:
        feed = opened()
        viewers = [feed.join(RUN, "g1"), feed.join(RUN, "g0"), feed.join(RUN)]
        for _ in range(2):
            feed.tell(RUN, detail("g1"))
        first = [await next_of(viewer.stream()) for viewer in viewers]
        feed.tell(RUN, detail("g1"))
        feed.tell(RUN, detail("g1", RunState.FINISHED))
        feed.publish(RUN, [b"step"])
        return [*first, *[await next_of(viewer.stream()) for viewer in viewers]]

    told, back = run_event(detail("g1")), rewind_event(detail("g1"))
    ended = run_event(detail("g1", RunState.FINISHED))
    heard = asyncio.run(watch())
    first, later = heard[:3], heard[3:]
    assert first == [told, told + back, told]
    assert [one.removesuffix(b"step") for one in later] == [ended] * 3


def test_a_full_queue_is_still_delivered() -> None:
    async def watch() -> bytes:
        viewer = opened().join(RUN)
        viewer.put([b"x"] * EVENTS_PER_VIEWER)
        return await next_of(viewer.stream())

    assert asyncio.run(watch()) == b"x" * EVENTS_PER_VIEWER


def test_closing_ends_open_and_new_streams() -> None:
    """A viewer that waits is let go, so that the server can end; one that comes now need not wait at all."""

    async def watch() -> list[bytes]:
        feed = opened()
        waiting = asyncio.ensure_future(next_of(feed.join(RUN).stream()))
        await asyncio.sleep(0)
        feed.close()
        late = [event async for event in feed.join(RUN).stream()]
        try:
            return [*late, await waiting]
        except StopAsyncIteration:
            return late

    assert asyncio.run(watch()) == []


def test_a_viewer_that_left_is_forgotten() -> None:
    async def watch() -> None:
        feed = opened()
        first, second = feed.join(RUN), feed.join(RUN)
        feed.leave(first)
        assert feed.watched() == [RUN]
        feed.leave(second)
        feed.leave(second)
        assert feed.watched() == []

    asyncio.run(watch())


def test_the_ingest_may_announce_when_nobody_listens_any_more() -> None:
    """The event loop ends before the ingest's thread does."""
    feed = LiveFeed()
    loop = asyncio.new_event_loop()
    feed.announce(RUN, batch(step(0)))
    feed.open(loop)
    viewer = feed.join(RUN)
    loop.close()
    assert feed.watched() == [viewer.run]
    feed.announce(RUN, batch(step(1)))


def test_a_viewer_that_went_away_or_asked_for_nothing_leaves_nothing(store: Store) -> None:
    """The endpoint forgets its viewer when the connection is gone, and when there is no such run."""
    api = Asking.of(store)
    store.archive(STREAM, batch(start()))

    async def watch() -> None:
        api.feed.open(asyncio.get_running_loop())
        response = await get_live(RUN, Request({"type": "http", "app": api.app}))
        events = response.body_iterator
        assert (await anext(events)).startswith(b"event: run\n")
        assert api.feed.watched() == [RUN]
        await events.aclose()
        assert api.feed.watched() == []

        # a browser that leaves before its stream has begun: nothing is ever asked of it, so nothing can tell
        response = await get_live(RUN, Request({"type": "http", "app": api.app}))
        assert api.feed.watched() == [RUN]
        del response
        gc.collect()
        assert api.feed.watched() == []

    asyncio.run(watch())
    assert api.ask("/api/v1/runs/math~none/live").status_code == 404
    assert api.feed.watched() == []


def test_viewers_of_other_runs_are_told_that_alerts_have_changed() -> None:
    """Once for all runs together; those that watch one of these have been told more."""

    async def watch() -> None:
        feed = opened()
        other, same = feed.join("math~other"), feed.join(RUN)
        feed.publish(RUN, [b"event: alert\n\n"])
        feed.publish_elsewhere({RUN, "math~third"})
        assert await next_of(other.stream()) == ELSEWHERE
        assert await next_of(same.stream()) == b"event: alert\n\n"
        feed.publish(RUN, [b"event: last\n\n"])
        assert await next_of(same.stream()) == b"event: last\n\n"

    asyncio.run(watch())
