"""What the evaluation of a run is fed, what comes of it, and what it must remember."""

import msgspec

from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.state import AlertState, Transition


class Piece(msgspec.Struct, frozen=True):
    """Figures of a step that came together, all of one session, and the time of their record.

    What is read again came of several sessions, and is of session 0: where the run went back is noted beside it.
    `speakers` are then the sessions that brought the figures, as far as they are known.
    """

    step: int
    time: float
    session: int
    metrics: dict[str, float]
    speakers: dict[str, int] = {}

    def speaker(self, metric: str) -> int:
        """Return the session that brought a figure, 0 if that is not known."""
        return self.speakers.get(metric, self.session)


class Late(msgspec.Struct, frozen=True, tag="late"):
    """Figures of a step behind the open one, `during`: only rules that need no others were judged by them."""

    step: int
    metrics: tuple[str, ...]
    during: int


class Ignored(msgspec.Struct, frozen=True, tag="ignored"):
    """Figures that came again, or of a step that does not count any more: they were not judged."""

    step: int
    session: int
    metrics: tuple[str, ...]


class Rewind(msgspec.Struct, frozen=True, tag="rewind"):
    """The run went back to a step.

    `epochs` is how often each rule had fired by then, `going_on` are those whose alert fires on, having done so before
    that step, and whether it was flapping. `came` are the metrics that had ever come, with for how many steps they had
    not: 0 for one that came at that step or behind it, which counts as having come at the step before.
    """

    step: int
    time: float
    epochs: dict[str, int] = {}
    going_on: dict[str, bool] = {}
    came: dict[str, int] = {}


class RulesChanged(msgspec.Struct, frozen=True, tag="rules"):
    """Other rules came into force while a step was open and these figures of it had come; -1 if there was none."""

    step: int
    time: float
    came: tuple[str, ...]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The run ended after a step; what comes of that or of steps before is not judged, and later ones begin anew."""

    step: int
    time: float


class Reconfigured(msgspec.Struct, frozen=True, tag="config"):
    """From a step on the trainer is configured otherwise: baselines begin anew."""

    step: int
    time: float


Note = Late | Ignored | Rewind | RulesChanged | Ended | Reconfigured


class Fed(msgspec.Struct, frozen=True):
    """What has come of something: to alerts, to the states of rules by name, and what is to be noted of it.

    The states are those that changed.
    """

    transitions: list[tuple[Rule, Transition]]
    states: dict[str, AlertState]
    notes: list[Note]


class Memory(msgspec.Struct, omit_defaults=True):
    """How far a run is judged, besides the states of its rules and what windows hold.

    `step` is the open one, -1 without any, `time` that of its first record, `number` counts steps up to it.
    What comes of `begun` or steps before does not count any more. `floors` are steps behind which windows began empty:
    the one behind which the run began to be judged, then those at which it ended.
    `last` tells of each metric when it last came: step, session, number of the step.
    `configured` are steps from which on the trainer is configured otherwise, ascending, the last ones.
    `undecided` are rules that the open step may still decide, though some of their figures have come.
    """

    step: int = -1
    time: float = 0.0
    number: int = 0
    begun: int = -1
    floors: tuple[int, ...] = (-1,)
    last: dict[str, tuple[int, int, int]] = {}
    configured: tuple[int, ...] = ()
    undecided: tuple[str, ...] = ()
