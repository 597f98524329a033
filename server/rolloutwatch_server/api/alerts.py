"""Alerts, and what people say of them: that somebody looks after one, that nobody is to be told of some."""

import contextlib
import enum
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from rolloutwatch_contract import guides
from rolloutwatch_contract import severity as severities
from rolloutwatch_contract.alert_life import Moment
from rolloutwatch_contract.alerts import AlertView, Change
from rolloutwatch_server.alerts.life import messages
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.api.bodies import Sent
from rolloutwatch_server.api.runs import find_run
from rolloutwatch_server.security.identity import identity_of
from rolloutwatch_server.spelling import Spelt, spelt_all
from rolloutwatch_server.store import AlertHasEnded, Store
from rolloutwatch_server.store.alert_actions import What
from rolloutwatch_server.store.alert_rows import TransitionView

router = APIRouter(tags=["alerts"])

DEFAULT_ALERTS = 100
MOST_ALERTS = 1000
MOST_TRANSITIONS = 1000  # of one alert, which flaps then
MOST_LETTERS = 1000
MOST_MINUTES = 366 * 24 * 60

Minutes = Annotated[float, Field(gt=0, le=MOST_MINUTES, strict=True)]  # neither "60" nor true
Said = Annotated[str, Field(max_length=MOST_LETTERS)]
Which = Annotated[str | None, Query(max_length=300)]
Limit = Annotated[int, Query(ge=1, le=MOST_ALERTS)]
From = Annotated[float | None, Query(alias="from", allow_inf_nan=False)]
To = Annotated[float | None, Query(alias="to", allow_inf_nan=False)]
Id = Annotated[str, Path(max_length=100)]


class State(enum.Enum):
    """Which alerts are asked for."""

    FIRING = "firing"
    PAST = "past"
    ALL = "all"


class Severity(enum.Enum):
    """How bad an alert is."""

    WARNING = "warning"
    CRITICAL = "critical"


class Alert(BaseModel):
    """One alert, from when it fired to when it was resolved, null while it stands.

    Steps and times are those of records, times in seconds since 1970; `values` are the figures that made it fire,
    as text where one is not finite: NaN, Infinity or -Infinity. `epoch` counts how often its rule has fired on the run.
    `reason` says why it ended, if that was not because its condition did.
    It is `given_up` if the run went back behind it, and `late` if it was found only long after.
    """

    id: str
    run: str
    rule: str
    epoch: int
    severity: Severity
    condition: str
    firing_step: int
    firing_time: float | None
    values: dict[str, Spelt]
    resolved_step: int | None
    resolved_time: float | None
    reason: str
    summary: str
    cure: str
    guide: str
    acknowledged_by: str
    acknowledged_until: float | None
    note: str
    silenced_until: float | None
    flapping: bool
    late: bool
    given_up: bool


class Alerts(BaseModel):
    """The alert that fired last comes first."""

    alerts: list[Alert]


class OneTransition(BaseModel):
    """A change of an alert, when it happened by the run's clock, and when the server saw it by its own.

    It is `quiet` if nobody was told, because the alert flaps.
    """

    id: str
    change: Change
    step: int
    time: float | None
    seen_at: float
    values: dict[str, Spelt]
    reason: str
    quiet: bool
    late: bool
    given_up: bool


class OneAction(BaseModel):
    """What somebody did: when, by the server's clock, and until when; `by` is empty for what the clock did.

    Of a silence `run` and `rule` are its patterns, and `silence` is its id.
    """

    time: float
    what: What
    by: str
    until: float | None
    note: str
    run: str
    rule: str
    silence: int | None


class Became(enum.Enum):
    """What became of a message."""

    TOLD = "told"
    WAITING = "waiting"
    GIVEN_UP = "given up"


class OneMessage(BaseModel):
    """A message that tells of the alert: to which target, of which changes up to which step, and what became of it when."""

    target: str
    became: Became
    changes: str
    step: int
    time: float
    error: str


class WholeAlert(Alert):
    """An alert, what happened to it, what people did about it, and the messages that are kept of it, in order."""

    transitions: list[OneTransition]
    actions: list[OneAction]
    messages: list[OneMessage]


class Acknowledgement(Sent):
    """For how long somebody looks after an alert, null for until it ends, and what there is to say."""

    minutes: Minutes | None = None
    note: Said = ""


class SilenceOfOne(Sent):
    """For how long nobody is to be told of this rule on this run, and why."""

    minutes: Minutes
    reason: Said = ""


