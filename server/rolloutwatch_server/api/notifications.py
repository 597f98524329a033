"""Who is told of alerts, how that goes, and what was given up."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.notify.events import decode
from rolloutwatch_server.notify.notifier import MOST_DEAD, Notifier, UnderWay
from rolloutwatch_server.store import Delivery, Store

router = APIRouter(prefix="/notifications", tags=["alerts"])


class OneTarget(BaseModel):
    """Somebody who is told of alerts of at least a severity, on runs by pattern; `host` is null if it would tell a secret.

    It fails since `failing_since`, if several attempts to reach it have failed; times are seconds since 1970.
    """

    name: str
    kind: str
    host: str | None
    severity: str
    runs: list[str]
    last_success: float | None
    failing_since: float | None
    waiting: int
    dead: int
    error: str


class OneDeparted(BaseModel):
    """Somebody who is not in the file any more: messages that wait until they are back, a day at most, or were given up."""

    name: str
    waiting: int
    dead: int


class Targets(BaseModel):
    """All of them, as they stand in the file of the server, and those that stood there."""

    targets: list[OneTarget]
    departed: list[OneDeparted]


class OneEvent(BaseModel):
    """What a message tells of."""

    id: str
    rule: str
    change: str
    severity: str
    step: int


class OneDeadMessage(BaseModel):
    """A message that was given up: its key, for whom it was, how often that was tried, when it was given up, and why."""

    id: int
    key: str
    target: str
    run: str
    events: list[OneEvent]
    created_at: float
    given_up_at: float | None
    attempts: int
    error: str


class DeadMessages(BaseModel):
    """The newest first."""

    dead: list[OneDeadMessage]


class Tested(BaseModel):
    """The target has taken a test."""

    target: str


class Retried(BaseModel):
    """How many messages are sent anew."""

    retried: int


@router.get("", responses={200: {"model": Targets}})
def get_notifications(request: Request) -> Response:
    """Tell who is told of alerts, and whether that works."""
    notifier = _notifier(request)
    views, departed = ([], []) if notifier is None else (notifier.views(), notifier.departed())
    targets = [msgspec.structs.asdict(one) | {"host": one.host or None} for one in views]
    return answer({"targets": targets, "departed": [one._asdict() for one in departed]})


@router.post("/{target}/test", responses={200: {"model": Tested}})
def test_target(target: str, request: Request) -> Response:
    """Send a test to a target, and wait until it has arrived; 502 says why it has not."""
    notifier = _notifier(request)
    found = notifier.target(target) if notifier is not None else None
    if notifier is None or found is None:
        raise HTTPException(
            404, f"there is no target {target[:100]!r}: GET /api/v1/notifications lists those there are."
        )
    try:
        error = notifier.test(found)
    except UnderWay as busy:
        raise HTTPException(409, str(busy)) from busy
    if error:
        raise HTTPException(502, f"target {found.name}: {error}")
    return answer({"target": found.name})


@router.get("/dead", responses={200: {"model": DeadMessages}})
def get_dead_messages(request: Request, limit: Annotated[int, Query(ge=1, le=MOST_DEAD)] = 100) -> Response:
    """List messages that were given up, the newest first; of all that are over only the newest are kept."""
    store: Store = request.app.state.store
    return answer({"dead": [_dead(one) for one in store.deliveries("dead", limit=limit)]})


@router.post("/dead/retry", responses={200: {"model": Retried}})
def retry_all(request: Request) -> Response:
    """Send all messages anew that were given up, for targets that there are."""
    notifier = _notifier(request)
    return answer({"retried": 0 if notifier is None else notifier.retry_all()})


@router.post("/dead/{message}/retry", responses={200: {"model": Retried}})
def retry(request: Request, message: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Response:
    """Send a message anew that was given up, with the key that it had."""
    notifier = _notifier(request)
    if notifier is None or not notifier.retry(message):
        raise HTTPException(
            404,
            f"there is no message {message} that was given up, for a target that there is: "
            "GET /api/v1/notifications/dead lists those there are.",
        )
    return answer({"retried": 1})


def _dead(one: Delivery) -> dict[str, object]:
    events = [
        {
            "id": event.id,
            "rule": event.rule,
            "change": event.change.value,
            "severity": event.severity.word,
            "step": event.step,
        }
        for event in decode(one.events).events
    ]
    return {
        "id": one.id,
        "key": one.key,
        "target": one.target,
        "run": one.run,
        "events": events,
        "created_at": one.created_at,
        "given_up_at": one.done_at,
        "attempts": one.attempts,
        "error": one.error,
    }


def _notifier(request: Request) -> Notifier | None:
    found: Notifier | None = request.app.state.notifier
    return found
