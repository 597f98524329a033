"""What came in the streams and is not a record."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.store import Store

router = APIRouter(tags=["ingest"])


@router.get("/dead-letters")
def get_dead_letters(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """List entries that could not be read, the newest first: stream, entry, reason, time, and how they begin (base64)."""
    store: Store = request.app.state.store
    return answer({"dead_letters": store.dead_letters(limit)})
