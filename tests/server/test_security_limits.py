"""How much one request may bring, and how many streams may be open."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rolloutwatch_server.api.answers import install_problems
from rolloutwatch_server.security.limits import (
    ALLOWANCES,
    KIB,
    MOST_BYTES_OF_A_URL,
    MOST_HEADERS,
    USUAL,
    BodyLimits,
    HeadLimits,
)
from rolloutwatch_server.security.streams import StreamLimits
from rolloutwatch_server.store import Store
from tests.server.asking import Asking

JSON = {"content-type": "application/json"}
LIVE = "/api/v1/runs/a~b/live"


async def _length(request: Request) -> Response:
    """Tell how long a body is, of which only a piece is held at a time."""
    return Response(str(sum([len(piece) async for piece in request.stream()])))


@pytest.fixture
def app() -> FastAPI:
    """A route that takes a body, one that takes long ones, and the limits around them."""
    one = FastAPI()
    for path in ("/api/v1/small", "/api/v1/imports"):
        one.add_route(path, _length, methods=["POST"])
    install_problems(one)
    one.add_middleware(BodyLimits)
    one.add_middleware(HeadLimits)
    return one


def post(
    app: FastAPI, path: str, content: bytes | AsyncIterator[bytes], headers: dict[str, str]
) -> httpx.Response:
    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, content=content, headers=headers)

    return asyncio.run(answer())


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(64 * KIB)


def is_problem(answer: httpx.Response, status: int) -> bool:
    kind = answer.headers["content-type"]
    return (answer.status_code, kind, answer.json()["status"]) == (status, "application/problem+json", status)


def test_a_body_of_the_longest_length_is_taken(app: FastAPI) -> None:
    assert post(app, "/api/v1/small", bytes(USUAL.most_bytes), JSON).text == str(USUAL.most_bytes)


def test_a_body_that_is_too_long_is_refused_by_its_length(app: FastAPI) -> None:
    answer = post(app, "/api/v1/small", bytes(USUAL.most_bytes + 1), JSON)
    assert is_problem(answer, 413)
    assert answer.json()["detail"] == "the body has 1048577 bytes: expected at most 1048576."


def test_a_body_that_does_not_tell_its_length_is_refused_when_it_gets_too_long(app: FastAPI) -> None:
    assert post(app, "/api/v1/small", pieces(16), JSON).text == str(USUAL.most_bytes)
    assert is_problem(post(app, "/api/v1/small", pieces(17), JSON), 413)


def test_an_import_may_be_longer_and_comes_in_pieces(app: FastAPI) -> None:
    headers = {"content-type": "application/octet-stream"}
    assert post(app, "/api/v1/imports", pieces(40), headers).text == str(40 * 64 * KIB)


def test_an_import_has_a_limit_too() -> None:
    """Counted as it comes: no length has to be told."""
    long = next(one for one in ALLOWANCES if one.streamed)
    told = {"content-length": str(long.most_bytes + 1), "content-type": "text/csv"}
    app = FastAPI()
    app.add_middleware(BodyLimits)
    assert is_problem(post(app, "/api/v1/imports", b"", told), 413)


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "", "json"]
)
def test_what_a_form_of_any_site_could_send_is_refused(kind: str, app: FastAPI) -> None:
    """A browser asks nobody before it sends these; before it sends JSON it asks this server, which says no."""
    answer = post(app, "/api/v1/small", b"{}", {"content-type": kind} if kind else {})
    assert is_problem(answer, 415)
    assert "expected application/json" in answer.json()["detail"]


def test_the_type_may_have_parameters(app: FastAPI) -> None:
    assert post(app, "/api/v1/small", b"{}", {"content-type": "Application/JSON; charset=utf-8"}).text == "2"


def test_a_url_and_headers_may_be_so_long(store: Store) -> None:
    site = Asking.of(store)
    fits = "x" * (MOST_BYTES_OF_A_URL - len("/api/v1/runs") - len("q="))
    assert site.ask("/api/v1/runs", q=fits).status_code == 200
    assert is_problem(site.ask("/api/v1/runs", q=fits + "x"), 414)


def test_many_headers_are_refused(app: FastAPI) -> None:
    assert is_problem(post(app, "/api/v1/small", b"", {f"x-{n}": "1" for n in range(MOST_HEADERS)}), 431)
    assert is_problem(post(app, "/api/v1/small", b"", {"x": "y" * 33 * KIB}), 431)


class Streams:
    """An application whose answers last until they are ended, and the limits around it."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self.end = asyncio.Event()
        self.begun = 0
        self.app = StreamLimits(self._stream, most, most_per_client)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        await self.end.wait()

    async def ask(self, client: str, path: str = LIVE) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET", "path": path, "headers": [], "client": (client, 1)}
        await self.app(scope, receive, send)
        return int(sent[0]["status"]) if sent else 200


def test_one_client_cannot_take_all_streams() -> None:
    """429 for it, while others are let in; 503 when there are too many in all; and what ends makes room."""

    async def scene() -> None:
        streams = Streams(most=3, most_per_client=2)
        first = [asyncio.ensure_future(streams.ask("192.0.2.1")) for _ in range(2)]
        await asyncio.sleep(0)
        assert await streams.ask("192.0.2.1") == 429
        other = asyncio.ensure_future(streams.ask("192.0.2.2", LIVE.replace("live", "replay")))
        await asyncio.sleep(0)
        assert await streams.ask("192.0.2.3") == 503
        assert streams.begun == 3
        streams.end.set()
        assert await asyncio.gather(*first, other) == [200, 200, 200]
        assert await streams.ask("192.0.2.1") == 200

    asyncio.run(scene())


def test_what_is_no_stream_is_not_counted() -> None:
    async def scene() -> None:
        streams = Streams(most=1, most_per_client=1)
        streams.end.set()
        asked = [
            streams.ask("192.0.2.1", path) for path in ("/", "/api/v1/runs/a~b", "/api/v1/runs/a~b/live/x")
        ]
        assert await asyncio.gather(*asked) == [200, 200, 200]

    asyncio.run(scene())


NUMBERS_OF_ROWS = ("points", "most", "limit", "count", "steps", "rows")


def parameters(document: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    paths = document["paths"]
    assert isinstance(paths, dict)
    for path, verbs in paths.items():
        for verb in verbs.values():
            for parameter in verb.get("parameters", []):
                if parameter["name"] in NUMBERS_OF_ROWS:
                    schema = parameter["schema"]
                    yield f"{path} {parameter['name']}", {**schema, **schema.get("anyOf", [{}])[0]}


def test_every_page_of_the_api_has_a_greatest_size(store: Store) -> None:
    """Whoever asks for a number of things is told how many there can be."""
    found = dict(parameters(Asking.of(store).app.openapi()))
    assert len(found) >= 3
    assert [name for name, schema in found.items() if "maximum" not in schema] == []
