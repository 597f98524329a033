"""A past run on its way into the archive."""

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rolloutwatch_contract.names import NAME
from rolloutwatch_server.api.answers import answer, problem
from rolloutwatch_server.imports.refusal import CannotImport
from rolloutwatch_server.imports.restoring import Restored, restore
from rolloutwatch_server.store import MEMORY, Store
from rolloutwatch_server.store.restoration import Conflict

router = APIRouter(tags=["runs"])

MOST_BYTES = 16 * 1024**3

Name = Annotated[str | None, Query(pattern=rf"^{NAME.pattern}$")]


class Import(BaseModel):
    """The run that is in the archive now; it is not new if it was there before, all the same."""

    run: str
    new: bool
    sessions: int
    records: int


@router.post(
    "/imports",
    responses={200: {"model": Import}, 201: {"model": Import}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def post_import(request: Request, project: Name = None, run: Name = None) -> Response:
    """Archive the run of an archive file, under another project or name if one is given: all of it or nothing.

    201 if it is new, 200 if the archive had it already, 409 if it has another run of that id.
    """
    store: Store = request.app.state.store
    folder = None if store.path == MEMORY else Path(store.path).parent
    # taken in before it is looked at: whoever sends slowly keeps nobody waiting
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".import-") as file:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MOST_BYTES:
                return problem(
                    413,
                    "Too large",
                    f"the archive file has more than {MOST_BYTES} bytes: expected at most so many.",
                )
            await run_in_threadpool(file.write, chunk)
        await run_in_threadpool(file.flush)
        try:
            restored = await run_in_threadpool(_restore, store, Path(file.name), project, run)
        except CannotImport as error:
            return problem(422, "Not an archive file", str(error))
        except Conflict as error:
            return problem(409, "There already", str(error))
    return answer(restored, 201 if restored.new else 200)


def _restore(store: Store, path: Path, project: str | None, run: str | None) -> Restored:
    return restore(store, path, project=project, run=run, called="the archive file")
