"""The page of alerts: what fires, what is silenced, who is told, and what has fired."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.pages import alerts_past, alerts_told
from rolloutwatch_dashboard.pages.alerts_wanted import Wanted, filters
from rolloutwatch_dashboard.visit import Shown, Visit

MOST_FIRING = 200


def show(visit: Visit) -> Shown:
    """Return the page; alerts.js sees to it that it stays as things are."""
    wanted = Wanted.of(visit.query)
    head = html.Div(
        [html.H1("Alerts"), alert.button("New silence", "silence", run="*", rule="*")], className="page-head"
    )
    page = html.Div(
        [
            head,
            dcc.Store(id=ids.ALERTS_WATCH, data=0),
            filters(visit.source, wanted),
            html.Div(listed(visit.source, wanted, visit.now), id=ids.ALERTS),
        ]
    )
    return page, {"title": "Alerts"}


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [dcc.Store(id=ids.ALERTS_WATCH), html.Div(id=ids.ALERTS)]


def register(app: Dash, visit: Callable[[object], Visit]) -> None:
    """Let what changes be said anew when alerts.js finds that it is time."""

    @app.callback(
        Output(ids.ALERTS, "children"),
        Input(ids.ALERTS_WATCH, "data"),
        State(ids.LOCATION, "search"),
        prevent_initial_call=True,
    )
    async def watch(_watch: object, search: object) -> Any:
        asked = visit(search)
        return await asyncio.to_thread(listed, asked.source, Wanted.of(asked.query), asked.now)


def listed(source: Source, wanted: Wanted, now: float) -> html.Div:
    """Return what changes: those that fire first, the worst of them first."""
    firing = wanted.those(source.alerts(run=wanted.run, rule=wanted.rule, limit=MOST_FIRING))
    firing.sort(key=lambda one: (not alert.calls(one, now), -one.severity, -one.firing_time))
    past, older = alerts_past.past_ones(source, wanted)
    if wanted.before is not None:
        return html.Div(alerts_past.section(past, older, wanted, now), **{"data-now": str(now)})
    return html.Div(
        [
            _firing(firing, source, wanted, now),
            alerts_told.silences(source.silences(), now),
            alerts_past.section(past, older, wanted, now),
            alerts_told.targets(source.notifications(), now),
            alerts_told.given_up(source.given_up(alerts_told.MOST_GIVEN_UP), now),
        ],
        **{"data-now": str(now)},
    )


def _firing(firing: Sequence[AlertView], source: Source, wanted: Wanted, now: float) -> html.Section:
    if not firing:
        rules = [rule for rule in source.rules().rules if rule.enabled]
        among = " of those" if wanted.is_choice else ""
        watched = f"{len(rules)} {'rule watches' if len(rules) == 1 else 'rules watch'} every new step."
        calm = html.P(
            [html.Strong(f"Nothing{among} fires. "), watched, " ", dcc.Link("See the rules", href="/rules")]
        )
        return html.Section(calm, className="calm")
    cards = [alert.card(one, now) for one in firing]
    return html.Section([html.H2(f"Firing ({len(firing)})"), html.Div(cards, className="alerts")])
