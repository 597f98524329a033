"""What is probably wrong with a run at a step."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rolloutwatch_contract import guides
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.diagnosing import diagnosis_of

router = APIRouter(tags=["runs"])


class OneCause(BaseModel):
    """A hypothesis: how likely it is, from 0 to 1, what speaks for it and against it, what to look at next, and what mends it.

    `guide` is the page of this server that tells of it.
    """

    name: str
    title: str
    confidence: float
    evidence_for: list[str]
    evidence_against: list[str]
    check: str
    cure: str
    guide: str


class WhatIsWrong(BaseModel):
    """The likeliest causes of what began at step `onset`, as they look at `step`; none where no alert about the policies stands.

    `over` is the step from which on log-probs agree as before again, null if they do not: then it is what was wrong.
    `is_sure` tells whether the first is likely enough to be named, and `headline` says it in a sentence.
    """

    run: str
    step: int
    onset: int
    over: int | None
    is_sure: bool
    headline: str
    causes: list[OneCause]


@router.get("/runs/{run}/diagnosis", responses={200: {"model": WhatIsWrong}})
def get_diagnosis(
    run: str, request: Request, step: Annotated[int | None, Query(ge=0, le=MAX_STEP)] = None
) -> Response:
    """Return what is probably wrong at a step, the last one unless another is asked for, by what was known then."""
    detail = find_run(request, run)
    at = detail.summary.last_step if step is None else step
    found = diagnosis_of(request.app.state.store, run, 0 if at is None else at)
    return answer(
        {
            "run": run,
            "step": found.step,
            "onset": found.onset,
            "over": found.over,
            "is_sure": found.is_sure,
            "headline": found.headline,
            "causes": [
                msgspec.structs.asdict(cause) | {"guide": guides.link(cause.guide)} for cause in found.causes
            ],
        }
    )
