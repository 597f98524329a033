"""The log: a line for each message, for people or for programs, and never a secret."""

import asyncio
import io
import json
import logging
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rolloutwatch_server import logs
from rolloutwatch_server.access_log import AccessLog
from rolloutwatch_server.store import MEMORY, Store
from tests.processes import ROLLOUTWATCH, wait_for
from tests.server.asking import Asking

SECRETS = [
    "redis://user:s3cret@host:6379/0 cannot be read",
    "no connection to rediss://:s3cret/@host:1",
    "GET redis://h/0?password=s3cret&db=1",
    "Authorization: Bearer s3cret",
    "http://127.0.0.1:8050/login?link=s3cret.",
    "ROLLOUTWATCH_TOKEN=s3cret; next",
]
log = logging.getLogger("rolloutwatch_server.test")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root of all loggers, as it was afterwards."""
    one = logging.getLogger()
    handlers, level = one.handlers, one.level
    yield one
    one.handlers = handlers
    one.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def told(root: logging.Logger, request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(request.param, "info", stream)
    return stream


text, as_json = (pytest.mark.parametrize("told", [kind], indirect=True) for kind in ("text", "json"))


@as_json
def test_a_line_of_json_has_time_level_logger_message_and_fields(told: io.StringIO) -> None:
    """The fields are those that came along; what is no number is text; a traceback is one of them."""
    log.warning("Run %s has %d", "a\nb", 3, extra={"run": "a\nb", "count": 3, "path": Path("/x"), "ok": True})
    log.debug("not told")
    try:
        raise ValueError("redis://:s3cret@h")
    except ValueError:
        log.exception("An error")
    first, second = (json.loads(line) for line in told.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first.pop("time"))
    assert first == {
        "level": "warning",
        "logger": "rolloutwatch_server.test",
        "message": "Run a\nb has 3",
        "run": "a\nb",
        "count": 3,
        "path": "/x",
        "ok": True,
    }
    assert (second["level"], second["message"]) == ("error", "An error")
    assert second["traceback"].endswith("ValueError: redis://:***@h")


@text
def test_a_line_for_people_is_one_line_whatever_it_tells_of(told: io.StringIO) -> None:
    """What a trainer names cannot make another line, nor colour the terminal; a traceback stands behind it."""
    log.warning("Run %s\n2026-01-01 ERROR x: forged \x1b[31mred", "a")
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("An error")
    first, second, *traceback = told.getvalue().splitlines()
    assert first.endswith(r"WARNING rolloutwatch_server.test: Run a\n2026-01-01 ERROR x: forged \x1b[31mred")
    assert second.endswith("ERROR rolloutwatch_server.test: An error")
    assert (traceback[0], traceback[-1]) == ("Traceback (most recent call last):", "ValueError: bad")


@pytest.mark.parametrize("told", ["text", "json"], indirect=True)
@pytest.mark.parametrize("message", SECRETS)
def test_no_line_has_a_secret(told: io.StringIO, message: str) -> None:
    """Whoever wrote it into a message, an argument or a field."""
    log.warning(message)
    log.warning("%s", message, extra={"url": message})
    assert "s3cret" not in told.getvalue()
    assert told.getvalue().count("***") >= 2


@as_json
def test_requests_are_told_without_their_query(told: io.StringIO) -> None:
    """What logs somebody in may stand there; a path that tries to forge a line is a field like others."""
    app = AccessLog(Asking.of(Store(MEMORY)).app)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/api/v1/runs?link=s3cret")
            await client.get("/api/none%0Aforged")

    asyncio.run(ask())
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    found = [
        (one["method"], one["path"], one["status"]) for one in lines if one["logger"].endswith("access_log")
    ]
    assert found == [("GET", "/api/v1/runs", 200), ("GET", "/api/none\nforged", 404)]
    assert "s3cret" not in told.getvalue()


@pytest.mark.end_to_end
@pytest.mark.redis
def test_a_server_logs_as_it_was_told(tmp_path: Path) -> None:
    """Every line of its error output is JSON, uvicorn's too; who asks is told only of those who want it."""
    options = ["--port", "0", "--redis-port", "0", "--data-dir", str(tmp_path / "data")]
    errors = tmp_path / "errors"
    command = [
        ROLLOUTWATCH,
        "serve",
        *options,
        "--log-format",
        "json",
        "--log-level",
        "debug",
        "--access-log",
    ]
    with (
        errors.open("w") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True) as process,
    ):
        assert process.stdout is not None
        url = next(line for line in process.stdout if line.startswith("Dashboard: ")).split()[1]
        wait_for("readiness", lambda: httpx.get(f"{url}readyz").is_success)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    lines = [json.loads(line) for line in errors.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    loggers = {line["logger"] for line in lines}
    assert {"uvicorn.error", "rolloutwatch_server.ingest", "rolloutwatch_server.access_log"} <= loggers
    assert {line["path"] for line in lines if "path" in line} == {"/readyz"}
