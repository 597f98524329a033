"""The page of alerts: what fires, what is silenced, who is told, and what has fired."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import GivenUpView, SilenceView, Source, TargetView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.text import age, at
from rolloutwatch_dashboard.visit import Shown, Visit
from rolloutwatch_dashboard.words import figures_of, lasting, names

MOST_FIRING = 200
MOST_PAST = 100
AT_ONCE = 200  # of which some may fire, or be of another severity
MOST_TURNS = 20
MOST_GIVEN_UP = 20
MOST_NAMED = 3
EVERY = "every"
LONGEST_QUERY = 2000


class Wanted(NamedTuple):
    """Which alerts are wanted; where nothing is said, all."""

    run: str | None = None
    rule: str | None = None
    severity: str | None = None
    before: str | None = None  # of past ones those before this one

    @property
    def is_choice(self) -> bool:
        """Tell whether some are wanted and not all."""
        return any((self.run, self.rule, self.severity))

    def link(self, before: str | None) -> str:
        """Return the address of past ones before one, or of the page as it begins."""
        query = {name: value for name, value in self._replace(before=before)._asdict().items() if value}
        return "/alerts" + (f"?{urlencode(query)}" if query else "")

    @classmethod
    def of(cls, query: str) -> "Wanted":
        """Read it from an address."""
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = parse_qs(text)
        return cls(*(given.get(name, [None])[0] for name in cls._fields))

    def those(self, found: Iterable[AlertView]) -> list[AlertView]:
        """Return the alerts of the wanted severity."""
        return [one for one in found if self.severity in (None, one.severity.word)]


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
            _filters(visit.source, wanted),
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
    past, older = _past_ones(source, wanted)
    if wanted.before is not None:
        return html.Div(_past(past, older, wanted, now), **{"data-now": str(now)})
    return html.Div(
        [
            _firing(firing, source, wanted, now),
            _silences(source.silences(), now),
            _past(past, older, wanted, now),
            _targets(source.notifications(), now),
            _given_up(source.given_up(MOST_GIVEN_UP), now),
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


def _past_ones(source: Source, wanted: Wanted) -> tuple[list[AlertView], str | None]:
    """Return past alerts, and the id after which there are older ones, None if there are none."""
    found: list[AlertView] = []
    last = wanted.before
    for _ in range(MOST_TURNS):
        some = source.alerts(state="all", run=wanted.run, rule=wanted.rule, limit=AT_ONCE, before=last)
        found += [one for one in wanted.those(some) if not one.is_firing or one.given_up]
        if len(found) > MOST_PAST:
            return found[:MOST_PAST], found[MOST_PAST - 1].id
        if len(some) < AT_ONCE:
            return found, None
        last = some[-1].id
    return found, last


def _past(past: Sequence[AlertView], older: str | None, wanted: Wanted, now: float) -> html.Section | None:
    if not past and older is None and wanted.before is None:
        return None
    names = ("Rule", "Run", "Steps", "Lasted", "Began", "Figures", "Ended because")
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
        f"{one.firing_step} to {ended}",
        lasting(seconds),
        html.Span(age(now - one.firing_time), **at(one.firing_time)),
        html.Span(figures, title=one.condition),
        _why(one),
    )
    return html.Tr([html.Td(cell, **{"data-label": name}) for name, cell in zip(names, cells, strict=True)])


def _why(one: AlertView) -> str:
    by = f" Acknowledged by {one.acknowledged_by}." if one.acknowledged_by else ""
    return f"{one.reason or 'the figures were good again'}.{by}"


def _silences(silences: Sequence[SilenceView], now: float) -> html.Section | None:
    if not silences:
        return None
    items = [
        html.Li(
            [
                html.Span(["Rule ", html.Code(one.rule), " on run ", html.Code(one.run)]),
                html.Span(alert.remaining(one.until, now), **at(one.until)),
                html.Span([f"by {one.author}", *([": ", html.Q(one.reason)] if one.reason else [])]),
                alert.button("End it", "end-silence", silence=str(one.id)),
            ]
        )
        for one in silences
    ]
    return html.Section([html.H2("Silenced"), html.Ul(items, className="list")])


def _targets(targets: Sequence[TargetView], now: float) -> html.Section:
    if not targets:
        return html.Section(
            [
                html.H2("Who is told"),
                html.P(
                    [
                        "Nobody is: name somebody in a file, and give it to the server as ",
                        html.Code("--notify-file"),
                        ".",
                    ],
                    className="quiet",
                ),
            ]
        )
    return html.Section(
        [html.H2("Who is told"), html.Ul([_target(one, now) for one in targets], className="list")]
    )


def _target(one: TargetView, now: float) -> html.Li:
    if one.failing_since is not None:
        how = html.Span(f"has failed for {lasting(now - one.failing_since)}", className="bad")
    elif one.last_success is not None:
        how = html.Span(f"last told {age(now - one.last_success)}")
    else:
        how = html.Span("not told anything yet")
    counts = [
        html.Span(f"{count} {word}", className=kind)
        for count, word, kind in ((one.waiting, "waiting", ""), (one.dead, "given up", "bad"))
        if count
    ]
    which = f"{one.kind}, from {one.severity} on"
    test = alert.button("Send a test", "test-target", target=one.name)
    why = [html.Span(one.error, className="why")] if one.error and (one.failing_since or one.dead) else []
    return html.Li([html.Span([html.Strong(one.name), f" ({which})"]), how, *counts, test, *why])


def _given_up(messages: Sequence[GivenUpView], now: float) -> html.Section | None:
    """Return the messages that nobody got, which may be sent again."""
    if not messages:
        return None
    return html.Section(
        [
            html.H2("Given up"),
            html.Ul([_given_up_one(one, now) for one in messages], className="list"),
            *(
                [html.P("There may be more: /api/v1/notifications/dead has them.", className="quiet")]
                if len(messages) == MOST_GIVEN_UP
                else []
            ),
        ]
    )


def _given_up_one(one: GivenUpView, now: float) -> html.Li:
    when = [] if one.time is None else [html.Span(age(now - one.time), **at(one.time))]
    tries = f"after {one.attempts} {'attempt' if one.attempts == 1 else 'attempts'}"
    return html.Li(
        [
            html.Span(
                [
                    "To ",
                    html.Strong(one.target),
                    ": ",
                    names(one.rules, MOST_NAMED),
                    " on ",
                    alert.run_link(one.run),
                ]
            ),
            *when,
            html.Span(tries),
            alert.button("Retry", "retry-message", message=str(one.id), target=one.target),
            html.Span(one.error, className="why"),
        ]
    )


def _filters(source: Source, wanted: Wanted) -> html.Form | None:
    """Return what the choice is among: all that fires or has lately fired."""
    known = source.alerts(state="all", limit=MOST_FIRING + MOST_PAST)
    if not known and not wanted.is_choice:
        return None
    choices = {
        "severity": [one.word for one in reversed(Severity) if one],
        "run": sorted({one.run for one in known}),
        "rule": sorted({one.rule for one in known}),
    }
    return html.Form(
        [_choice(name, getattr(wanted, name), values) for name, values in choices.items()],
        className="filters",
        action="/alerts",
        method="get",
    )


def _choice(name: str, wanted: str | None, values: Sequence[str]) -> html.Label:
    there = [wanted] if wanted and wanted not in values else []
    options = [
        html.Option(f"{EVERY} {name}", value=""),
        *(
            html.Option(one, value=one, selected="selected" if one == wanted else None)
            for one in [*there, *values]
        ),
    ]
    return html.Label([html.Span(name.capitalize()), html.Select(options, name=name)])
