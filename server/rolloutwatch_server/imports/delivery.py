"""Where archive files go: to the server that holds the data dir, or into the archive if nobody holds it."""

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rolloutwatch_server import data_dir
from rolloutwatch_server.imports.refusal import CannotImport, shown
from rolloutwatch_server.imports.restoring import Restored, restore
from rolloutwatch_server.store import ARCHIVE, Store
from rolloutwatch_server.store.restoration import Conflict

TOKEN_VARIABLE = "ROLLOUTWATCH_TOKEN"  # its name, not a token
SECONDS_TO_WAIT = 3600.0
BYTES_OF_AN_ANSWER = 1024 * 1024

Deliver = Callable[
    [Path, str | None, str | None], Restored
]  # a file; under which project and name, if other than its own


class CannotDeliver(RuntimeError):
    """The server does not take a run; the message says why."""


@contextlib.contextmanager
def delivery(folder: Path) -> Iterator[Deliver]:
    """Hold the way into the archive of a data dir. The server keeps in memory what it has read: only it writes then."""
    with data_dir.owned(folder) as is_ours:
        if not is_ours:
            url = data_dir.server_of(folder)
            yield lambda path, project, run: _post(url, path, project, run)
            return
        data_dir.clear(folder)
        with contextlib.closing(Store(folder / ARCHIVE)) as store:
            yield lambda path, project, run: restore(store, path, project=project, run=run)


def _post(url: str, path: Path, project: str | None, run: str | None) -> Restored:
    names = urllib.parse.urlencode(
        {name: value for name, value in (("project", project), ("run", run)) if value}
    )
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
    if token := os.environ.get(TOKEN_VARIABLE):
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())
    with path.open("rb") as file:
        request = urllib.request.Request(f"{url}/api/v1/imports?{names}", file, headers, method="POST")
        try:
            with opener.open(request, timeout=SECONDS_TO_WAIT) as answer:
                return msgspec.json.decode(answer.read(BYTES_OF_AN_ANSWER), type=Restored)
        except urllib.error.HTTPError as error:
            raise _refusal(url, error) from error
        except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
            raise CannotDeliver(f"the server at {url} did not answer: {error}. Look at its log.") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the server that was named and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    try:
        detail = str(json.loads(error.read(BYTES_OF_AN_ANSWER))["detail"])
    except (OSError, ValueError, TypeError, KeyError):
        detail = f"status {error.code}"
    if error.code in (401, 403):
        return CannotDeliver(
            f"the server at {url} refuses: {shown(detail, 300)} Set {TOKEN_VARIABLE} to a token of role admin."
        )
    if error.code == 409:
        return Conflict(detail)
    return (
        CannotImport(detail) if error.code == 422 else CannotDeliver(f"the server at {url} refuses: {detail}")
    )
