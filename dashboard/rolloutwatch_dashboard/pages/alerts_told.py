"""Who is told of alerts and how that goes, what is silenced, and what reached nobody."""

from collections.abc import Sequence

from dash import html

from rolloutwatch_contract.protocol import GivenUpView, SilenceView, TargetView
from rolloutwatch_dashboard.components import alert
from rolloutwatch_dashboard.text import age, at
from rolloutwatch_dashboard.words import lasting, names

MOST_GIVEN_UP = 20
MOST_NAMED = 3


def silences(found: Sequence[SilenceView], now: float) -> html.Section | None:
    """Return the silences that are not over, each with the way to end it."""
    if not found:
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
        for one in found
    ]
    return html.Section([html.H2("Silenced"), html.Ul(items, className="list")])


def targets(found: Sequence[TargetView], now: float) -> html.Section:
    """Return who is told, and how that goes."""
    if not found:
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
        [html.H2("Who is told"), html.Ul([_target(one, now) for one in found], className="list")]
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
