"""The histogram of the log ratio over the steps of a run."""

from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.tables import HISTOGRAM_EDGES
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.caching import etag, is_known, not_modified, tagged
from rolloutwatch_server.api.runs import Steps, changed_from, find_run
from rolloutwatch_server.store import Store

router = APIRouter(tags=["runs"])

DEFAULT_COLUMNS = 500
MOST_COLUMNS = 2000


class ColumnsOfSteps(BaseModel):
    """Histograms by column, ascending: of its steps `first` to `last`, of which `steps` have a histogram, the sum.

    `counts[i][k]` lie in bin `bin[i] + k`; all other bins of that column are empty.
    Bin `b` reaches from `edges[b - 1]` to `edges[b]`, and the outer ones are open.
    """

    first: list[int]
    last: list[int]
    steps: list[int]
    bin: list[int]
    counts: list[list[int]]


class HistogramsOfRun(BaseModel):
    """Histograms of the log ratio in columns of `width` steps, a power of two, that begin at multiples of it.

    Two columns that follow each other are one of the next width. Steps without a histogram are not there.
    If the generation is another one than that of what was read before, that is to be read again.
    `from_step` is where the answer begins, null for the run's beginning; `changes` is what to ask `after` next time.
    """

    run: str
    generation: str
    changes: int
    from_step: int | None
    width: int
    edges: list[float]
    columns: ColumnsOfSteps


@router.get("/runs/{run}/histograms", responses={200: {"model": HistogramsOfRun}})
def get_histograms(
    run: str,
    request: Request,
    from_step: Steps = None,
    to_step: Steps = None,
    after: Steps = None,
    columns: Annotated[int, Query(ge=1, le=MOST_COLUMNS)] = DEFAULT_COLUMNS,
    width: Annotated[int, Query(ge=1, le=MAX_STEP)] = 1,
) -> Response:
    """Return the histogram of the log ratio of steps `from_step` to `to_step`, of each step if there are few.

    Of more than `columns` steps those that stand together are summed, so that no token gets lost.
    Columns have at least `width` steps, rounded up to a power of two.
    With `after`, the `changes` of an earlier answer, all is sent from the first column on that anything came for since:
    what one has from `from_step` on is to be replaced.
    An answer has an ETag, by which a browser is told that nothing has changed.
    """
    detail = find_run(request, run)
    tag = etag(detail, request.url.query)
    if is_known(request, tag):
        return not_modified(tag)
    store: Store = request.app.state.store
    least = 1 << (width - 1).bit_length()
    begin = changed_from(store, detail, from_step, after)
    if begin is not None and begin != from_step:
        begin = max(from_step or 0, begin // least * least)
    found = store.histograms(run, from_step=begin, to_step=to_step, columns=columns, width=least)
    about = {"generation": detail.generation, "changes": detail.changes, "from_step": begin}
    body = {"run": run, **about, "width": found.width, "edges": HISTOGRAM_EDGES, "columns": _columns(found)}
    return answer(body, headers=tagged(tag))


def _columns(found: Histograms) -> msgspec.Raw:
    """Return the JSON of columns, of each what lies between its empty bins."""
    begins, ends = _filled(found.counts)
    counts = [row[begin:end].tolist() for row, begin, end in zip(found.counts, begins, ends, strict=True)]
    columns = {
        "first": found.first.tolist(),
        "last": found.last.tolist(),
        "steps": found.steps.tolist(),
        "bin": begins,
        "counts": counts,
    }
    return msgspec.Raw(msgspec.json.encode(columns))


def _filled(counts: np.ndarray) -> tuple[list[int], list[int]]:
    """Return where the first bin begins that is not empty, and where the last one ends, of each column."""
    there = counts > 0
    ends = np.where(there.any(axis=1), counts.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    return there.argmax(axis=1).tolist(), ends.tolist()
