"""What people are told of: events of one run that go in one message."""

import hashlib
import json
import math
import time
from collections.abc import Sequence

import msgspec

from rolloutwatch_contract import guides
from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_server.store import Event


class Content(msgspec.Struct, frozen=True):
    """What one message is about: events of one run, and how many other alerts fire there.

    `over` has the alerts whose end was known when the message was made, but is not told by it: not everybody wants ends.
    `diagnosis` is what was probably wrong at the step of what fires, None if nothing does.
    """

    events: tuple[Event, ...]
    others: int = 0
    is_test: bool = False
    over: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None

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
        """Return what people are shown, without the beginnings of what is over by now: the end tells of it.

        Whoever reads only the first line reads what matters: what fires, the most severe, the newest.
        """
        told = ends(self.events)
        shown = [one for one in self.events if not (says_it_fires(one) and one.alert in told)]
        return sorted(shown, key=lambda one: (self.has_ended(one), -one.severity, -one.step, one.rule))

    def has_ended(self, event: Event) -> bool:
        """Tell whether what an event tells of is over, by itself or as is known otherwise."""
        return is_over(event) or self.ended_meanwhile(event)

    def ended_meanwhile(self, event: Event) -> bool:
        """Tell whether an event says that an alert fires, of which another one that is not told says that it is over."""
        return event.alert in self.over and says_it_fires(event)


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


def says_it_fires(event: Event) -> bool:
    """Tell whether an event is that an alert fires, now or still."""
    is_stable = event.change is Change.STABLE and event.reason == "firing"
    return event.change in (Change.FIRING, Change.REPEAT) or is_stable


def ends(events: Sequence[Event]) -> set[str]:
    """Return the alerts of which events tell the end."""
    return {one.alert for one in events if one.change is Change.RESOLVED}


def is_muted(event: Event) -> bool:
    """Tell whether nobody is told: silenced; or acknowledged, unless it is the end, which whoever looks after it waits for."""
    return event.is_silenced or (event.is_acknowledged and not is_over(event))


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


def moment(seconds: float) -> str:
    """Return a time, of a record say, as date and time of day.

    >>> moment(1790000000.2), moment(1e300)
    ('2026-09-21 14:13:20 UTC', 'an unknown time')
    """
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):  # a trainer's clock may say anything
        return "an unknown time"


def span(seconds: float) -> str:
    """Return for how long something has been, in its largest two units.

    >>> span(200), span(3 * 3600 + 130), span(90000)
    ('3 min', '3 h 2 min', '25 h')
    """
    hours, minutes = divmod(int(seconds // 60), 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes else [])])


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
