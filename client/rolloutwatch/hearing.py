"""What the server says of a run's alerts, on its way to whoever trains.

The courier asks Redis now and then and leaves what it has heard here, as one object that is never changed.
The trainer's thread looks at that object, and tells the trainer's own function what is new; it waits for nobody.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from rolloutwatch.drops import Ledger
from rolloutwatch.shown import shown
from rolloutwatch.sink import Sink, SinkError, Unheard
from rolloutwatch_contract.alerts import FiringAlert, FiringAlerts, decode_firing

log = logging.getLogger("rolloutwatch")

SECONDS_BETWEEN_LOOKS = 2.0
MOST_SECONDS_BETWEEN_LOOKS = 60.0  # while something stands in the way that a person has to take out of it


@dataclass(frozen=True)
class AlertEvent:
    """Something that has become of an alert of this run: `change` is "firing" or "resolved"."""

    change: Literal["firing", "resolved"]
    alert: FiringAlert


OnAlert = Callable[[AlertEvent], object]


@dataclass(frozen=True)
class Hearing:
    """How alerts are heard.

    `state` is "waiting" while the server has said nothing of this run, "hearing", "troubled" while what it says
    cannot be had, "closed", or "silent" where another rank pushes.
    `step` and `time` are of what it said last: the last step it had judged then.
    It says something when an alert changes, and while it judges steps every two seconds or so.
    `heard_at` is when Redis was last asked and answered; times are in seconds since 1970, None before the first.
    `trouble` says what is wrong now, `failed_callbacks` how often `on_alert` has raised.
    """

    state: str
    step: int | None = None
    time: float | None = None
    heard_at: float | None = None
    trouble: str = ""
    failed_callbacks: int = 0


@runtime_checkable
class TellsOfAlerts(Protocol):
    """A sink that can be asked for what the server says of a run's alerts."""

    def hear(self) -> bytes | None:
        """Return what `alerts.encode_firing` made of them; None if nothing is said.

        SinkError: it could not be reached. Unheard: it could, and what is said of alerts cannot be had.
        """


