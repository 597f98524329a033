"""Silences: of which alerts nobody is to be told, and for how long."""

import enum
import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict
from starlette.exceptions import HTTPException

from rolloutwatch_server.api.alerts import Minutes, Said
from rolloutwatch_server.api.answers import NOT_STORED, answer
from rolloutwatch_server.api.bodies import Sent, complaint
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


_EVERYTHING = r"^\*+$"
_NARROW: JsonDict = {"not": {"pattern": _EVERYTHING}}


class NewSilence(Sent):
    """Patterns of run ids and of rule names, such as `math~*`: one of them at least.

    One that is left out is `*`, all there are; to silence everything both have to be said.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["run", "rule"]},
                {"required": ["run"], "properties": {"run": _NARROW}},
                {"required": ["rule"], "properties": {"rule": _NARROW}},
            ]
        }
    )

    run: Pattern = "*"
    rule: Pattern = "*"
    minutes: Minutes
    reason: Said = ""

    @model_validator(mode="after")
    def _means_everything_only_if_it_says_so(self) -> "NewSilence":
        said = {"run", "rule"} & self.model_fields_set
        is_everything = all(re.match(_EVERYTHING, one) for one in (self.run, self.rule))
        if is_everything and len(said) < 2:
            came = f"only {said.pop()}: '*'" if said else "neither"
            raise complaint(
                f"a silence names a run or a rule, or both; came {came}. "
                'To silence everything say both: {"run": "*", "rule": "*"}.'
            )
        return self


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
