"""Runs, one run, and its series."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rolloutwatch_contract.protocol import RunDetail, RunState, Source
from rolloutwatch_server.api.answers import NoSuchRun, answer

router = APIRouter(tags=["runs"])

DEFAULT_POINTS = 2000
MOST_POINTS = 100_000
MOST_METRICS = 200

Steps = Annotated[int | None, Query(ge=0, le=2**53 - 1)]


class Run(BaseModel):
    """A run in one line. Steps are null before the first one; times are seconds since 1970."""

    id: str
    project: str
    name: str
    state: RunState
    first_step: int | None
    last_step: int | None
    started_at: float
    updated_at: float


class Runs(BaseModel):
    """All runs, the most recently updated first."""

    runs: list[Run]


class RunWithDetails(Run):
    """A run, the metrics it has, its configuration, its environment, and what it could not deliver, by reason.

    The generation changes when a resumed session takes over steps: what was read before is then to be read again.
    """

    metrics: list[str]
    config: dict[str, str | int | float | bool | None]
    environment: dict[str, str]
    dropped: dict[str, int]
    generation: str


class OneSeries(BaseModel):
    """Values by step, ascending; null where a value is not finite."""

    step: list[int]
    value: list[float | None]


class SeriesByMetric(BaseModel):
    """The series asked for; an empty one for a metric the run does not have."""

    run: str
    series: dict[str, OneSeries]


@router.get("/runs", responses={200: {"model": Runs}})
def get_runs(request: Request) -> Response:
    """List all runs."""
    return answer({"runs": _source(request).runs()})


@router.get("/runs/{run}", responses={200: {"model": RunWithDetails}})
def get_run(run: str, request: Request) -> Response:
    """Tell everything about one run but its figures."""
    return answer(flat(find_run(request, run)))


@router.get("/runs/{run}/series", responses={200: {"model": SeriesByMetric}})
def get_series(
    run: str,
    request: Request,
    metric: Annotated[list[str], Query(min_length=1, max_length=MOST_METRICS)],
    from_step: Steps = None,
    to_step: Steps = None,
    points: Annotated[int, Query(ge=4, le=MOST_POINTS)] = DEFAULT_POINTS,
) -> Response:
    """Return metrics over steps `from_step` to `to_step`, thinned to about `points` without losing an extreme."""
    find_run(request, run)
    found = _source(request).series(run, metric, from_step=from_step, to_step=to_step, points=points)
    columns = {name: {"step": s.step.tolist(), "value": s.value.tolist()} for name, s in found.items()}
    return answer({"run": run, "series": columns})


def find_run(request: Request, run: str) -> RunDetail:
    """Return a run of the archive, or refuse."""
    detail = _source(request).run(run)
    if detail is None:
        raise NoSuchRun(run)
    return detail


def flat(detail: RunDetail) -> dict[str, object]:
    """Return a run as one level of names."""
    summary = {name: getattr(detail.summary, name) for name in detail.summary.__struct_fields__}
    return summary | {
        "metrics": detail.metrics,
        "config": detail.config,
        "environment": detail.environment,
        "dropped": detail.dropped,
        "generation": detail.generation,
    }


def _source(request: Request) -> Source:
    source: Source = request.app.state.store
    return source
