"""The head of the page of a step: which one it is, who did it when, what stood, and the ways to those beside it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from dash import dcc, html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import MarkView, RunDetail, RunState
from rolloutwatch_contract.protocol_steps import StepView
from rolloutwatch_dashboard.components import alert, badge
from rolloutwatch_dashboard.text import mark_text, moment
from rolloutwatch_dashboard.words import figures_of

MOST_MARKS = 20
MOST_ATTEMPTS = 20
MOST_SEEN = 4  # alerts: what they say is in the figures below, too


def address(run: str, step: int, **query: str) -> str:
    """Return the address of a step."""
    return f"/runs/{quote(run)}/steps/{step}" + (f"?{urlencode(query)}" if query else "")


def head(run: RunDetail, view: StepView, health: tuple[str, str]) -> html.Div:
    """Return the name of the step, how it was, and when."""
    return html.Div(
        [
            html.H1([*alert.run_name(run.summary.id), html.Span(" / ", className="project"), f"step {view.step}"]),
            badge.health(*health),
            *_when(view.time),
        ],
        className="head",
    )  # fmt: skip


def _when(time: float | None) -> list[Any]:
    said = "" if time is None else moment(time)
    if time is None or not said:
        return [html.Span("time not known")]
    return [html.Time(said, dateTime=datetime.fromtimestamp(time, UTC).isoformat())]


def ways(run: RunDetail, view: StepView) -> html.Nav:
    """Return the ways to the recorded steps beside it, and to the charts around it."""
    name = run.summary.id
    return html.Nav(
        [
            _way(name, view.previous, "previous", "‹ Step {}", "first step"),
            _way(name, view.next, "next", "Step {} ›", _last(run)),
            dcc.Link("Charts around it", href=f"/runs/{quote(name)}?step={view.step}", className="act"),
            *([_look_again()] if view.next is None and run.summary.state is RunState.LIVE else []),
        ],
        className="step-ways",
        **{"aria-label": "Steps beside it"},
    )


def _last(run: RunDetail) -> str:
    return "last step so far" if run.summary.state is RunState.LIVE else "last step"


def _way(run: str, step: int | None, which: str, text: str, none: str) -> Any:
    if step is None:
        return html.Span(none, className="quiet")
    key = {"previous": "←", "next": "→"}[which]
    return dcc.Link(
        text.format(step),
        href=address(run, step),
        className=f"act {which}",
        title=f"The {which} recorded step (key {key})",
    )


def _look_again() -> html.Button:
    return html.Button("Look again", type="button", className="act", **{"data-step-again": "1"})


def attempts(view: StepView) -> list[html.P]:
    """Return who did the step, where more than one session did."""
    if len(view.attempts) < 2 and view.shown:
        return []
    said: list[Any] = [f"{len(view.attempts)} sessions did this step: "]
    for one in view.attempts[:MOST_ATTEMPTS]:
        query = {} if one.shown else {"attempt": one.session}
        is_here = one.session == view.session
        way = dcc.Link(one.session, href=address(view.run, view.step, **query))
        link = html.Strong(one.session) if is_here else way
        figures = f"{one.metrics} {'figure' if one.metrics == 1 else 'figures'}"
        said += [link, f" ({figures}{', shown on charts' if one.shown else ''}) "]
    left = len(view.attempts) - MOST_ATTEMPTS
    if left > 0:
        said.append(f"and {left} more")
    given_up = [] if view.shown else [html.Strong("What you see was given up when the run was resumed. ")]
    return [html.P([*given_up, *said], className="step-note")]


def stood(found: Sequence[AlertView] | None) -> list[Any]:
    """Return the alerts that stood after the step, the worst first."""
    if not found:
        return []
    rows = [_alert(one) for one in sorted(found, key=lambda one: (-one.severity, one.firing_step))]
    seen, left = rows[:MOST_SEEN], rows[MOST_SEEN:]
    rest = html.Details(
        [html.Summary(f"{len(left)} more stood"), html.Ul(left, className="run-alerts")], className="stood"
    )
    return [
        html.H2(f"Alerts that stood ({len(rows)})"),
        html.Ul(seen, className="run-alerts"),
        *([rest] if left else []),
    ]


def _alert(one: AlertView) -> html.Li:
    known = [" ".join(filter(None, figure)) for figure in figures_of(one)]
    until = "" if one.resolved_step is None else f", until step {one.resolved_step}"
    return html.Li(
        [
            html.Div(
                [
                    alert.severity(one.severity),
                    html.Strong(one.rule),
                    html.Span(one.summary or alert.condition(one.condition), className="summary"),
                    *alert.notes(one),
                ],
                className="what",
            ),
            html.Div(
                [
                    *([html.Span(", ".join(known), className="known")] if known else []),
                    html.Span(f"since step {one.firing_step}{until}"),
                    *alert.guide_link(one.guide),
                ],
                className="more",
            ),
        ],
        className=f"alert {one.severity.word}",
    )


def marks(found: Sequence[MarkView]) -> list[Any]:
    """Return what was marked at the step."""
    if not found:
        return []
    items = [html.Li(mark_text(one).partition(": ")[2]) for one in found[:MOST_MARKS]]
    left = len(found) - len(items)
    items += [html.Li(f"{left} more")] if left > 0 else []
    return [html.H2("Marks"), html.Ul(items, className="step-marks")]
