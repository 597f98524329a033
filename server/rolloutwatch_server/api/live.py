"""A run as it happens, as server-sent events."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from rolloutwatch_server.api.answers import NOT_STORED
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.live import LiveFeed, run_event

router = APIRouter(tags=["runs"])

_HEADERS = NOT_STORED | {
    "X-Accel-Buffering": "no"
}  # a proxy is not to collect events before it passes them on


@router.get(
    "/runs/{run}/live",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def get_live(run: str, request: Request) -> StreamingResponse:
    """Stream a run: `run` (its summary) at once and whenever its state changes, `step` for each record.

    `reset` asks to fetch again what was missed; `rewind` to fetch everything again,
    because the run was resumed from an earlier step and what came after that is not shown any more.

    A step may come in several events, each with some of its metrics.
    What was there before is not sent: a page that connects fetches it by `/series`.
    """
    feed: LiveFeed = request.app.state.feed
    viewer = feed.join(run)
    try:
        # joined first and read second: what is archived in between comes twice rather than not at all
        detail = await run_in_threadpool(find_run, request, run)
    except BaseException:
        feed.leave(viewer)
        raise
    viewer.put([run_event(detail.summary)])

    async def events() -> AsyncIterator[bytes]:
        try:
            async for event in viewer.stream():
                yield event
        finally:
            feed.leave(viewer)

    return StreamingResponse(events(), media_type="text/event-stream", headers=_HEADERS)
