"""The page of alerts: what fires, what is silenced, who is told, and what has fired."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.alert_history import history_of
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.figures.alert_history import BOX
from rolloutwatch_dashboard.pages import alerts_past, alerts_told
from rolloutwatch_dashboard.pages.alerts_wanted import Wanted, filters
from rolloutwatch_dashboard.visit import Shown, Visit

MOST_FIRING = 200
MOST_AT_ONCE = 12  # histories, as alerts_page.js asks for them


def show(visit: Visit) -> Shown:
    """Return the page; alerts.js sees to it that it stays as things are."""
    wanted = Wanted.of(visit.query)
    head = html.Div(
        [html.H1("Alerts"), alert.button("New silence", "silence", run="*", rule="*")], className="page-head"
    )
    page = html.Div(
        [
            head,
            *_stores(),
            filters(visit.source, wanted),
            html.Div(listed(visit.source, wanted, visit.now), id=ids.ALERTS),
        ]
    )
    return page, {"title": "Alerts", "kind": "alerts", "box": [BOX.width, BOX.height]}


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [*_stores(), html.Div(id=ids.ALERTS)]


def _stores() -> list[dcc.Store]:
    names = (ids.ALERTS_WATCH, ids.ALERTS_SEEN, ids.ALERTS_HISTORIES, ids.ALERTS_DRAWN)
    return [dcc.Store(id=name) for name in names]


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

    @app.callback(
        Output(ids.ALERTS_HISTORIES, "data"), Input(ids.ALERTS_SEEN, "data"), prevent_initial_call=True
    )
    async def tell(seen: object) -> Any:
        return await asyncio.to_thread(histories, visit("").source, seen)

    app.clientside_callback(
        ClientsideFunction("rolloutwatch", "drawHistories"),
        Output(ids.ALERTS_DRAWN, "data"),
        Input(ids.ALERTS_HISTORIES, "data"),
        prevent_initial_call=True,
    )


def histories(source: Source, seen: object) -> dict[str, Any]:
    """Return the histories of the alerts that somebody is near of, by id; what a browser asks may be anything."""
    asked = seen.get("alerts") if isinstance(seen, dict) else None
    names = [one for one in asked if isinstance(one, str)] if isinstance(asked, list) else []
    return {one: history_of(source, one) for one in names[:MOST_AT_ONCE]}


def listed(source: Source, wanted: Wanted, now: float) -> html.Div:
    """Return what changes: those that fire first, the worst of them first."""
    firing = list(source.alerts(**wanted.choice, limit=MOST_FIRING))
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
    versions = source.versions()
    cards = [alert.card(one, now, versions.get(one.run, "")) for one in firing]
    return html.Section([html.H2(f"Firing ({len(firing)})"), html.Div(cards, className="alerts")])
