"""What came in the streams and is not a record."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.store import Store

router = APIRouter(tags=["ingest"])


class OneDeadLetter(BaseModel):
    """Where an entry stood, why it was refused, how it begins (base64), and when it came (seconds since 1970)."""

    stream: str
    entry: str
    reason: str
    head: str
    time: float


class DeadLetters(BaseModel):
    """The newest first."""

    dead_letters: list[OneDeadLetter]


@router.get("/dead-letters", responses={200: {"model": DeadLetters}})
def get_dead_letters(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """List entries that could not be read, the newest first."""
    store: Store = request.app.state.store
    return answer({"dead_letters": store.dead_letters(limit)})
