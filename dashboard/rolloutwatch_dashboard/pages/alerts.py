"""The page of alerts: what fires, what is silenced, who is told, and what has fired."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import Source
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.alert_history import histories_of
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.components.clock import digest
from rolloutwatch_dashboard.figures.alert_history import BOX
from rolloutwatch_dashboard.pages import alerts_past, alerts_told
from rolloutwatch_dashboard.pages.alerts_wanted import Wanted, filters
from rolloutwatch_dashboard.visit import Shown, Visit

MOST_FIRING = 200
SHOWN, VERSIONS, NOW = TOLD = ("data-shown", "data-versions", "data-now")
MOST_AT_ONCE = 12  # histories, as alerts_page.js asks for them


def show(visit: Visit) -> Shown:
    """Return the page; alerts.js sees to it that it stays as things are."""
    wanted = Wanted.of(visit.query)
    body, told = listed(visit.source, wanted, visit.now)
    head = html.Div(
        [html.H1("Alerts"), alert.button("New silence", "silence", run="*", rule="*")], className="page-head"
    )
    page = html.Div(
        [
            head,
            *_stores(),
            filters(visit.source, wanted),
            html.Div(body, id=ids.ALERTS),
            html.Div(id=ids.ALERTS_TOLD, hidden=True, **told),
        ]
    )
    return page, {"title": "Alerts", "kind": "alerts", "box": [BOX.width, BOX.height]}


def parts() -> list[Component]:
    """Return what the callbacks name."""
    return [*_stores(), html.Div(id=ids.ALERTS), html.Div(id=ids.ALERTS_TOLD)]


def _stores() -> list[dcc.Store]:
    names = (ids.ALERTS_WATCH, ids.ALERTS_SEEN, ids.ALERTS_HISTORIES, ids.ALERTS_DRAWN)
    return [dcc.Store(id=name) for name in names]


def register(app: Dash, visit: Callable[[object], Visit]) -> None:
    """Let what changes be said anew when alerts.js finds that it is time."""

    @app.callback(
        Output(ids.ALERTS, "children"),
        *(Output(ids.ALERTS_TOLD, name) for name in TOLD),
        Input(ids.ALERTS_WATCH, "data"),
        State(ids.LOCATION, "search"),
        State(ids.ALERTS_TOLD, SHOWN),
        prevent_initial_call=True,
    )
    async def watch(_watch: object, search: object, shown: object) -> tuple[Any, ...]:
        asked = visit(search)
        body, told = await asyncio.to_thread(listed, asked.source, Wanted.of(asked.query), asked.now)
        # made anew, hundreds of elements keep a browser busy: ages go on by themselves
        return no_update if told[SHOWN] == shown else body, *(told[name] for name in TOLD)

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
    return histories_of(source, names[:MOST_AT_ONCE])


def listed(source: Source, wanted: Wanted, now: float) -> tuple[list[Any], dict[str, str]]:
    """Return what changes, and what the browser is told beside it.

    The latter is which of it is shown, whatever time it is; which version the charts of firing alerts have, by run; and the time.
    """
    firing = [] if wanted.before is not None else list(source.alerts(**wanted.choice, limit=MOST_FIRING))
    body = _body(firing, source, wanted, now)
    versions = source.versions()
    grown = {run: versions.get(run, "") for run in sorted({one.run for one in firing})}
    return body, {SHOWN: digest(body), VERSIONS: json.dumps(grown), NOW: str(now)}


def _body(firing: list[AlertView], source: Source, wanted: Wanted, now: float) -> list[Any]:
    """Return those that fire first, the worst of them first."""
    past, older = alerts_past.past_ones(source, wanted)
    if wanted.before is not None:
        return [alerts_past.section(past, older, wanted, now)]
    firing.sort(key=lambda one: (not alert.calls(one, now), -one.severity, -one.firing_time))
    return [
        _firing(firing, source, wanted, now),
        alerts_told.silences(source.silences(), now),
        alerts_past.section(past, older, wanted, now),
        alerts_told.targets(source.notifications(), now),
        alerts_told.given_up(source.given_up(alerts_told.MOST_GIVEN_UP), now),
    ]


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
