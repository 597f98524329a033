"""Whether the server is there, and whether it can do its work."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from rolloutwatch_server.alerts.ticker import why_alerts_do_not_work
from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.ingest import Ingest, Trouble
from rolloutwatch_server.store import Store

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Always true: a server that is not there does not answer."""

    ok: bool


class Part(BaseModel):
    """Whether a part works, and why it does not; empty if it does."""

    ok: bool
    why: str


class IngestCounts(BaseModel):
    """What was read since the server began, and how many streams are being read."""

    records: int
    dead_letters: int
    streams: int


class Readiness(BaseModel):
    """Whether everything works, and each part. `unforeseen` is an error of the server's own.

    `alerts` tells whether figures are judged, and what is due by the clock is done.
    `rules` tells whether the file of rules is in force; if it is not, those of before are, and all else works.
    `quarantined` are files of archives that were damaged and put aside: what they held is not shown.
    """

    ok: bool
    redis: Part
    archive: Part
    unforeseen: Part
    alerts: Part
    rules: Part
    ingest: IngestCounts
    quarantined: list[str]


@router.get("/healthz", responses={200: {"model": Health}})
def get_health() -> Response:
    """Answer that the process is there."""
    return answer({"ok": True})


@router.get(
    "/readyz",
    responses={
        200: {"model": Readiness},
        503: {"model": Readiness, "description": "Something does not work"},
    },
)
def get_readiness(request: Request) -> Response:
    """Tell what works and what does not; 503 if anything does not."""
    ingest: Ingest = request.app.state.ingest
    store: Store = request.app.state.store
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
    if store.damage:
        parts["archive"] = {"ok": False, "why": store.damage}
    parts["alerts"] = _part(why_alerts_do_not_work(store, request.app.state.clockwork))
    ready = all(part["ok"] for part in parts.values())
    parts["rules"] = _part(request.app.state.rulebook.problem)
    aside = [path.name for path in store.quarantined()]
    return answer(
        {"ok": ready, **parts, "ingest": ingest_counts, "quarantined": aside}, 200 if ready else 503
    )


def _part(why: str) -> dict[str, object]:
    return {"ok": not why, "why": why}
