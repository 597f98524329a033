"""All of one step: figures, histogram, sequences, marks, and the alerts that stand."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import json_fields
from rolloutwatch_contract.protocol_steps import NoStep, SequencesView, TokensView
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.tables import HISTOGRAM_BINS, HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.runs import OneMark, find_run
from rolloutwatch_server.step_view import step_view
from rolloutwatch_server.store import Store

router = APIRouter(tags=["runs"])

DEFAULT_ROWS = 256
MOST_ROWS = 4096
MOST_MARKS = 1000  # of each kind

_COLUMNS = [name for name in SEQUENCE_COLUMNS if name not in ("group", "sample_id")]


class Histogram(BaseModel):
    """Counts of the log ratio of tokens: `counts[i]` lie from `edges[i - 1]` to `edges[i]`; the outer bins are open."""

    edges: list[float]
    counts: list[int]


class Sequences(BaseModel):
    """Rows `offset` and following of `total`: figures by column, ids (text where 2^53 is not enough), groups.

    `n_sequences` is how many the batch had; where that is more than `total` only the worst were sent.
    """

    total: int
    offset: int
    n_sequences: int | None
    columns: dict[str, list[float | None]]
    sample_ids: list[int | str]
    groups: list[str | None]


class Tokens(BaseModel):
    """The tokens of the sequence in a row of the table, as text, and the log ratio of each."""

    row: int
    texts: list[str]
    log_ratios: list[float | None]


class OneAlert(BaseModel):
    """An alert that stands after the step: of which rule, since when, and the figures that made it fire.

    `id` is that of `/alerts/{id}`, `condition` what the rule asks, `since_time` in seconds since 1970.
    """

    id: str
    rule: str
    severity: Literal["warning", "critical"]
    condition: str
    since_step: int
    since_time: float
    values: dict[str, float | None]
    summary: str
    cure: str
    acknowledged_by: str


class OneAttempt(BaseModel):
    """A session that did the step; `shown` if it speaks for it."""

    session: str
    metrics: int
    shown: bool


class Step(BaseModel):
    """One step as it is shown, or as another session did it.

    `time` is the trainer's clock in seconds since 1970, null where that is not known.
    `alerts` are those that stand after the step, as recorded; null for an attempt that is not shown.
    `previous` and `next` are the recorded steps beside it. A step that has marks alone is that of who made the last one.
    """

    run: str
    step: int
    session: str
    shown: bool
    time: float | None
    metrics: dict[str, float | None]
    histogram: Histogram | None
    sequences: Sequences | None
    tokens: list[Tokens]
    marks: list[OneMark]
    alerts: list[OneAlert] | None
    attempts: list[OneAttempt]
    previous: int | None
    next: int | None


@router.get("/runs/{run}/steps/{step}", responses={200: {"model": Step}})
def get_step(
    run: str,
    request: Request,
    step: Annotated[int, Path(ge=0, le=MAX_STEP)],
    attempt: Annotated[str | None, Query(max_length=200)] = None,
    offset: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 0,
    rows: Annotated[int, Query(ge=0, le=MOST_ROWS)] = DEFAULT_ROWS,
) -> Response:
    """Return all of one step; with `attempt`, the id of a session, as that one did it.

    Of the table of sequences `rows` rows come, from `offset` on, and the tokens of these.
    """
    detail = find_run(request, run)
    store: Store = request.app.state.store
    view = step_view(store, detail, step, attempt)
    if isinstance(view, NoStep):
        raise _refusal(view, attempt)
    marks = store.marks(run, from_step=step, to_step=step, most=MOST_MARKS)
    body = {
        "run": run,
        "step": step,
        "session": view.session,
        "shown": view.shown,
        "time": view.time,
        "metrics": view.metrics,
        "histogram": _histogram(view.histogram),
        "sequences": _sequences(view.sequences, offset, rows),
        "tokens": _tokens(view.tokens, offset, rows),
        "marks": [msgspec.structs.asdict(mark) | {"fields": json_fields(mark.fields)} for mark in marks],
        "alerts": None if view.alerts is None else [_alert(one) for one in view.alerts],
        "attempts": [msgspec.structs.asdict(one) for one in view.attempts],
        "previous": view.previous,
        "next": view.next,
    }
    return answer(body)


def _refusal(missing: NoStep, attempt: str | None) -> HTTPException:
    """Return what is said of a step that is not there, with those that are."""
    run, step = missing.run, missing.step
    sessions = ", ".join(missing.attempts[:20])
    if missing.attempts and attempt is None:
        return HTTPException(
            404,
            f"step {step} of run {run} was given up when the run was resumed from an earlier step. "
            f"With attempt= one of {sessions} it is shown.",
        )
    if missing.attempts and attempt is not None:
        return HTTPException(
            404, f"step {step} of run {run} has no attempt {attempt[:100]!r}: expected one of {sessions}."
        )
    nearest = [str(one) for one in (missing.previous, missing.next) if one is not None]
    hint = f"; nearest {'are' if len(nearest) > 1 else 'is'} {' and '.join(nearest)}." if nearest else ""
    return HTTPException(404, f"run {run} has no step {step}{hint or ', nor any other yet.'}")


def _histogram(counts: npt.NDArray[np.int64] | None) -> dict[str, Any] | None:
    if counts is None:
        return None
    edges = HISTOGRAM_EDGES if counts.shape == (HISTOGRAM_BINS,) else ()
    return {"edges": edges, "counts": counts.tolist()}


def _sequences(sequences: SequencesView | None, offset: int, rows: int) -> dict[str, Any] | None:
    if sequences is None:
        return None
    part = slice(offset, offset + rows)
    columns = sequences.columns
    return {
        "total": sequences.total,
        "offset": offset,
        "n_sequences": sequences.n_sequences,
        "columns": {name: columns[name][part].tolist() for name in _COLUMNS if name in columns},
        "sample_ids": [one if abs(one) <= MAX_STEP else str(one) for one in sequences.sample_ids[part]],
        "groups": sequences.groups[part],
    }


def _tokens(tokens: Sequence[TokensView], offset: int, rows: int) -> list[dict[str, Any]]:
    return [
        {"row": one.row, "texts": one.texts, "log_ratios": one.log_ratios.tolist()}
        for one in tokens
        if offset <= one.row < offset + rows
    ]


def _alert(alert: AlertView) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "severity": alert.severity.word,
        "condition": alert.condition,
        "since_step": alert.firing_step,
        "since_time": alert.firing_time,
        "values": dict(alert.values),
        "summary": alert.summary,
        "cure": alert.cure,
        "acknowledged_by": alert.acknowledged_by,
    }
