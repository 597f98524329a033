"""All of one step: figures, histogram, sequences, marks, and the alerts that stand."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import RunDetail, json_fields
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.tables import HISTOGRAM_EDGES, SEQUENCE_COLUMNS
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.runs import OneMark, find_run
from rolloutwatch_server.recorded_steps import neighbours
from rolloutwatch_server.store import Attempt, Portion, StepTables, Store

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
    attempts = store.attempts(run, step)
    shown = next(iter(store.portions(run, None, step, step, bare=True)), None)
    tables = next((one for _, one in store.tables(run, step, step)), StepTables())
    marks = store.marks(run, from_step=step, to_step=step, most=MOST_MARKS)
    session = _speaker(attempts, shown, tables)
    if not attempts and marks:
        session = marks[-1].session
        attempts = [Attempt(session, {}, StepTables())]
    before, after = neighbours(store, detail, step)
    chosen = _chosen(detail, step, session, attempt, attempts, (before, after))
    is_shown = chosen.session == session
    if not is_shown:
        metrics, tables, time = chosen.metrics, chosen.tables, math.nan
    else:
        metrics, time = _shown_metrics(shown), math.nan if shown is None else float(shown.time[0])
    body = {
        "run": run,
        "step": step,
        "session": chosen.session,
        "shown": is_shown,
        "time": time,
        "metrics": metrics,
        "histogram": _histogram(tables),
        "sequences": _sequences(tables, metrics, offset, rows),
        "tokens": _tokens(tables, offset, rows),
        "marks": [msgspec.structs.asdict(mark) | {"fields": json_fields(mark.fields)} for mark in marks],
        "alerts": [_alert(one) for one in store.alerts_at(run, step)] if is_shown else None,
        "attempts": [
            {"session": one.session, "metrics": len(one.metrics), "shown": one.session == session}
            for one in attempts
        ],
        "previous": before,
        "next": after,
    }
    return answer(body)


def _speaker(attempts: Sequence[Attempt], shown: Portion | None, tables: StepTables) -> str | None:
    """Return the session of which most of what is shown is, the later of two; None if nothing is shown."""
    counts: dict[str, int] = {}
    for metric in _shown_metrics(shown):
        brought = [one.session for one in attempts if metric in one.metrics]
        if brought:
            counts[brought[-1]] = counts.get(brought[-1], 0) + 1
    order = [one.session for one in attempts]
    if counts:
        return max(counts, key=lambda session: (counts[session], order.index(session)))
    # what has no figures may have tables all the same, or nothing but a time
    with_tables = [one.session for one in attempts if one.tables == tables != StepTables()]
    bare = [one.session for one in attempts if shown is not None and not one.metrics]
    return next(reversed(with_tables or bare), None)


def _shown_metrics(shown: Portion | None) -> dict[str, float]:
    if shown is None:
        return {}
    return {name: float(shown.values[name][0]) for name, there in shown.present.items() if there[0]}


def _chosen(
    detail: RunDetail,
    step: int,
    session: str | None,
    attempt: str | None,
    attempts: Sequence[Attempt],
    beside: tuple[int | None, int | None],
) -> Attempt:
    """Return the attempt that is asked for, the shown one unless another is named, or refuse."""
    wanted = session if attempt is None else attempt
    for one in attempts:
        if one.session == wanted:
            return one
    run = detail.summary.id
    if attempts:
        sessions = ", ".join(one.session for one in attempts[:20])
        if attempt is None:
            raise HTTPException(
                404,
                f"step {step} of run {run} was given up when the run was resumed from an earlier step. "
                f"With attempt= one of {sessions} it is shown.",
            )
        raise HTTPException(
            404, f"step {step} of run {run} has no attempt {attempt[:100]!r}: expected one of {sessions}."
        )
    nearest = [str(one) for one in beside if one is not None]
    hint = f"; nearest {'are' if len(nearest) > 1 else 'is'} {' and '.join(nearest)}." if nearest else ""
    raise HTTPException(404, f"run {run} has no step {step}{hint or ', nor any other yet.'}")


def _histogram(tables: StepTables) -> dict[str, Any] | None:
    if tables.histogram is None:
        return None
    counts = tables.histogram.numpy()
    edges = HISTOGRAM_EDGES if counts.shape == (len(HISTOGRAM_EDGES) + 1,) else ()
    return {"edges": edges, "counts": counts.tolist()}


def _sequences(
    tables: StepTables, metrics: Mapping[str, float], offset: int, rows: int
) -> dict[str, Any] | None:
    if tables.sequences is None:
        return None
    table = tables.sequences.numpy()
    page = table[offset : offset + rows]
    named = {name: page[:, at].tolist() for at, name in enumerate(SEQUENCE_COLUMNS[: table.shape[1]])}
    count = metrics.get("n_sequences", math.nan)
    return {
        "total": len(table),
        "offset": offset,
        "n_sequences": int(count) if math.isfinite(count) else None,
        "columns": {name: named[name] for name in _COLUMNS if name in named},
        "sample_ids": _sample_ids(tables, named.get("sample_id", []), offset, rows),
        "groups": [_group(tables.groups, number) for number in named.get("group", [])],
    }


def _sample_ids(tables: StepTables, column: Sequence[float], offset: int, rows: int) -> list[int | str]:
    ids = [int(number) if math.isfinite(number) else -1 for number in column]
    if tables.sample_ids is not None:
        ids = tables.sample_ids.numpy()[offset : offset + rows].tolist()
    return [number if abs(number) <= MAX_STEP else str(number) for number in ids]


def _group(names: Sequence[str], number: float) -> str | None:
    return names[int(number)] if 0 <= number < len(names) else None


def _tokens(tables: StepTables, offset: int, rows: int) -> list[dict[str, Any]]:
    return [
        {"row": one.row, "texts": one.texts, "log_ratios": one.log_ratios.numpy().tolist()}
        for one in tables.tokens
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
