"""What is probably wrong with a run, on its page: asked anew by run_diagnosis.js while alerts stand, and by a replay."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.protocol import RunState, RunSummary, Source
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import diagnosis
from rolloutwatch_dashboard.pages.run_alerts import ALERTS_MARKED
from rolloutwatch_dashboard.visit import Visit

OVER = (RunState.FINISHED, RunState.CRASHED)


def parts() -> list[Component]:
    """Return what the callback names."""
    return [dcc.Store(id=ids.DIAGNOSIS_WATCH), html.Div(id=ids.DIAGNOSIS)]


def register(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let it be said anew when run_diagnosis.js asks."""

    @app.callback(
        Output(ids.DIAGNOSIS, "children"),
        Input(ids.DIAGNOSIS_WATCH, "data"),
        State(ids.LOCATION, "pathname"),
        prevent_initial_call=True,
    )
    async def watch(asked: object, path: object) -> Any:
        run = unquote(str(path).partition("/runs/")[2])
        return await asyncio.to_thread(diagnosis_asked, run, visit().source, asked)


def diagnosis_asked(run: str, source: Source, asked: object) -> html.Div | None:
    """Return what was known at a step that is replayed, or what is known now if none is named.

    None if nothing sensible is asked: `asked` is what a browser sends, which may be anything, {"step"} if it is ours.
    """
    step = asked.get("step") if isinstance(asked, dict) else None
    if step is None:
        return diagnosis_now(run, source)
    if type(step) is not int or not 0 <= step <= MAX_STEP:
        return None
    return _told(source.diagnosis(run, step), run, {"data-at": str(step)})


def diagnosis_now(run: str, source: Source) -> html.Div:
    """Return what is known of a run now, with the alerts and the step it is of, so that nobody asks again before these change.

    Of a run that is over, it is what was known of the alerts that ended with it.
    """
    detail = source.run(run)
    firing = source.alerts(run=run)
    of = {"data-at": "", "data-alerts": " ".join(sorted(one.id for one in firing))}
    last = None if detail is None else detail.summary.last_step
    if detail is None or last is None:
        return html.Div(**of)
    step = last if firing else _before_its_end(detail.summary, source)
    told = Diagnosis(last, last) if step is None else source.diagnosis(run, step)
    return _told(told, run, of | {"data-step": str(last)})


def _before_its_end(summary: RunSummary, source: Source) -> int | None:
    """Return the step at which the alerts stood that ended with their run, None if there are none."""
    last = summary.last_step
    if summary.state not in OVER or not last:
        return None
    past = source.alerts(state="all", run=summary.id, limit=ALERTS_MARKED)
    stood = any(one.resolved_step == last and one.firing_step < last and not one.given_up for one in past)
    return last - 1 if stood else None


def _told(found: Diagnosis, run: str, of: dict[str, str]) -> html.Div:
    """Return the panel, and what the sentence at the head of the page says of it."""
    cause = {"data-cause": found.causes[0].title} if found.is_sure else {}
    return html.Div(diagnosis.panel(found, run, as_of=True), **of, **cause)
