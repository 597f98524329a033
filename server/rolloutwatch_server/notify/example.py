"""A message that nothing has happened for: it shows whether a target can be reached, and what an alert looks like there."""

import math
import secrets
from typing import NamedTuple

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.drawing import MOST_STEPS, Drawing, drawing_of, panel
from rolloutwatch_server.notify.events import Content, title_of
from rolloutwatch_server.notify.outbox import Outbox
from rolloutwatch_server.notify.thresholds import thresholds
from rolloutwatch_server.store import Event

RUN = "rolloutwatch~test"
RULE = "notification_test"

_STEP = 412
_RISES_FROM = 385
_CONDITION = "ratio_std > 1.0 and ratio_eff_sample_size < 0.3"
_MOST_METRICS = 2


class Example(NamedTuple):
    """A content, and its picture before it is drawn."""

    content: Content
    drawing: Drawing | None


def invented_example(now: float) -> Example:
    """Return a test of figures that are made up."""
    steps = list(range(_STEP - MOST_STEPS + 1, _STEP + 1))
    rise = [max(0.0, (step - _RISES_FROM) / (_STEP - _RISES_FROM)) for step in steps]
    figures = {
        "ratio_std": [
            0.42 + 0.02 * math.sin(1.7 * step) + 1.0 * up for step, up in zip(steps, rise, strict=True)
        ],
        "ratio_eff_sample_size": [
            0.87 + 0.02 * math.sin(2.3 * step) - 0.65 * up for step, up in zip(steps, rise, strict=True)
        ],
    }
    values = {name: value[-1] for name, value in figures.items()}
    event = _event(RUN, _STEP, now, values, _CONDITION)
    limits = thresholds(_CONDITION)
    panels = [panel(name, steps, value, limits) for name, value in figures.items()]
    return Example(_content(event), Drawing(RULE, title_of(RUN), event.severity, _STEP, panels))


def recorded_example(detail: RunDetail, archive: Outbox, now: float) -> Example:
    """Return a test that shows the newest figures of a run."""
    run, step = detail.summary.id, detail.summary.last_step or 0
    usual: list[str] = [name for name in ("ratio_std", "ratio_eff_sample_size") if name in detail.metrics]
    names = usual or list(detail.metrics[:_MOST_METRICS])
    found = archive.series(run, names, from_step=step, to_step=step)
    values = {name: float(one.value[-1]) for name, one in found.items() if one.value.size}
    condition = _CONDITION if len(usual) == _MOST_METRICS else ""
    content = _content(_event(run, step, now, values, condition))
    return Example(content, drawing_of(content, archive))


def _content(event: Event) -> Content:
    return Content((event,), is_test=True)


def _event(run: str, step: int, now: float, values: dict[str, float], condition: str) -> Event:
    identity = secrets.token_hex(16)  # a test is never one that there was before
    return Event(
        id=identity,
        alert=identity,
        run=run,
        rule=RULE,
        change=Change.FIRING,
        severity=Severity.WARNING,
        epoch=1,
        step=step,
        time=now,
        values=values,
        reason="",
        late=False,
        created_at=now,
        condition=condition,
        summary="This message was asked for by hand, to see that it arrives.",
        cure="nothing. If you did not expect it, ask who looks after this server.",
        guide="",
        firing_step=step,
    )
