"""A run as it happens, as server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from rolloutwatch_server.api.answers import NOT_STORED
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.live import LiveFeed

router = APIRouter(tags=["runs"])

HEADERS = NOT_STORED | {
    "X-Accel-Buffering": "no"
}  # a proxy is not to collect events before it passes them on


@router.get(
    "/runs/{run}/live",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def get_live(
    run: str, request: Request, generation: Annotated[str | None, Query(max_length=100)] = None
) -> StreamingResponse:
    """Stream a run: `run` (how it is) at once and whenever that changes, `step` for each record of figures,
    `mark` for each mark, `alert` for whatever happens to an alert of it: that it fires, is resolved, flaps, is stable
    again, or still fires; with the alert's id, by which `/alerts/{alert}` has the rest.
    `elsewhere` says that something has happened to alerts of other runs.

    `reset` asks to fetch again what was missed; `rewind` to fetch everything again,
    because the run was resumed from an earlier step and what came after that is not shown any more.
    Who has read series already names the generation they belong to, as the run had it when reading began:
    if it is past, a `rewind` comes at once.

    A step may come in several events, each with some of its metrics.
    What was there before is not sent: a page that connects fetches it by `/series` and `/marks`.
    Restarts and contests are not sent: they come with a `rewind`, or with a `run` that has other `rivals`.
    """
    feed: LiveFeed = request.app.state.feed
    viewer = feed.join(run, generation)
    try:
        # joined first and read second: what is archived in between comes twice rather than not at all
        detail = await run_in_threadpool(find_run, request, run)
    except BaseException:
        feed.leave(viewer)
        raise
    if not viewer.is_told():
        viewer.tell(detail)

    async def events() -> AsyncIterator[bytes]:
        try:
            async for event in viewer.stream():
                yield event
        finally:
            feed.leave(viewer)

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