@router.get("/alerts", responses={200: {"model": Alerts}})
def get_alerts(
    request: Request,
    state: State = State.FIRING,
    run: Which = None,
    rule: Which = None,
    limit: Limit = DEFAULT_ALERTS,
    before: Annotated[str | None, Query(max_length=100)] = None,
    severity: Severity | None = None,
    from_time: From = None,
    to_time: To = None,
) -> Response:
    """List alerts that fire, past ones, or all there ever were, the newest first; `before` is the id of the last one seen so far.

    With `from` and `to`, in seconds since 1970, those that began from the one on and before the other.
    """
    found = _store(request).alerts(
        state=state.value,
        run=run,
        rule=rule,
        severity=None if severity is None else severities.Severity[severity.name],
        from_time=from_time,
        to_time=to_time,
        limit=limit,
        before=before,
    )
    return answer({"alerts": [alert_fields(one) for one in found]})


@router.get("/runs/{run}/alerts", responses={200: {"model": Alerts}})
def get_alerts_of_run(
    run: str,
    request: Request,
    state: State = State.ALL,
    rule: Which = None,
    limit: Limit = DEFAULT_ALERTS,
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """List the alerts of one run."""
    find_run(request, run)
    return get_alerts(request, state, run, rule, limit, before)


@router.get("/alerts/{alert}", responses={200: {"model": WholeAlert}})
def get_alert(alert: Id, request: Request) -> Response:
    """Tell everything about one alert."""
    store = _store(request)
    found = _there(store.alert(alert), alert)
    transitions = store.transitions(alert=alert, limit=MOST_TRANSITIONS)
    told = {
        "transitions": [transition_fields(one) for one in transitions],
        "actions": store.actions(found),
        "messages": [message_fields(one) for one in messages(store, found)],
    }
    return answer(alert_fields(found) | told)


@router.post("/alerts/{alert}/acknowledge", responses={200: {"model": Alert}})
def post_acknowledgement(
    alert: Id, request: Request, said: Annotated[Acknowledgement | None, Body()] = None
) -> Response:
    """Say that one looks after an alert: it is not repeated, until it ends or the time is over."""
    store, said = _store(request), said or Acknowledgement()
    until = None if said.minutes is None else store.now() + said.minutes * 60
    with _refusing():
        found = store.acknowledge(alert, identity_of(request).name, until, said.note)
    return answer(alert_fields(_there(found, alert)))


@router.delete("/alerts/{alert}/acknowledge", responses={200: {"model": Alert}})
def delete_acknowledgement(alert: Id, request: Request) -> Response:
    """Take that back."""
    with _refusing():
        found = _store(request).unacknowledge(alert, identity_of(request).name)
    return answer(alert_fields(_there(found, alert)))


@router.post("/alerts/{alert}/silence", responses={200: {"model": Alert}})
def post_silence_of_alert(alert: Id, request: Request, said: SilenceOfOne) -> Response:
    """Let nobody be told of this rule on this run for a while; if the alert fires still then, it is told once."""
    store = _store(request)
    found = _there(store.alert(alert), alert)
    until = store.now() + said.minutes * 60
    store.silence(found.run, found.rule, until, identity_of(request).name, said.reason)
    return answer(alert_fields(_there(store.alert(alert), alert)))


def alert_fields(alert: AlertView) -> dict[str, Any]:
    """Return an alert as the API tells it."""
    fields: dict[str, Any] = msgspec.structs.asdict(alert)
    words = {"severity": alert.severity.word, "guide": guides.link(alert.guide)}
    return fields | words | {"values": spelt_all(alert.values)}


def transition_fields(one: TransitionView) -> dict[str, Any]:
    """Return a transition as the API tells it, without what it has of its alert."""
    fields = {name: getattr(one, name) for name in OneTransition.model_fields}
    return fields | {"values": spelt_all(one.values)}


def message_fields(one: Moment) -> dict[str, Any]:
    """Return a message as the API tells it."""
    return {
        "target": one.by, "became": one.what.value, "changes": one.about, "step": one.step, "time": one.time,
        "error": one.note,
    }  # fmt: skip


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except AlertHasEnded as ended:
        raise HTTPException(409, str(ended)) from ended


def _there(found: AlertView | None, alert: str) -> AlertView:
    if found is None:
        raise HTTPException(
            404, f"there is no alert {alert!r}: GET /api/v1/alerts?state=all lists those there are."
        )
    return found


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store
