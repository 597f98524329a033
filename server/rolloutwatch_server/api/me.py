"""Who asks, as the server sees it: pages offer what that one may do."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.security.identity import identity_of

router = APIRouter(tags=["access"])


class Me(BaseModel):
    """A name and what it may do; where nobody has to log in, anybody is admin."""

    name: str
    role: Literal["viewer", "operator", "admin"]


@router.get("/me", responses={200: {"model": Me}})
def get_me(request: Request) -> Response:
    """Tell who one is, and what one may do."""
    identity = identity_of(request)
    return answer({"name": identity.name, "role": identity.role.word})
