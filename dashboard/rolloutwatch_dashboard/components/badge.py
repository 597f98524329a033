"""A state in a word, with a colour that says the same."""

from typing import Any

from dash import html

from rolloutwatch_contract.protocol import RunState


def state(state: RunState, **attributes: str) -> html.Span:
    """Return a run's state."""
    return html.Span(state.value, className=f"state state-{state.value}", **attributes)


def contested(**attributes: Any) -> html.Span:
    """Return what is said of a run that more than one trainer writes to."""
    title = "More than one trainer writes to this run; shown is the one that began last."
    return html.Span("contested", className="state state-contested", title=title, **attributes)


def health(word: str, kind: str) -> html.Strong:
    """Return a run's health: its word, in the colour of its kind."""
    return html.Strong(word, className=f"health {kind}")
