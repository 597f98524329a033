"""Silences: of which alerts nobody is to be told, and for how long."""

import enum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from rolloutwatch_server.api.alerts import Minutes, Said
from rolloutwatch_server.api.answers import NOT_STORED, answer
from rolloutwatch_server.security.identity import identity_of
from rolloutwatch_server.store import Store

router = APIRouter(tags=["alerts"])

MOST_SILENCES = 1000  # at once

# names of runs and rules, with the wildcards of a shell
Pattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.~/@*?\[\]!-]{1,300}$")]


_NOT_ENDED = {"ended_at": None, "ended_by": ""}


class State(enum.Enum):
    """Which silences are asked for."""

    STANDING = "standing"
    ALL = "all"


class NewSilence(BaseModel):
    """Patterns of run ids and of rule names, such as `math~*`; `*` is all of them."""

    run: Pattern = "*"
    rule: Pattern = "*"
    minutes: Minutes
    reason: Said = ""


class OneSilence(BaseModel):
    """A silence, until when it lasts, who made it and when; times in seconds since 1970.

    `ended_at` is when it ended, null if it has not, `ended_by` who took it back, empty if its time was over.
    """

    id: int
    run: str
    rule: str
    until: float
    author: str
    reason: str
    created_at: float
    ended_at: float | None
    ended_by: str


class Silences(BaseModel):
    """The silence that was made last comes first."""

    silences: list[OneSilence]


@router.get("/silences", responses={200: {"model": Silences}})
def get_silences(
    request: Request,
    state: State = State.STANDING,
    limit: Annotated[int, Query(ge=1, le=MOST_SILENCES)] = MOST_SILENCES,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """List the silences that are not over, or all there ever were, the newest first; `before` is the last id seen so far."""
    store: Store = request.app.state.store
    if state is State.ALL:
        return answer({"silences": store.past_silences(limit, before)})
    standing = [one for one in store.silences() if before is None or one.id < before]
    return answer({"silences": [msgspec.structs.asdict(one) | _NOT_ENDED for one in standing[:limit]]})


@router.post("/silences", status_code=201, responses={201: {"model": OneSilence}})
def post_silence(request: Request, said: NewSilence) -> Response:
    """Let nobody be told of some alerts for a while: they are recorded, and told once if they fire still when it ends."""
    store: Store = request.app.state.store
    if len(store.silences()) >= MOST_SILENCES:
        raise HTTPException(
            409, f"there are {MOST_SILENCES} silences, and no room for more: end some of them."
        )
    now, author = store.now(), identity_of(request).name
    until = now + said.minutes * 60
    number = store.silence(said.run, said.rule, until, author, said.reason)
    told = {"until": until, "author": author, "reason": said.reason, "created_at": now}
    return answer({"id": number, "run": said.run, "rule": said.rule, **told, **_NOT_ENDED}, 201)


@router.delete("/silences/{silence}", status_code=204, responses={204: {"description": "It has ended"}})
def delete_silence(silence: Annotated[int, Path(ge=1, le=2**62)], request: Request) -> Response:
    """End a silence; alerts of it that fire still are told once."""
    store: Store = request.app.state.store
    if not store.unsilence(silence, identity_of(request).name):
        raise HTTPException(
            404, f"there is no silence {silence}: GET /api/v1/silences lists those there are."
        )
    return Response(status_code=204, headers=NOT_STORED)
