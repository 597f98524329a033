"""The archive as a file: how large it is, what its limits are, what was let go of, and what is wrong with it."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from rolloutwatch_server.api.answers import answer
from rolloutwatch_server.store import Store

router = APIRouter(tags=["archive"])

REMOVALS_SHOWN = 100


class KeptLimits(BaseModel):
    """What is kept, null without limit: runs by days since their last record and in bytes; tables by steps or days."""

    days: float | None
    bytes: int | None
    table_steps: int | None
    table_days: float | None


class OneRemoval(BaseModel):
    """A run that was deleted: when (seconds since 1970), and why."""

    run: str
    time: float
    reason: str


class ArchiveFile(BaseModel):
    """How large what is kept is, and what of the file is free for new records, in bytes; the newest removals first.

    `damage` is empty as long as the file is sound; `quarantined` are files that were not, and were put aside.
    """

    bytes: int
    free_bytes: int
    limits: KeptLimits
    removals: list[OneRemoval]
    damage: str
    quarantined: list[str]


@router.get("/archive", responses={200: {"model": ArchiveFile}})
def get_archive(request: Request) -> Response:
    """Tell how large the archive is, what it keeps, and what was let go of."""
    store: Store = request.app.state.store
    used, free = store.size()
    return answer(
        {
            "bytes": used,
            "free_bytes": free,
            "limits": store.limits,
            "removals": store.removals()[:REMOVALS_SHOWN],
            "damage": store.damage,
            "quarantined": [path.name for path in store.quarantined()],
        }
    )
