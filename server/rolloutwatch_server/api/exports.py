"""A run as a file."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from rolloutwatch_server.api.answers import NOT_STORED, problem
from rolloutwatch_server.api.runs import MOST_METRICS, Steps, find_run
from rolloutwatch_server.exports.export import MEDIA_TYPES, CannotExport, Format, Wish, export
from rolloutwatch_server.exports.parquet import NoParquet
from rolloutwatch_server.store import Store

router = APIRouter(tags=["runs"])

_FILE = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/runs/{run}/export",
    response_class=StreamingResponse,
    responses={200: {"description": "The file", "content": dict.fromkeys(MEDIA_TYPES.values(), _FILE)}},
)
def get_export(
    run: str,
    request: Request,
    format: Annotated[Format, Query()] = Format.CSV,  # noqa: A002  # what it is called in the URL
    metric: Annotated[list[str] | None, Query(max_length=MOST_METRICS)] = None,
    from_step: Steps = None,
    to_step: Steps = None,
) -> Response:
    """Send a run as CSV, JSON lines, Parquet, or whole as an archive file, piece by piece as it is read.

    Without metrics all are sent. If the archive cannot be read to the end the transfer is broken off.
    """
    detail = find_run(request, run)
    store: Store = request.app.state.store
    try:
        pieces = export(store, detail, Wish(format, metric or (), from_step, to_step))
    except CannotExport as error:
        return problem(422, "Nothing to export", str(error))
    except NoParquet as error:
        return problem(501, "Not installed", str(error))
    name = f'attachment; filename="{run}.{format.value}"'
    return StreamingResponse(
        pieces, media_type=MEDIA_TYPES[format], headers={**NOT_STORED, "Content-Disposition": name}
    )
