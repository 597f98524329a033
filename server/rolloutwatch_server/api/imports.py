"""A past run on its way into the archive."""

import errno
import shutil
import tempfile
from pathlib import Path
from typing import IO, Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from rolloutwatch_contract.names import NAME
from rolloutwatch_server.api.answers import answer, problem
from rolloutwatch_server.data_dir import IMPORT
from rolloutwatch_server.imports.refusal import CannotImport
from rolloutwatch_server.imports.restoring import Restored, restore
from rolloutwatch_server.store import MEMORY, Store
from rolloutwatch_server.store.restoration import Conflict

router = APIRouter(tags=["runs"])

MOST_BYTES = 4 * 1024**3
BYTES_LEFT_FREE = 256 * 1024**2  # for what trainers push meanwhile
BYTES_BETWEEN_CHECKS = 16 * 1024**2

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
    folder = tempfile.gettempdir() if store.path == MEMORY else str(Path(store.path).absolute().parent)
    # taken in before it is looked at: whoever sends slowly keeps nobody waiting
    with tempfile.NamedTemporaryFile(dir=folder, prefix=IMPORT) as file:
        try:
            if not await _take_in(request, file, folder):
                return problem(
                    413, "Too large", f"expected an archive file of at most {MOST_BYTES} bytes; came more."
                )
            restored = await run_in_threadpool(_restore, store, Path(file.name), project, run)
        except CannotImport as error:
            return problem(422, "Not an archive file", str(error))
        except Conflict as error:
            return problem(409, "There already", str(error))
        except OSError as error:
            return problem(
                507,
                "No room",
                f"the archive file cannot be taken in: {error}. Make room on the disk of the archive.",
            )
    return answer(restored, 201 if restored.new else 200)


async def _take_in(request: Request, file: IO[bytes], folder: str) -> bool:
    """Write what is sent to a file; False if it is too much, OSError if the disk has too little room for it."""
    size = checked = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_BYTES:
            return False
        if size >= checked:
            checked = size + BYTES_BETWEEN_CHECKS
            if shutil.disk_usage(folder).free < len(chunk) + BYTES_LEFT_FREE:
                raise OSError(errno.ENOSPC, f"fewer than {BYTES_LEFT_FREE} bytes are left free")
        await run_in_threadpool(file.write, chunk)
    await run_in_threadpool(file.flush)
    return True


def _restore(store: Store, path: Path, project: str | None, run: str | None) -> Restored:
    return restore(store, path, project=project, run=run, called="the archive file")
