"""The life of an alert, as a pure function of rule, state and sample."""

import enum

import msgspec

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.rules import Rule

RECENT_STEPS = 50  # how far back turns count
FLAPPING_TURNS = 6  # so many of them are too many
STABLE_TURNS = 3  # fewer than these are few again


class Phase(enum.Enum):
    """How a rule stands: good, bad but not for long enough, or firing."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule's conditions come to at a step. `time` is the record's, `values` are the rule's figures that are known.

    `number` counts the steps that the run has had; that of the step itself may be of tokens, say.
    `during` is the step that is open, where that is a later one.
    """

    number: int
    step: int
    time: float
    when: Truth
    clear: Truth
    values: dict[str, float] = {}
    during: int = -1


class AlertState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a rule stands after a step.

    `count` is of steps one after the other that speak for a change: bad ones while pending, since `since_time`,
    and good ones while firing. `epoch` counts how often the rule has fired, and never goes back.
    `fired` is the step that was open when the alert that fires was found, -1 while none does.
    `turns` are the numbers of recent steps at which it fired or was resolved.
    `begun` is a step up to which it is not judged, because it came into force there.
    """

    phase: Phase = Phase.OK
    count: int = 0
    since_time: float = 0.0
    epoch: int = 0
    fired: int = -1
    turns: tuple[int, ...] = ()
    flapping: bool = False
    begun: int = -1


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an alert, at which step and with which figures. A `quiet` one is recorded, and nobody is told.

    `reason` says why it ended if that was not for its condition, and how it stands (`ok`, `firing`) once it is stable.
    """

    change: Change
    epoch: int
    step: int
    time: float
    values: dict[str, float] = {}
    reason: str = ""
    quiet: bool = False


Stepped = tuple[AlertState, tuple[Transition, ...]]


def step(rule: Rule, state: AlertState, sample: Sample) -> Stepped:
    """Return how a rule stands after one more step, and what has happened to its alert.

    What is unknown neither advances nor resets anything.
    """
    speaks = sample.clear if state.phase is Phase.FIRING else sample.when
    if speaks is Truth.UNKNOWN:
        return state, ()
    if state.phase is Phase.FIRING:
        moved, happened = _while_firing(rule, state, sample)
    else:
        moved, happened = _while_not(rule, state, sample)
    if not (happened or state.flapping):
        return moved, ()
    return _calmed(moved, sample, happened)


def end(state: AlertState, at_step: int, time: float, reason: str) -> Stepped:
    """Return how a rule stands that begins anew, and what that does to its alert: it ends, and flaps no more."""
    begun_anew = AlertState(epoch=state.epoch, begun=state.begun)
    happened = []
    if state.phase is Phase.FIRING:
        happened.append(_ended(Change.RESOLVED, state, at_step, time, reason, quiet=False))
    if state.flapping:
        happened.append(_ended(Change.STABLE, state, at_step, time, reason, quiet=bool(happened)))
    return begun_anew, tuple(happened)


def go_on(state: AlertState, at_step: int, time: float) -> Stepped:
    """Return how a rule stands whose alert goes on at a step that the run goes back to: firing, and else as new."""
    going_on = AlertState(phase=state.phase, epoch=state.epoch, fired=state.fired, begun=state.begun)
    if not state.flapping:
        return going_on, ()
    return going_on, (_ended(Change.STABLE, state, at_step, time, state.phase.value, quiet=False),)


def _while_not(rule: Rule, state: AlertState, sample: Sample) -> tuple[AlertState, Change | None]:
    if sample.when is Truth.FALSE:
        return _in_phase(state, Phase.OK), None
    since = sample.time if state.phase is Phase.OK else state.since_time
    count = state.count + 1
    if count < rule.for_steps or sample.time - since < rule.for_seconds:
        return _in_phase(state, Phase.PENDING, count, since), None
    fired = max(sample.step, sample.during)
    return _in_phase(state, Phase.FIRING, epoch=state.epoch + 1, fired=fired), Change.FIRING


def _while_firing(rule: Rule, state: AlertState, sample: Sample) -> tuple[AlertState, Change | None]:
    if sample.clear is Truth.FALSE:
        return _in_phase(state, Phase.FIRING, fired=state.fired), None
    count = state.count + 1
    if count < rule.clear_steps:
        return _in_phase(state, Phase.FIRING, count, fired=state.fired), None
    return _in_phase(state, Phase.OK), Change.RESOLVED


def _in_phase(
    state: AlertState,
    phase: Phase,
    count: int = 0,
    since_time: float = 0.0,
    epoch: int | None = None,
    fired: int = -1,
) -> AlertState:
    return AlertState(
        phase=phase,
        count=count,
        since_time=since_time,
        epoch=state.epoch if epoch is None else epoch,
        fired=fired,
        turns=state.turns,
        flapping=state.flapping,
        begun=state.begun,
    )


def _calmed(state: AlertState, sample: Sample, change: Change | None) -> Stepped:
    """Tell what happened, or once that it happens all the time, and once that it does no more."""
    turns = tuple(turn for turn in state.turns if sample.number - turn < RECENT_STEPS)
    happened = []
    if change is not None:
        turns = (*turns, sample.number)
        happened.append(_happened(change, state, sample, quiet=state.flapping))
    flapping = len(turns) >= (STABLE_TURNS if state.flapping else FLAPPING_TURNS)
    if flapping and not state.flapping:
        happened.append(_happened(Change.FLAPPING, state, sample))
    if state.flapping and not flapping:
        happened.append(_happened(Change.STABLE, state, sample, reason=state.phase.value))
    return msgspec.structs.replace(state, turns=turns, flapping=flapping), tuple(happened)


def _happened(
    change: Change, state: AlertState, sample: Sample, *, reason: str = "", quiet: bool = False
) -> Transition:
    return Transition(
        change=change,
        epoch=state.epoch,
        step=sample.step,
        time=sample.time,
        values=sample.values,
        reason=reason,
        quiet=quiet,
    )


def _ended(
    change: Change, state: AlertState, at_step: int, time: float, reason: str, *, quiet: bool
) -> Transition:
    return Transition(change=change, epoch=state.epoch, step=at_step, time=time, reason=reason, quiet=quiet)
