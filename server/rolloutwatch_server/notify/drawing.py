"""What the picture of an alert shows: its figures over the last steps, their limits, and where it fired."""

import math
from collections.abc import Sequence

import msgspec

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify import thresholds
from rolloutwatch_server.notify.events import Content, is_over, title_of
from rolloutwatch_server.notify.outbox import Outbox
from rolloutwatch_server.notify.thresholds import Threshold
from rolloutwatch_server.store import Event

MOST_STEPS = 200
STEPS_AFTER = 20
MOST_PANELS = 3


class Panel(msgspec.Struct, frozen=True):
    """One metric over steps; a value that is not finite is None, `infinite` has the steps at which it was infinite.

    `limits` are what it was not to pass: above or below (and the like), and the number.
    """

    metric: str
    step: list[int]
    value: list[float | None]
    infinite: list[int]
    limits: list[tuple[str, float]]


class Drawing(msgspec.Struct, frozen=True):
    """A picture before it is drawn; `mark` is the step that it is about.

    If that is where all is well again, `fired` is from where to where it was not.
    """

    rule: str
    run: str
    severity: Severity
    mark: int
    panels: list[Panel]
    fired: tuple[int, int] | None = None


def drawing_of(content: Content, outbox: Outbox) -> Drawing | None:
    """Return the picture for a message, that of its worst event; None if there is nothing to be drawn."""
    event = content.worst
    names = list(dict.fromkeys([*thresholds.metrics(event.condition), *event.values]))[:MOST_PANELS]
    if not names:
        return None
    first = max(0, event.step - MOST_STEPS + 1)
    found = outbox.series(event.run, names, from_step=first, to_step=event.step + STEPS_AFTER)
    limits = thresholds.thresholds(event.condition)
    panels = [
        panel(name, found[name].step.tolist(), found[name].value.tolist(), limits)
        for name in names
        if found[name].step.size
    ]
    if not panels:
        return None
    return Drawing(event.rule, title_of(event.run), event.severity, event.step, panels, _fired(event))


def _fired(event: Event) -> tuple[int, int] | None:
    if not is_over(event):
        return None
    return (event.firing_step if event.change is Change.RESOLVED else event.step), event.step


def panel(metric: str, steps: list[int], values: Sequence[float], limits: Sequence[Threshold]) -> Panel:
    """Return a metric with the limits that are its own."""
    return Panel(
        metric,
        steps,
        [one if math.isfinite(one) else None for one in values],
        [step for step, one in zip(steps, values, strict=True) if math.isinf(one)],
        [(one.word, one.limit) for one in limits if one.metric == metric and one.is_direct],
    )
