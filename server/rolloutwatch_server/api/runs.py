"""Runs, one run, its series, and its marks."""

import enum
from typing import Annotated, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, StrictBool
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState, Series, Source, json_fields
from rolloutwatch_contract.record import MAX_METRICS, MAX_STEP
from rolloutwatch_contract.tags import LETTERS_OF_A_TAG, MOST_TAGS
from rolloutwatch_server.api.answers import NOT_STORED, NoSuchRun, answer, moment
from rolloutwatch_server.api.bodies import Sent
from rolloutwatch_server.api.caching import etag, is_known, not_modified, tagged
from rolloutwatch_server.spelling import spelt
from rolloutwatch_server.store import RunIsLive, Store

router = APIRouter(tags=["runs"])

DEFAULT_POINTS = 2000
MOST_POINTS = 100_000
MOST_METRICS = MAX_METRICS
MOST_VALUES = 2**20  # of one answer, which has then some fifty megabytes
DEFAULT_MARKS = 500
MOST_MARKS = 100_000

Steps = Annotated[int | None, Query(ge=0, le=MAX_STEP)]


class Run(BaseModel):
    """A run in one line. Steps are null before the first one; times are seconds since 1970.

    It is contested while two trainers write to it at once.
    What people have put away is archived, and listed all the same.
    """

    id: str
    project: str
    name: str
    state: RunState
    first_step: int | None
    last_step: int | None
    started_at: float
    updated_at: float
    contested: bool
    tags: list[str]
    archived: bool


class Labels(Sent):
    """What is to be said of a run: tags instead of those it has, and whether it is put away. What is left out, or null, stays.

    A tag is text in one line without a comma; each is kept once.
    """

    tags: list[Annotated[str, Field(min_length=1, max_length=LETTERS_OF_A_TAG)]] | None = Field(
        None, max_length=MOST_TAGS
    )
    archived: StrictBool | None = None


class Session(BaseModel):
    """A process that writes to a run, or wrote; what it said of itself; whether another one writes the same now."""

    id: str
    state: RunState
    started_at: float
    config: dict[str, str | int | float | bool | None]
    environment: dict[str, str]
    contested: bool


class Runs(BaseModel):
    """All runs, the most recently updated first."""

    runs: list[Run]


class RunWithDetails(Run):
    """A run, the metrics it has, its configuration, its environment, and what it could not deliver, by reason.

    Sessions stand in the order in which they started; of two that bring the same figures the later one is shown.
    The generation changes when a resumed session takes over steps: what was read before is then to be read again.
    Before the step `tables_from` sequences, histograms and all else that goes along with a step were let go of;
    null if nothing was. `reference` is the run that it is compared with from its first step on, empty if there is none.
    """

    metrics: list[str]
    config: dict[str, str | int | float | bool | None]
    environment: dict[str, str]
    dropped: dict[str, int]
    generation: str
    sessions: list[Session]
    tables_from: int | None
    reference: str


class Axis(enum.Enum):
    """What series are read by."""

    STEP = "step"
    TIME = "time"


class OneSeries(BaseModel):
    """Values by step, or else by time (seconds since 1970), ascending; null is NaN unless it is infinite."""

    step: list[int]
    value: list[float | None]
    time: list[float] | None
    infinite: dict[int, Literal["Infinity", "-Infinity"]]


class SeriesByMetric(BaseModel):
    """The series asked for; an empty one for a metric the run does not have.

    If the generation is another one than that of what was read before, that is to be read again.
    `from_step` is where the answer begins, null for the run's beginning; `changes` is what to ask `after` next time.
    """

    run: str
    generation: str
    changes: int
    from_step: int | None
    series: dict[str, OneSeries]


class OneMark(BaseModel):
    """Something that happened at a step: weight_sync, checkpoint, config, restart, rollback, takeover, contested,
    or a trainer's own kind.

    What is found follows from the run's sessions; all else a trainer has sent.
    In its fields an integer beyond 2^53 is a text, and null is none or not finite.
    """

    step: int
    time: float
    kind: str
    fields: dict[str, str | int | float | bool | None]
    session: str
    found: bool


class Marks(BaseModel):
    """The marks of a run, by step."""

    run: str
    marks: list[OneMark]


@router.get("/runs", responses={200: {"model": Runs}})
def get_runs(request: Request) -> Response:
    """List all runs."""
    return answer({"runs": _source(request).runs()})


@router.get("/runs/{run}", responses={200: {"model": RunWithDetails}})
def get_run(run: str, request: Request) -> Response:
    """Tell everything about one run but its figures."""
    return answer(flat(find_run(request, run)))


@router.patch("/runs/{run}", responses={200: {"model": RunWithDetails}})
def patch_run(run: str, request: Request, said: Labels) -> Response:
    """Tag a run, put it away, or take it out again."""
    store: Store = request.app.state.store
    try:
        is_there = store.label(run, tags=said.tags, archived=said.archived)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    if not is_there:
        raise NoSuchRun(run, _removed(request, run))
    return answer(flat(find_run(request, run)))


