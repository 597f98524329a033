"""The alerts of a run as they stood at the step that is replayed."""

import asyncio
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.protocol import Source
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.pages.run_alerts import firing_of
from rolloutwatch_dashboard.visit import Visit


def parts() -> list[Component]:
    """Return what the callback names."""
    return [dcc.Store(id=ids.REPLAY_WATCH), html.Div(id=ids.REPLAY_ALERTS)]


def register(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let the alerts be said as replay.js asks for them."""

    @app.callback(
        Output(ids.REPLAY_ALERTS, "children"),
        Input(ids.REPLAY_WATCH, "data"),
        State(ids.LOCATION, "pathname"),
        prevent_initial_call=True,
    )
    async def watch(asked: object, path: object) -> Any:
        run = unquote(str(path).partition("/runs/")[2])
        return await asyncio.to_thread(alerts_then, run, visit().source, asked)


def alerts_then(run: str, source: Source, asked: object) -> html.Div | None:
    """Return what replay.js reads of the alerts that stood, with what had been said of them by then.

    None if nothing sensible is asked:
    `asked` is what a browser sends, which may be anything: {"step", "time"}, the time None where it is not known.
    """
    step, time = (asked.get("step"), asked.get("time")) if isinstance(asked, dict) else (None, None)
    if type(step) is not int or not 0 <= step <= MAX_STEP:
        return None
    known = float(time) if isinstance(time, int | float) and math.isfinite(time) else None
    stood = source.alerts_at(run, step, math.inf if known is None else known)
    # where nobody knows when the step was, it is as if it were that at which the last of them began
    now = known if known is not None else max((one.firing_time for one in stood), default=0.0)
    return html.Div(**{"data-step": str(step), "data-firing": firing_of(stood, now)})
