"""Which path leads to which page, and which pages have callbacks."""

from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote

from dash import Dash
from dash.development.base_component import Component

from rolloutwatch_dashboard.pages import (
    alerts,
    compare,
    missing,
    replay_alerts,
    rules,
    run,
    run_alerts,
    run_charts,
    run_diagnosis,
    runs,
    step,
    step_sequences,
    whatif,
)
from rolloutwatch_dashboard.visit import Shown, Visit


class WithCallbacks(Protocol):
    """A page that asks again while one looks at it."""

    def parts(self) -> list[Component]:
        """Return what its callbacks name, as bare as can be, so that Dash finds mistakes at the start."""

    def register(self, app: Dash, visit: Callable[..., Visit]) -> None:
        """Bring its callbacks to an application; `visit(search)` is made anew at every call of one."""


# a * stands for a name, which `show` is called with; it returns None where there is nothing of that name
ROUTES: tuple[tuple[str, Callable[..., Shown | None]], ...] = (
    ("", runs.show),
    ("alerts", alerts.show),
    ("compare", compare.show),
    ("rules", rules.show),
    ("runs/*", run.show),
    ("runs/*/steps/*", step.show),
    ("runs/*/whatif", whatif.show),
)
WITH_CALLBACKS: tuple[WithCallbacks, ...] = (
    runs,
    alerts,
    run_alerts,
    run_charts,
    run_diagnosis,
    step_sequences,
    compare,
    replay_alerts,
)


def shown(path: str, visit: Visit) -> Shown:
    """Return the page at a path, whatever that is.

    >>> from rolloutwatch_dashboard.memory import MemorySource
    >>> shown("/nowhere", Visit(MemorySource(), None, 0.0))[0].children[0].children
    'Nothing here'
    """
    parts = [unquote(part) for part in path.strip("/").split("/")]
    for pattern, show in ROUTES:
        names = _names(pattern.split("/"), parts)
        found = None if names is None else show(visit, *names)
        if found is not None:
            return found
    return missing.layout(unquote(path)), {"title": "Nothing here"}


def _names(pattern: list[str], parts: list[str]) -> list[str] | None:
    """Return what stands in the place of the stars, None if the pattern is not that of the path."""
    if len(pattern) != len(parts):
        return None
    pairs = list(zip(pattern, parts, strict=True))
    fits = all(one in ("*", part) for one, part in pairs)
    return [part for one, part in pairs if one == "*"] if fits else None
