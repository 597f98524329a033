"""Figures of a whole run in a few numbers."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.caching import etag, is_known, not_modified, tagged
from rolloutwatch_server.api.runs import MOST_METRICS, find_run
from rolloutwatch_server.spelling import Spelt, spelt
from rolloutwatch_server.summaries import Summaries

router = APIRouter(tags=["runs"])


class Summary(BaseModel):
    """A figure over all steps: how many values came of each kind, the mean of the finite ones, and the last one.

    The lowest and the highest may be infinite, which is text as in alerts; the first step that has it stands beside each.
    Null is what there is not: all of it where no value came.
    """

    finite: int
    infinite: int
    nan: int
    mean: float | None
    last: Spelt | None
    last_step: int | None
    lowest: Spelt | None
    lowest_step: int | None
    highest: Spelt | None
    highest_step: int | None


class SummaryByMetric(BaseModel):
    """The figures asked for; one that the run does not have has no values."""

    run: str
    generation: str
    changes: int
    figures: dict[str, Summary]


@router.get("/runs/{run}/summary", responses={200: {"model": SummaryByMetric}})
def get_summary(
    run: str, request: Request, metric: Annotated[list[str], Query(min_length=1, max_length=MOST_METRICS)]
) -> Response:
    """Return figures of a whole run in a few numbers: last, mean, lowest and highest, of every value there is.

    An answer has an ETag, by which a browser is told that nothing has changed.
    """
    detail = find_run(request, run)
    tag = etag(detail, request.url.query)
    if is_known(request, tag):
        return not_modified(tag)
    summaries: Summaries = request.app.state.summaries
    figures = {name: _spelt(one) for name, one in summaries.of(run, metric).items()}
    about = {"generation": detail.generation, "changes": detail.changes}
    return answer({"run": run, **about, "figures": figures}, headers=tagged(tag))


def _spelt(one: FigureSummary) -> dict[str, object]:
    fields: dict[str, object] = msgspec.structs.asdict(one)
    return {name: spelt(value) if isinstance(value, float) else value for name, value in fields.items()}
