"""Whether the server is there, and whether it can do its work."""

from fastapi import APIRouter, Request, Response

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.ingest import Ingest, Trouble

router = APIRouter(tags=["health"])


@router.get("/healthz")
def get_health() -> Response:
    """Answer that the process is there."""
    return answer({"ok": True})


@router.get("/readyz")
def get_readiness(request: Request) -> Response:
    """Tell what works and what does not; 503 if anything does not."""
    ingest: Ingest = request.app.state.ingest
    health = ingest.health
    parts = {
        part.value: {"ok": health.trouble is not part, "why": health.reason * (health.trouble is part)}
        for part in Trouble
    }
    ingest_counts = {
        "records": health.records,
        "dead_letters": health.dead_letters,
        "streams": health.streams,
    }
    ready = health.trouble is None
    return answer({"ok": ready, **parts, "ingest": ingest_counts}, 200 if ready else 503)
