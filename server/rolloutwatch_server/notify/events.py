"""What people are told of: events of one run that go in one message."""

import hashlib
import json
import math
from collections.abc import Sequence

import msgspec

from rolloutwatch_contract import guides
from rolloutwatch_contract.alerts import Change
from rolloutwatch_server.store import Event


class Content(msgspec.Struct, frozen=True):
    """What one message is about: events of one run, and how many other alerts fire there."""

    events: tuple[Event, ...]
    others: int = 0
    is_test: bool = False

    @property
    def run(self) -> str:
        """Return the id of the run."""
        return self.events[0].run

    @property
    def is_late(self) -> bool:
        """Whether it is a digest of what was found long after it happened."""
        return self.events[0].late

    @property
    def worst(self) -> Event:
        """Return what matters most."""
        return self.shown[0]

    @property
    def shown(self) -> list[Event]:
        """Return what people are shown, the worst first, without the beginnings of what is over by now: the end tells of it."""
        over = {one.alert for one in self.events if one.change is Change.RESOLVED}
        return worst_first(
            [one for one in self.events if one.change is not Change.FIRING or one.alert not in over]
        )


def encode(content: Content) -> str:
    """Return a content as JSON in which infinity and NaN survive."""
    return json.dumps(msgspec.to_builtins(content))


def decode(text: str) -> Content:
    """Return what was encoded."""
    return msgspec.convert(json.loads(text), Content)


def key_of(events: Sequence[Event]) -> str:
    """Return the key of a message: whoever gets it twice knows it by this."""
    return hashlib.sha256("\n".join(sorted(one.id for one in events)).encode()).hexdigest()


def is_over(event: Event) -> bool:
    """Tell whether an event says that all is well again."""
    return event.change is Change.RESOLVED or (event.change is Change.STABLE and event.reason != "firing")


def is_muted(event: Event) -> bool:
    """Tell whether nobody is told: silenced; or acknowledged, unless it is the end, which whoever looks after it waits for."""
    return event.is_silenced or (event.is_acknowledged and not is_over(event))


def worst_first(events: Sequence[Event]) -> list[Event]:
    """Return events so that whoever reads only the first line reads what matters: what fires, the most severe, the newest."""
    return sorted(events, key=lambda one: (is_over(one), -one.severity, -one.step, one.rule))


def title_of(run: str) -> str:
    """Return a run as people write it.

    >>> title_of("math~grpo-7b")
    'math/grpo-7b'
    """
    return run.replace("~", "/", 1)


def number(value: float) -> str:
    """Return a figure as people read it, four digits of it.

    >>> number(1.42424), number(0.000123456), number(41), number(math.inf), number(234567.8)
    ('1.424', '0.0001235', '41', 'infinite', '234568')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


class Links(msgspec.Struct, frozen=True):
    """Where pages of the server are found, by their beginning."""

    base: str

    def run(self, run: str, step: int) -> str:
        """Return the page of a run at a step."""
        return f"{self.base}/runs/{run}?step={step}"

    def guide(self, guide: str) -> str:
        """Return the page of a guide, named as a rule names it; '' if that leads nowhere."""
        link = guides.link(guide)
        return f"{self.base}{link}" if link.startswith("/") else link
