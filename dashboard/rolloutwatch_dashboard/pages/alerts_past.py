"""Alerts that have ended: when, how long, how bad, and why they ended."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.components.clock import Clock
from rolloutwatch_dashboard.pages.alerts_wanted import Wanted
from rolloutwatch_dashboard.text import at
from rolloutwatch_dashboard.words import figures_of, lasting

MOST_PAST = 100


def past_ones(source: Source, wanted: Wanted) -> tuple[Sequence[AlertView], str | None]:
    """Return past alerts, and the id after which there are older ones, None if there are none."""
    found = source.alerts(state="past", **wanted.choice, limit=MOST_PAST + 1, before=wanted.before)
    return found[:MOST_PAST], found[MOST_PAST - 1].id if len(found) > MOST_PAST else None


def section(past: Sequence[AlertView], older: str | None, wanted: Wanted, now: float) -> html.Section | None:
    """Return past alerts, and the ways to older and to newer ones."""
    if not past and older is None and wanted.before is None:
        return None
    names = ("Rule", "Run", "Steps", "Lasted", "Began", "Figures", "History", "Ended because")
    ways = [
        *([dcc.Link("Newest", href=wanted.link(None))] if wanted.before is not None else []),
        *([dcc.Link("Older", href=wanted.link(older))] if older is not None else []),
    ]
    more = [html.Div(ways, className="acts older")] if ways else []
    heading = html.H2("Past" if wanted.before is None else "Past, older ones")
    if not past:
        return html.Section([heading, html.P("There are no older ones here.", className="quiet"), *more])
    head = html.Thead(html.Tr([html.Th(name) for name in names]))
    rows = html.Tbody([_past_row(one, names, now) for one in past])
    return html.Section([heading, html.Table([head, rows], className="rows past"), *more])


def _past_row(one: AlertView, names: Sequence[str], now: float) -> html.Tr:
    ended = one.firing_step if one.resolved_step is None else one.resolved_step
    figures = "; ".join(f"{figure.title} {figure.value}" for figure in figures_of(one))
    seconds = (one.resolved_time or one.firing_time) - one.firing_time
    cells: tuple[Any, ...] = (
        html.Div(
            [alert.severity(one.severity), alert.alerts_link(one.rule, rule=one.rule), *alert.notes(one)],
            className="named",
        ),
        alert.run_link(one.run, one.firing_step),
        alert.step_link(one, one.firing_step, f"{one.firing_step} to {ended}"),
        lasting(seconds),
        Clock("ago", one.firing_time).span(now, **at(one.firing_time)),
        html.Span(figures, title=one.condition),
        alert.history(one, grows=False),
        [_why(one), alert.life_button(one), alert.life(one)],
    )
    return html.Tr([html.Td(cell, **{"data-label": name}) for name, cell in zip(names, cells, strict=True)])


def _why(one: AlertView) -> str:
    by = f" Acknowledged by {one.acknowledged_by}." if one.acknowledged_by else ""
    return f"{one.reason or 'the figures were good again'}.{by}"
