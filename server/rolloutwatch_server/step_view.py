"""All of one step, as pages show it and the API tells it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.protocol_steps import AttemptView, NoStep, SequencesView, StepView, TokensView
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_server.recorded_steps import neighbours
from rolloutwatch_server.store import Attempt, Portion, StepTables, Store


def step_view(store: Store, detail: RunDetail, step: int, attempt: str | None = None) -> StepView | NoStep:
    """Return all of one step but its marks; with `attempt`, the id of a session, as that one did it.

    A step that has marks alone is that of who made the last one.
    """
    run = detail.summary.id
    attempts = store.attempts(run, step)
    shown = next(iter(store.portions(run, None, step, step, bare=True)), None)
    tables = next((one for _, one in store.tables(run, step, step)), StepTables())
    session = _speaker(attempts, shown, tables)
    if not attempts:
        marks = store.marks(run, from_step=step, to_step=step, most=1)
        session = marks[-1].session if marks else None
        attempts = [Attempt(mark.session, {}, StepTables()) for mark in marks[-1:]]
    before, after = neighbours(store, detail, step)
    wanted = session if attempt is None else attempt
    chosen = next((one for one in attempts if one.session == wanted), None)
    if chosen is None:
        sessions = tuple(one.session for one in attempts)
        return NoStep(run=run, step=step, attempts=sessions, previous=before, next=after)
    is_shown = chosen.session == session
    metrics = _shown_metrics(shown) if is_shown else chosen.metrics
    tables = tables if is_shown else chosen.tables
    time = float(shown.time[0]) if is_shown and shown is not None else math.nan
    return StepView(
        run=run,
        step=step,
        session=chosen.session,
        shown=is_shown,
        time=time if math.isfinite(time) else None,
        metrics=metrics,
        histogram=None if tables.histogram is None else tables.histogram.numpy(),
        sequences=_sequences(tables, metrics),
        tokens=_tokens(tables),
        alerts=tuple(store.alerts_at(run, step)) if is_shown else None,
        attempts=tuple(
            AttemptView(one.session, len(one.metrics), one.session == session) for one in attempts
        ),
        previous=before,
        next=after,
    )


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


def _sequences(tables: StepTables, metrics: Mapping[str, float]) -> SequencesView | None:
    if tables.sequences is None:
        return None
    table = tables.sequences.numpy().astype(np.float64)
    named = {name: table[:, at] for at, name in enumerate(SEQUENCE_COLUMNS[: table.shape[1]])}
    count = metrics.get("n_sequences", math.nan)
    nothing = np.zeros(0)
    return SequencesView(
        columns=named,
        sample_ids=_sample_ids(tables, named.get("sample_id", nothing), len(table)),
        groups=tuple(
            _group(tables.groups, number) for number in named.get("group", np.full(len(table), -1.0)).tolist()
        ),
        n_sequences=int(count) if math.isfinite(count) else None,
    )


def _sample_ids(tables: StepTables, column: npt.NDArray[np.float64], rows: int) -> tuple[int, ...]:
    if tables.sample_ids is not None:
        return tuple(tables.sample_ids.numpy().tolist())
    ids = [int(number) if math.isfinite(number) else -1 for number in column.tolist()]
    return tuple(ids) if ids else (-1,) * rows


def _group(names: Sequence[str], number: float) -> str | None:
    return names[int(number)] if 0 <= number < len(names) else None


def _tokens(tables: StepTables) -> tuple[TokensView, ...]:
    return tuple(
        TokensView(one.row, one.texts, one.log_ratios.numpy().astype(np.float64)) for one in tables.tokens
    )
