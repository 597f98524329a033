"""A past run as server-sent events, as if it happened now."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.api.live import HEADERS
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.replay import Replay
from rolloutwatch_server.store import Store

router = APIRouter(tags=["runs"])

FASTEST = 1e6
SLOWEST = 1e-3


@router.get(
    "/runs/{run}/replay",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def get_replay(
    run: str,
    request: Request,
    from_step: Annotated[int | None, Query(alias="from", ge=0, le=MAX_STEP)] = None,
    to_step: Annotated[int | None, Query(alias="to", ge=0, le=MAX_STEP)] = None,
    speed: Annotated[str, Query(max_length=30)] = "1",
) -> StreamingResponse:
    """Stream steps `from` to `to` of a run by the events of the live feed: `run`, `step` and `mark`.

    Time passes as it was recorded, divided by `speed`, a number; `max` or 0 is as fast as the viewer takes it.
    Steps of which nobody knows when they were made are evenly apart.
    Marks at steps without figures come in their place, at their own times.
    A pause longer than a minute, or than ten steps where these take longer, is cut to that, and a `gap` says so.

    The first `run` tells the state as it was, live; the last one how it is, and then an `end` comes.
    `rewind` and `reset` do not come: what is replayed is what is shown now, and nothing of it is left out.
    """
    pace = _speed(speed)
    if from_step is not None and to_step is not None and from_step > to_step:
        raise HTTPException(422, f"from is {from_step} and to is {to_step}: expected from <= to.")
    detail = await run_in_threadpool(find_run, request, run)
    store: Store = request.app.state.store
    feed: LiveFeed = request.app.state.feed
    first, last = from_step or 0, MAX_STEP if to_step is None else to_step
    replay = Replay(store, detail, first, last, pace)
    feed.hold(replay)
    return StreamingResponse(replay.stream(), media_type="text/event-stream", headers=HEADERS)


def _speed(said: str) -> float | None:
    if said == "max":
        return None
    try:
        speed = float(said)
    except ValueError:
        speed = -1.0
    if speed == 0:
        return None
    if not SLOWEST <= speed <= FASTEST:
        raise HTTPException(
            422,
            f"speed is {said!r}: expected a number from {SLOWEST:g} to {FASTEST:g}, or max, which is 0 too.",
        )
    return speed
