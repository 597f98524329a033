"""Silences: of which alerts nobody is to be told, and for how long."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
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
    """A silence, until when it lasts, who made it and when; times in seconds since 1970."""

    id: int
    run: str
    rule: str
    until: float
    author: str
    reason: str
    created_at: float


class Silences(BaseModel):
    """Those that are not over."""

    silences: list[OneSilence]


@router.get("/silences", responses={200: {"model": Silences}})
def get_silences(request: Request) -> Response:
    """List the silences that are not over, the newest first."""
    store: Store = request.app.state.store
    return answer({"silences": store.silences()})


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
    return answer({"id": number, "run": said.run, "rule": said.rule, **told}, 201)


@router.delete("/silences/{silence}", status_code=204, responses={204: {"description": "It has ended"}})
def delete_silence(silence: Annotated[int, Path(ge=1, le=2**62)], request: Request) -> Response:
    """End a silence; alerts of it that fire still are told once."""
    store: Store = request.app.state.store
    if not store.unsilence(silence):
        raise HTTPException(
            404, f"there is no silence {silence}: GET /api/v1/silences lists those there are."
        )
    return Response(status_code=204, headers=NOT_STORED)