@router.delete("/runs/{run}", status_code=204, responses={204: {"description": "It is gone"}})
async def delete_run(run: str, request: Request) -> Response:
    """Delete a run that has ended or stalled, for ever; its viewers are told. One that is live is refused with 409.

    A trainer that had only been silent and goes on begins a new run of that name with its next step.
    """
    store, feed = request.app.state.store, request.app.state.feed
    try:
        was_there = await run_in_threadpool(store.delete, run, "deleted by hand")
    except RunIsLive as error:
        raise HTTPException(409, str(error)) from error
    if not was_there:
        raise NoSuchRun(run, await run_in_threadpool(_removed, request, run))
    feed.gone(run)
    return Response(status_code=204, headers=NOT_STORED)


@router.get("/runs/{run}/series", responses={200: {"model": SeriesByMetric}})
def get_series(
    run: str,
    request: Request,
    metric: Annotated[list[str], Query(min_length=1, max_length=MOST_METRICS)],
    from_step: Steps = None,
    to_step: Steps = None,
    after: Steps = None,
    points: Annotated[int, Query(ge=4, le=MOST_POINTS)] = DEFAULT_POINTS,
    x: Axis = Axis.STEP,
) -> Response:
    """Return metrics over steps `from_step` to `to_step`, thinned to about `points` without losing an extreme.

    With `after`, the `changes` of an earlier answer, all is sent from the lowest step on that anything came for since,
    late figures too: that step is `from_step`, and what one has from there on is to be replaced.
    By `x=time`, columns are of time,
    and values of which nobody knows when they were made are left out.
    An answer has an ETag, by which a browser is told that nothing has changed.
    """
    if len(metric) * points > MOST_VALUES:
        raise HTTPException(
            422,
            f"points is {points} for each of {len(metric)} metrics: expected at most {MOST_VALUES} values in all. "
            f"Ask for {MOST_VALUES // len(metric)} points, or for fewer metrics at once.",
        )
    detail = find_run(request, run)
    tag = etag(detail, request.url.query)
    if is_known(request, tag):
        return not_modified(tag)
    store: Store = request.app.state.store
    begin = changed_from(store, detail, from_step, after)
    found = store.series(run, metric, from_step=begin, to_step=to_step, points=points, by_time=x is Axis.TIME)
    columns = {name: _columns(series) for name, series in found.items()}
    about = {"generation": detail.generation, "changes": detail.changes, "from_step": begin}
    return answer({"run": run, **about, "series": columns}, headers=tagged(tag))


@router.get("/runs/{run}/marks", responses={200: {"model": Marks}})
def get_marks(
    run: str,
    request: Request,
    from_step: Steps = None,
    to_step: Steps = None,
    most: Annotated[int, Query(ge=1, le=MOST_MARKS)] = DEFAULT_MARKS,
) -> Response:
    """Return what is marked from step `from_step` to `to_step`: what a trainer marked, restarts, and contests.

    Of a kind that a trainer has marked more often than `most` times about so many come, spread over the steps.
    """
    find_run(request, run)
    marks = _source(request).marks(run, from_step=from_step, to_step=to_step, most=most)
    return answer({"run": run, "marks": [_mark(mark) for mark in marks]})


def find_run(request: Request, run: str) -> RunDetail:
    """Return a run of the archive, or refuse."""
    detail = _source(request).run(run)
    if detail is None:
        raise NoSuchRun(run, _removed(request, run))
    return detail


def _removed(request: Request, run: str) -> str:
    """Say when and why a run was deleted, if it was."""
    store: Store = request.app.state.store
    return "".join(
        f" any more, it was deleted at {moment(one.time)} ({one.reason})" for one in store.removals(run)[:1]
    )


def flat(detail: RunDetail) -> dict[str, object]:
    """Return a run as one level of names."""
    summary = {name: getattr(detail.summary, name) for name in detail.summary.__struct_fields__}
    return summary | {
        "metrics": detail.metrics,
        "config": detail.config,
        "environment": detail.environment,
        "dropped": detail.dropped,
        "generation": detail.generation,
        "sessions": detail.sessions,
        "tables_from": detail.tables_from,
        "reference": detail.reference,
    }


def changed_from(store: Store, detail: RunDetail, from_step: int | None, after: int | None) -> int | None:
    """Return the step from which on there is something to send."""
    if after is None:
        return from_step
    if after == detail.changes:
        return MAX_STEP  # nothing came
    since = store.changed_from(detail.summary.id, after) if after < detail.changes else 0
    return max(from_step or 0, since)


def _columns(series: Series) -> msgspec.Raw:
    """Return the JSON of a series, which is a fifth of what its numbers are as objects."""
    time = None if series.time is None else series.time.tolist()
    infinite = np.flatnonzero(np.isinf(series.value)).tolist()
    columns = {
        "step": series.step.tolist(),
        "value": series.value.tolist(),
        "time": time,
        "infinite": {int(series.step[at]): spelt(float(series.value[at])) for at in infinite},
    }
    return msgspec.Raw(msgspec.json.encode(columns))


def _mark(mark: MarkView) -> dict[str, object]:
    fields: dict[str, object] = msgspec.structs.asdict(mark)
    return fields | {"fields": json_fields(mark.fields)}


def _source(request: Request) -> Source:
    source: Source = request.app.state.store
    return source
