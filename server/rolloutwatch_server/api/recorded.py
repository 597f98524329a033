"""Which steps of a run are recorded, and when they were made."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.caching import etag, is_known, not_modified, tagged
from rolloutwatch_server.api.runs import Steps, find_run
from rolloutwatch_server.recorded_steps import recorded_steps
from rolloutwatch_server.store import Store

router = APIRouter(tags=["runs"])

DEFAULT_STEPS = 1000
MOST_STEPS = 10_000


class RecordedSteps(BaseModel):
    """Steps, ascending, and when each was made (seconds since 1970), null where that is not known.

    `previous` and `next` are the recorded steps before the first and after the last of them, null where there is none.
    """

    run: str
    generation: str
    step: list[int]
    time: list[float | None]
    previous: int | None
    next: int | None


@router.get("/runs/{run}/steps", responses={200: {"model": RecordedSteps}})
def get_steps(
    run: str,
    request: Request,
    from_step: Steps = None,
    to_step: Steps = None,
    most: Annotated[int, Query(ge=1, le=MOST_STEPS)] = DEFAULT_STEPS,
) -> Response:
    """List the recorded steps from `from_step` to `to_step`, those without figures too, the lowest `most` of them.

    Go on from `next`. An answer has an ETag, by which a browser is told that nothing has changed.
    """
    first, last = from_step or 0, MAX_STEP if to_step is None else to_step
    if first > last:
        raise HTTPException(
            422, f"from_step is {first} and to_step is {last}: expected from_step <= to_step."
        )
    detail = find_run(request, run)
    tag = etag(detail, request.url.query)
    if is_known(request, tag):
        return not_modified(tag)
    store: Store = request.app.state.store
    found = recorded_steps(store, detail, first, last, most)
    body = {
        "run": run,
        "generation": detail.generation,
        "step": found.step.tolist(),
        "time": found.time.tolist(),
        "previous": found.previous,
        "next": found.next,
    }
    return answer(body, headers=tagged(tag))
