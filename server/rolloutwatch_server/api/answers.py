"""How the API answers: JSON in which a value that is not finite is null, and problems as RFC 9457 has them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from rolloutwatch_server.api.bodies import IN_WORDS
from rolloutwatch_server.store import StoreError

PROBLEM = "application/problem+json"
NOT_STORED = {"Cache-Control": "no-store"}


class Problem(BaseModel):
    """A refusal, as RFC 9457 has it: `detail` says what is wrong, what was expected, and what came."""

    type: str
    title: str
    status: int
    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Any other status",
        "content": {PROBLEM: {"schema": Problem.model_json_schema()}},
    }
}


def answer(body: Any, status: int = 200, headers: Mapping[str, str] = NOT_STORED) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] = NOT_STORED) -> Response:
    """Return a refusal: what is wrong, what was expected, what came."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return Response(msgspec.json.encode(body), status, headers, PROBLEM)


def moment(seconds: float) -> str:
    """Return a time, in seconds since 1970, as people write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class NoSuchRun(HTTPException):
    """The path names a run that the archive does not have."""

    def __init__(self, run: str, why: str = "") -> None:
        super().__init__(404, f"there is no run {run[:300]!r}{why}: GET /api/v1/runs lists those there are.")


def install_problems(app: FastAPI) -> None:
    """Let every refusal of the app be a problem."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return problem(
            error.status_code, "Refused" if error.status_code != 404 else "Not found", str(error.detail)
        )

    @app.exception_handler(405)
    async def not_allowed(request: Request, error: HTTPException) -> Response:
        allowed = set((error.headers or {}).get("Allow", "GET").split(", "))
        if "GET" in allowed:
            allowed.add("HEAD")  # HeadAsGet sees to it
        names = sorted(allowed)
        detail = (
            f"{request.method[:30]} is not allowed on {request.url.path[:300]}: use {' or '.join(names)}."
        )
        return problem(405, "Method not allowed", detail, NOT_STORED | {"Allow": ", ".join(names)})

    @app.exception_handler(StoreError)
    async def unreadable(_: Request, error: StoreError) -> Response:
        return problem(503, "Archive unavailable", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem(422, "Invalid request", "; ".join(_complaint(one) for one in error.errors()))


def _complaint(error: Any) -> str:
    if error["type"] == IN_WORDS:
        return str(error["msg"])
    place, *within = (str(part) for part in error["loc"])
    where = ".".join(within) or f"the {place}"
    if error["type"] == "json_invalid":
        return (
            f"the body is no JSON: {error.get('ctx', {}).get('error', error['msg'])}, at character {where}."
        )
    if error["type"] == "missing":
        wanted = "send an object in JSON" if place == "body" else "name it in the query"
        return f"{where} is missing: {wanted}."
    return f"{where} is {str(error.get('input'))[:100]!r}: {error['msg']}"
