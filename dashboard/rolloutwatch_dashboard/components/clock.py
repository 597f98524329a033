"""Texts that are true only for a moment: how long ago something was, and for how long it goes on.

clock.js keeps them true in the browser, so that nothing has to be asked, sent or made anew only because time passes.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from dash import html
from dash.development.base_component import Component

from rolloutwatch_dashboard.text import age
from rolloutwatch_dashboard.words import lasting

FOR_EVER = 10 * 365 * 86400.0  # whoever waits longer waits until it ends


def remaining(until: float, now: float) -> str:
    """Return for how long something goes on; clock.js does the same.

    >>> remaining(7300.0, 100.0), remaining(1e15, 100.0)
    ('for another 2 h', 'until somebody ends it')
    """
    return "until somebody ends it" if until - now > FOR_EVER else f"for another {lasting(until - now)}"


# the same names as in clock.js
KINDS: dict[str, Callable[[float, float], str]] = {
    "ago": lambda time, now: age(now - time),
    "lasting": lambda time, now: lasting(now - time),
    "remaining": remaining,
}


class Clock(NamedTuple):
    """What is said of a time, in seconds since 1970, with what stands before it and after it."""

    kind: str
    time: float
    before: str = ""
    after: str = ""

    def text(self, now: float) -> str:
        """Return what is true now."""
        return f"{self.before}{KINDS[self.kind](self.time, now)}{self.after}"

    def span(self, now: float, **known: Any) -> html.Span:
        """Return the element with what is true now, and with what it takes to keep it true."""
        parts = {"clock": self.kind, "at": str(self.time), "before": self.before, "after": self.after}
        return html.Span(self.text(now), **{f"data-{name}": one for name, one in parts.items()}, **known)


def digest(shown: object) -> str:
    """Return what is the same for as long as nothing but the texts of clocks changes."""
    return hashlib.sha256(json.dumps(shown, default=_without_clock).encode()).hexdigest()[:16]


def _without_clock(component: Component) -> dict[str, Any]:
    made = component.to_plotly_json()
    props = made["props"]
    if "data-clock" in props:
        props = {name: value for name, value in props.items() if name != "children"}
    return {"type": made["type"], "props": props}
