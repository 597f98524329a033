"""When a limit is an alert, sample by sample: the slow way to say what is computed of whole series at once."""

import enum
import math

import msgspec

from rolloutwatch_contract.limits import Limit


class Phase(enum.Enum):
    """How a rule stands: its metric is good, has been bad for a few steps, or has been so for long enough."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"


class Sample(msgspec.Struct, frozen=True):
    """The value of a rule's metric at a step; None where there is none. `time` is the record's."""

    step: int
    time: float
    value: float | None


class AlertState(msgspec.Struct, frozen=True):
    """How a rule stands after a step.

    `count` is of steps one after the other that speak for a change: bad ones while pending, good ones while firing.
    `epoch` counts how often the rule has fired.
    """

    phase: Phase = Phase.OK
    count: int = 0
    epoch: int = 0


class Change(enum.Enum):
    """What happens to an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Transition(msgspec.Struct, frozen=True):
    """An alert begins or ends, with the sample that made it so."""

    change: Change
    epoch: int
    sample: Sample


def step(rule: Limit, state: AlertState, sample: Sample) -> tuple[AlertState, Transition | None]:
    """Return how a rule stands after one more sample, and what has happened to its alert.

    A value that is missing or NaN is unknown: it neither advances nor resets anything. An infinite one is bad or good.
    """
    if sample.value is None or math.isnan(sample.value):
        return state, None
    broken = rule.broken_by(sample.value)
    if state.phase is Phase.FIRING:
        return _while_firing(rule, state, sample, broken)
    if not broken:
        return AlertState(epoch=state.epoch), None
    count = state.count + 1
    if count < rule.for_steps:
        return AlertState(Phase.PENDING, count, state.epoch), None
    epoch = state.epoch + 1
    return AlertState(Phase.FIRING, 0, epoch), Transition(Change.FIRING, epoch, sample)


def _while_firing(
    rule: Limit, state: AlertState, sample: Sample, broken: bool
) -> tuple[AlertState, Transition | None]:
    if broken:
        return AlertState(Phase.FIRING, 0, state.epoch), None
    count = state.count + 1
    if count < rule.clear_steps:
        return AlertState(Phase.FIRING, count, state.epoch), None
    return AlertState(epoch=state.epoch), Transition(Change.RESOLVED, state.epoch, sample)
