"""The page of alerts: what fires, what is silenced, who is told, and what has fired."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from dash import dcc, html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol import SilenceView, Source, TargetView
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.text import age, moment
from rolloutwatch_dashboard.words import figures_of, lasting

MOST_FIRING = 200
MOST_PAST = 100
EVERY = "every"
LONGEST_QUERY = 2000


class Wanted(NamedTuple):
    """Which alerts are wanted; where nothing is said, all."""

    run: str | None = None
    rule: str | None = None
    severity: str | None = None

    @classmethod
    def of(cls, query: str) -> "Wanted":
        """Read it from an address."""
        text = query.removeprefix("?")[:LONGEST_QUERY].encode("utf-8", "replace").decode()
        given = parse_qs(text)
        return cls(*(given.get(name, [None])[0] for name in cls._fields))

    def those(self, found: Iterable[AlertView]) -> list[AlertView]:
        """Return the alerts of the wanted severity."""
        return [one for one in found if self.severity in (None, one.severity.word)]


def layout(source: Source, wanted: Wanted, now: float) -> html.Div:
    """Return the page; alerts.js sees to it that it stays as things are."""
    head = html.Div(
        [html.H1("Alerts"), alert.button("New silence", "silence", run="*", rule="*")], className="page-head"
    )
    return html.Div(
        [
            head,
            dcc.Store(id=ids.ALERTS_WATCH, data=0),
            _filters(source, wanted),
            html.Div(listed(source, wanted, now), id=ids.ALERTS),
        ]
    )


def listed(source: Source, wanted: Wanted, now: float) -> html.Div:
    """Return what changes: those that fire first, the worst of them first."""
    firing = wanted.those(source.alerts(run=wanted.run, rule=wanted.rule, limit=MOST_FIRING))
    firing.sort(key=lambda one: (not alert.calls(one, now), -one.severity, -one.firing_time))
    found = wanted.those(
        source.alerts(state="all", run=wanted.run, rule=wanted.rule, limit=MOST_FIRING + MOST_PAST)
    )
    past = [one for one in found if not one.is_firing or one.given_up][:MOST_PAST]
    return html.Div(
        [
            _firing(firing, source, wanted, now),
            _silences(source.silences(), now),
            _past(past, now),
            _targets(source.notifications(), now),
        ],
        **{"data-now": str(now)},
    )


def _firing(firing: Sequence[AlertView], source: Source, wanted: Wanted, now: float) -> html.Section:
    if not firing:
        rules = [rule for rule in source.rules().rules if rule.enabled]
        among = " of those" if any(wanted) else ""
        watched = f"{len(rules)} {'rule watches' if len(rules) == 1 else 'rules watch'} every new step."
        calm = html.P(
            [html.Strong(f"Nothing{among} fires. "), watched, " ", dcc.Link("See the rules", href="/rules")]
        )
        return html.Section(calm, className="calm")
    cards = [alert.card(one, now) for one in firing]
    return html.Section([html.H2(f"Firing ({len(firing)})"), html.Div(cards, className="alerts")])


def _past(past: Sequence[AlertView], now: float) -> html.Section | None:
    if not past:
        return None
    names = ("Rule", "Run", "Steps", "Lasted", "Began", "Figures", "Ended because")
    more = (
        [
            html.P(
                f"The newest {MOST_PAST} are listed; /api/v1/alerts has those before them.", className="quiet"
            )
        ]
        if len(past) == MOST_PAST
        else []
    )
    head = html.Thead(html.Tr([html.Th(name) for name in names]))
    rows = html.Tbody([_past_row(one, names, now) for one in past])
    return html.Section([html.H2("Past"), html.Table([head, rows], className="rows past"), *more])


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
        html.Span(age(now - one.firing_time), title=moment(one.firing_time)),
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
                html.Span(alert.remaining(one.until, now), title=moment(one.until)),
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
    return html.Li([html.Span([html.Strong(one.name), f" ({which})"]), how, *counts, test])


def _filters(source: Source, wanted: Wanted) -> html.Form | None:
    """Return what the choice is among: all that fires or has lately fired."""
    known = source.alerts(state="all", limit=MOST_FIRING + MOST_PAST)
    if not known and not any(wanted):
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
