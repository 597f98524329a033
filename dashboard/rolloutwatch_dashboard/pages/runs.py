"""The page of all runs."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from dash import Dash, Input, Output, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail, RunState, RunSummary, Series, Source
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.charts import TILES, UNREADABLE
from rolloutwatch_dashboard.components import alert, badge, frame
from rolloutwatch_dashboard.judgement import health, is_past, verdict, with_voids
from rolloutwatch_dashboard.text import age, number
from rolloutwatch_dashboard.visit import Shown, Visit

Limits = Callable[[str], Sequence[Limit]]  # of a run

SECONDS_BETWEEN_LOOKS = 3.0
MOST_RUNS = 100
MOST_ALERTS = 1000
STEPS_BACK = 300  # in which a figure is looked for; one that comes less often is shown on the run's page

TRAINER = """import rolloutwatch

monitor = rolloutwatch.Monitor(
    project="math", run="grpo-7b",
    config={"rollout_is": "token", "rollout_is_threshold": 2.0},
)
for step in range(steps):
    ...
    correction = monitor.correct(
        step=step, training_logprobs=old_logprobs,
        rollout_logprobs=rollout_logprobs, response_mask=response_mask,
    )
monitor.close()"""


def show(visit: Visit) -> Shown:
    """Return the page, which looks anew while it is open."""
    tick = dcc.Interval(id=ids.TICK, interval=1000 * SECONDS_BETWEEN_LOOKS)
    return html.Div([tick, html.Div(_table(visit), id=ids.RUNS)]), None


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [dcc.Interval(id=ids.TICK), html.Div(id=ids.RUNS)]


def register(app: Dash, visit: Callable[[], Visit]) -> None:
    """Let the table be made anew while it is looked at."""

    @app.callback(Output(ids.RUNS, "children"), Input(ids.TICK, "n_intervals"), prevent_initial_call=True)
    async def look(_ticks: int) -> Any:
        return await asyncio.to_thread(lambda: _table(visit()))


def _table(visit: Visit) -> Any:
    return table(visit.source, visit.limits, visit.now)


def table(source: Source, limits: Limits, now: float) -> Any:
    """Return the runs, the most recently updated first, with their core figures as they are now."""
    found = source.runs()
    if not found:
        return _empty(now)
    head = html.Thead(
        html.Tr([html.Th(name) for name in ("Run", "Health", "State", "Step", "Updated", *TILES.values())])
    )
    firing: dict[str, list[AlertView]] = {}
    for one in source.alerts(limit=MOST_ALERTS):
        firing.setdefault(one.run, []).append(one)
    rows = [_row(run, source, limits(run.id), firing.get(run.id, []), now) for run in found[:MOST_RUNS]]
    older = len(found) - len(rows)
    return html.Section(
        [
            html.H1("Runs"),
            html.Table([head, html.Tbody(rows)]),
            html.P(f"{older} older ones are not listed here; /api/v1/runs has them." if older else ""),
        ],
        **{"data-now": str(now)},
    )


def _row(
    run: RunSummary, source: Source, limits: Sequence[Limit], firing: Sequence[AlertView], now: float
) -> html.Tr:
    link = dcc.Link(
        [html.Span(f"{run.project} / ", className="project"), run.name], href=f"/runs/{quote(run.id)}"
    )
    from_step = max(0, (run.last_step or 0) - STEPS_BACK)
    detail = source.run(run.id) or RunDetail(run, (), {}, {}, {})
    read = source.series(run.id, _judged(detail, limits), from_step=from_step)
    lately = {
        name: with_voids(one, read[UNREADABLE]) if name in METRICS else one for name, one in read.items()
    }
    word, kind = health(detail, lately, TILES, limits)
    if run.state is RunState.STALLED:
        word, kind = word if kind == "unknown" else f"was {word}", "unknown"
    figures = [
        _figure(title, metric, lately[metric], run.last_step or 0, limits) for metric, title in TILES.items()
    ]
    step = "–" if run.last_step is None else str(run.last_step)
    return html.Tr(
        [
            html.Td(link),
            html.Td([badge.health(word, kind), *_worst(firing)]),
            html.Td([badge.state(run.state), *([badge.contested()] if run.contested else [])]),
            _cell("Step", step),
            _cell("Updated", age(now - run.updated_at)),
            *figures,
        ],
        className="past" if run.state is RunState.STALLED else "",
    )


def _worst(firing: Sequence[AlertView]) -> list[Any]:
    """Return the worst alert that fires on a run, and how many others do."""
    if not firing:
        return []
    worst = max(firing, key=lambda one: (one.severity, one.firing_time))
    others = f" and {len(firing) - 1} more" if len(firing) > 1 else ""
    text = f"{alert.SYMBOLS.get(worst.severity, '')} {worst.rule}{others}"
    return [html.Div(alert.alerts_link(text, run=worst.run), className=f"fires {worst.severity.word}")]


def _judged(run: RunDetail, limits: Sequence[Limit]) -> list[str]:
    """Return what a run's health depends on; what it does not have is not asked for."""
    return sorted({rule.metric for rule in limits} & set(run.metrics) | {*TILES, UNREADABLE})


def _figure(title: str, metric: str, series: Series, now: int, limits: Sequence[Limit]) -> html.Td:
    """Return the newest value, judged as on the run's page."""
    if is_past(series.step.tolist(), now):
        return _cell(title, "–", "none")
    found = verdict(limits, metric, series.value.tolist())
    value = float(series.value[-1])
    if found is not None:
        step, limit = int(series.step[found.at]), found.rule.summary
        return _cell(
            title,
            number(value),
            found.rule.severity.name.lower(),
            f"{number(found.value)} at step {step}: {limit}",
        )
    return _cell(title, number(value), "unknown" if np.isnan(value) else Severity.OK.name.lower())


def _cell(label: str, text: str, word: str = "", title: str = "") -> html.Td:
    return html.Td(text, className=f"figure {word}".strip(), title=title, **{"data-label": label})


def _empty(now: float) -> html.Div:
    return html.Div(
        frame.message(
            "No run yet",
            html.P("A run appears here with its first record. Put these lines into a trainer:"),
            html.Pre(html.Code(TRAINER)),
            html.P(["Or watch a small real one: ", html.Code("make demo")]),
        ),
        **{"data-now": str(now)},
    )