class Listener:
    """Holds what was heard last. `listen` is the courier's, all else the trainer's, whose thread is never held up."""

    def __init__(self, ledger: Ledger, on_alert: OnAlert | None = None, *, silent: bool = False) -> None:
        self._ledger = ledger
        self._on_alert = on_alert
        self._silent = silent
        self._began = time.time()
        self._next_look = 0.0
        self._pause = SECONDS_BETWEEN_LOOKS
        self._text: bytes | None = None
        self._said: FiringAlerts | None = None
        self._says_nothing = True
        self._heard_at: float | None = None
        self._trouble = ""
        # the trainer's side
        self._ended = False
        self._telling = threading.Lock()
        self._told_of: FiringAlerts | None = None
        self._told: dict[str, FiringAlert] = {}
        self._failed = 0

    # -- the courier's side --------------------------------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return not self._ended and time.monotonic() >= self._next_look

    def listen(self, ask: Callable[[], bytes | None]) -> None:
        """Ask, and keep the answer; what was heard before stays if there is none."""
        try:
            self._keep(ask())
        except SinkError as error:
            # whether Redis answers at all the log is told by those who have records for it
            self._trouble = str(error)
            self._pause = SECONDS_BETWEEN_LOOKS
        except Unheard as error:
            self._trouble = str(error)
            self._ledger.trouble(
                "alerts", f"Alerts of this run are not heard: {self._trouble} Training and delivery go on."
            )
            self._pause = min(2 * self._pause, MOST_SECONDS_BETWEEN_LOOKS)
        self._next_look = time.monotonic() + self._pause

    def _keep(self, text: bytes | None) -> None:
        if text is not None and text != self._text:
            self._said = _understood(text)
            self._text = text
        # that nothing is said, because it has expired or Redis has lost it, does not end an alert
        self._says_nothing = text is None
        self._heard_at = time.time()
        self._trouble, self._pause = "", SECONDS_BETWEEN_LOOKS
        self._ledger.over("alerts", "Alerts of this run are heard again.")

    # -- the trainer's side --------------------------------------------------------------------------------------

    def firing(self) -> tuple[FiringAlert, ...]:
        """Return the alerts that fire, as last heard, of which the trainer's function has been told before."""
        said = self.tell()
        return () if said is None else said.alerts

    def tell(self) -> FiringAlerts | None:
        """Tell the trainer's function what is new, and return all of it.

        Raises nothing but what asks the process to end.
        """
        said = self._said  # once: the courier may replace it at any time
        if self._on_alert is not None and said is not None and said is not self._told_of and not self._ended:
            self._tell_alone(said, self._on_alert)
        return said

    def health(self) -> Hearing:
        """Return how it is."""
        said = self._said
        return Hearing(
            state=self._state(),
            step=None if said is None else said.step,
            time=None if said is None else said.time,
            heard_at=self._heard_at,
            trouble=self._trouble,
            failed_callbacks=self._failed,
        )

    def end(self) -> None:
        """Ask no more, and tell nothing more; what was heard stays."""
        self._ended = True

    def disown(self) -> None:
        """End in a forked child: what is new its parent is told."""
        self._ended = True
        self._telling = threading.Lock()

    def _state(self) -> str:
        if self._ended:
            return "closed"
        if self._silent:
            return "silent"
        if self._trouble:
            return "troubled"
        return "waiting" if self._says_nothing else "hearing"

    def _tell_alone(self, said: FiringAlerts, on_alert: OnAlert) -> None:
        # not twice at once, and not from within the function itself
        if not self._telling.acquire(blocking=False):
            return
        try:
            self._tell(said, on_alert)
        finally:
            self._telling.release()

    def _tell(self, said: FiringAlerts, on_alert: OnAlert) -> None:
        for event in self._news(said):
            # noted before it is told: once is once, whatever comes of it
            if event.change == "firing":
                self._told[event.alert.id] = event.alert
            else:
                del self._told[event.alert.id]
            try:
                on_alert(event)
            except Exception:
                self._failed += 1
                if self._failed == 1:
                    log.exception(
                        "on_alert raised when it was told that %s is %s. Training goes on; "
                        "further times are only counted, see Monitor.health().alerts.",
                        shown(event.alert.rule),
                        event.change,
                    )
            if self._ended:
                return
        self._told_of = said

    def _news(self, said: FiringAlerts) -> Iterator[AlertEvent]:
        """Yield what the trainer has not been told: first what has ended, then what has begun, the oldest first."""
        now = {alert.id: alert for alert in said.alerts}
        for known in [alert for name, alert in self._told.items() if name not in now]:
            yield AlertEvent("resolved", known)
        for alert in sorted(now.values(), key=lambda alert: (alert.since_step, alert.since_time)):
            # of what an earlier session of this run has left a trainer that starts anew would stop at once, for ever
            if alert.id not in self._told and alert.since_time >= self._began:
                yield AlertEvent("firing", alert)


def _understood(text: bytes) -> FiringAlerts:
    try:
        return decode_firing(text)
    except ValueError as error:
        raise Unheard(f"{error} Delete it: the server writes it anew when something changes.") from error


def check_listening(alerts: object, on_alert: object, sink: Sink | None) -> None:
    """Check what a trainer asks for of alerts; ValueError if that cannot be had."""
    if not isinstance(alerts, bool):
        raise ValueError(f"alerts is {shown(alerts)}: expected True or False.")
    if on_alert is not None and not callable(on_alert):
        raise ValueError(f"on_alert is {shown(on_alert)}: expected a function of one AlertEvent, or None.")
    if (alerts or on_alert) and sink is not None and not isinstance(sink, TellsOfAlerts):
        raise ValueError(
            f"sink is a {type(sink).__name__}, which cannot be asked for alerts: expected one with a method hear(), "
            "or alerts=False and no on_alert."
        )
