"""What a trainer said of a run: its configuration and environment, and what of it another session changed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from dash import html

from rolloutwatch_contract.drops import describe_drop
from rolloutwatch_contract.protocol import RunDetail, SessionView, Value
from rolloutwatch_dashboard import ids
from rolloutwatch_dashboard.text import at, moment, number

ABSENT = "–"  # said by one session, and not by another
# these differ whenever a run goes on in another process, which says nothing
OF_A_PROCESS = ("pid",)


def opener() -> html.Button:
    """Return the button that leads there; run_about.js opens it."""
    return html.Button("Configuration", type="button", className="act", **{"data-about": "configuration"})


def configuration(run: RunDetail, *more: Any) -> html.Details:
    """Return what is known of a run, folded until somebody wants it."""
    dropped = {describe_drop(why): count for why, count in run.dropped.items()}
    return html.Details(
        [
            html.Summary("Configuration and environment"),
            *_told("Configuration", run.config),
            *_told("Environment", run.environment),
            *_told("Not delivered", dropped),
            *_changes(run.sessions),
            *more,
        ],
        id=ids.CONFIGURATION,
        className="facts",
    )


def _told(heading: str, facts: Mapping[str, Value]) -> list[Any]:
    rows = [html.Tr([html.Th(name, scope="row"), html.Td(fact(value))]) for name, value in facts.items()]
    return [html.H2(heading), html.Table(html.Tbody(rows))] if rows else []


def fact(value: Value) -> str:
    """Return a value of a configuration."""
    return "not set" if value is None else number(value) if isinstance(value, float) else str(value)


def _changes(sessions: Sequence[SessionView]) -> list[Any]:
    """Return what each session changed of what the one before it had said."""
    rows = [
        html.Tr([html.Th(name), html.Td(before), html.Td(after), html.Td(moment(later.started_at), **at(later.started_at))])
        for former, later in pairwise(sessions)
        for name, before, after in [
            *_differences(former.config, later.config),
            *_differences(former.environment, later.environment),
        ]
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("What", "Before", "After", "Session that began")
    return [
        html.H2("Changed between sessions"),
        html.Table([html.Thead(html.Tr([html.Th(head, scope="col") for head in heads])), html.Tbody(rows)]),
    ]


def _differences(before: Mapping[str, Value], after: Mapping[str, Value]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys([*before, *after]):
        said = [fact(one[name]) if name in one else ABSENT for one in (before, after)]
        if name not in OF_A_PROCESS and said[0] != said[1]:
            yield name, said[0], said[1]
