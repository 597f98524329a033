"""Who is told of alerts and how that goes, what is silenced, and what reached nobody."""

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from rolloutwatch_contract.protocol import GivenUpView, SilenceView, TargetView
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.components.clock import Clock
from rolloutwatch_dashboard.text import at
from rolloutwatch_dashboard.words import names

MOST_GIVEN_UP = 20
MOST_NAMED = 3
EXAMPLE = """[[target]]
name = "chat"
url_env = "SLACK_URL"   # slack://TokenA/TokenB/TokenC/#alerts, in the environment of the server
severity = "warning"    # the least that it is told of"""


def silences(found: Sequence[SilenceView], now: float) -> html.Section | None:
    """Return the silences that are not over, each with the way to end it."""
    if not found:
        return None
    items = [
        html.Li(
            [
                html.Span(["Rule ", html.Code(one.rule), " on run ", html.Code(one.run)]),
                Clock("remaining", one.until).span(now, **at(one.until)),
                html.Span([f"by {one.author}", *([": ", html.Q(one.reason)] if one.reason else [])]),
                alert.button("End it", "end-silence", silence=str(one.id)),
            ]
        )
        for one in found
    ]
    return html.Section([html.H2("Silenced"), html.Ul(items, className="list")])


def targets(found: Sequence[TargetView], now: float) -> html.Section:
    """Return who is told, and how that goes; where nobody is, how somebody comes to be."""
    if not found:
        return html.Section([html.H2("Who is told"), *_nobody()])
    names = ("Target", "Last told", "Last failure", "Waiting", "Given up", "Test")
    head = html.Thead(html.Tr([html.Th(name) for name in names]))
    rows = html.Tbody([_target(one, names, now) for one in found])
    return html.Section([html.H2("Who is told"), html.Table([head, rows], className="rows targets")])


def _nobody() -> list[Component]:
    how = [
        "Nobody is: name somebody in a file, and give it to the server as ",
        html.Code("--notify-file"),
        ". ",
        html.A("Targets of each kind", href="/guides/more/notifications"),
    ]
    return [html.P(how, className="quiet"), html.Pre(EXAMPLE, className="example", tabIndex=0)]


def _target(one: TargetView, names: Sequence[str], now: float) -> html.Tr:
    which = [one.kind, *([one.host] if one.host else []), f"from {one.severity} on"]
    which += [] if one.runs == ("*",) else [f"runs {', '.join(one.runs)}"]
    told: Any = "not yet"
    if one.last_success is not None:
        told = Clock("ago", one.last_success).span(now, **at(one.last_success))
    cells: tuple[Any, ...] = (
        [html.Strong(one.name), html.Span(f" ({', '.join(which)})", className="quiet")],
        told,
        _failure(one, now),
        html.Span(str(one.waiting), className="" if one.waiting else "quiet"),
        html.Span(str(one.dead), className="bad" if one.dead else "quiet"),
        [
            alert.button("Send a test", "test-target", target=one.name),
            html.Span(className="tested", role="status", **{"data-tested": one.name}),
        ],
    )
    return html.Tr([html.Td(cell, **{"data-label": name}) for name, cell in zip(names, cells, strict=True)])


def _failure(one: TargetView, now: float) -> list[html.Span]:
    """Return since when messages do not arrive, and what was said of the last attempt."""
    since = [] if one.failing_since is None else [Clock("lasting", one.failing_since, "has failed for ")]
    said = [
        *(clock.span(now, className="bad") for clock in since),
        *([html.Span(one.error, className="why")] if one.error else []),
    ]
    return said or [html.Span("none", className="quiet")]


def given_up(messages: Sequence[GivenUpView], now: float) -> html.Section | None:
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
    when = [] if one.time is None else [Clock("ago", one.time).span(now, **at(one.time))]
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
