"""What the server serves beside figures: health, documentation, headers."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from rolloutwatch_contract.protocol import RunSummary
from rolloutwatch_dashboard import FRAME_SCRIPTS, NAVIGATION, create_dashboard, ids
from rolloutwatch_dashboard.memory import MemorySource
from rolloutwatch_server.api.mistakes import MistakesAreProblems
from rolloutwatch_server.store import Store
from tests.server.asking import Asking
from tests.server.records import RUN, STREAM, batch, step


@pytest.fixture
def site(store: Store) -> Asking:
    return Asking.of(store)


def test_a_server_without_redis_is_alive_but_not_ready(site: Asking) -> None:
    """Two questions: whether to restart the process, and whether to expect anything of it."""
    assert site.ask("/healthz").json() == {"ok": True}
    answer = site.ask("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "ok": False,
        "redis": {"ok": False, "why": "not connected yet"},
        "archive": {"ok": True, "why": ""},
        "unforeseen": {"ok": True, "why": ""},
        "alerts": {"ok": True, "why": ""},
        "rules": {"ok": True, "why": ""},
        "ingest": {"records": 0, "dead_letters": 0, "streams": 0},
        "quarantined": [],
    }


def test_the_documentation_needs_nobody_else(site: Asking) -> None:
    """It names every route and parameter of the OpenAPI document, and loads nothing from anywhere."""
    page = site.ask("/docs").text
    assert re.findall(r"(?:src|href|url|action)\W*=?\W*(https?:|//)|@import", page) == []
    assert re.findall(r"<script([^>]*)>", page) == ["", *(f' src="{url}" defer' for url in FRAME_SCRIPTS)]
    ways = [one for one in re.findall(r'href="([^"]*)"', page) if not one.startswith("data:")]
    assert ways == ["/", *(address for _, address in NAVIGATION), "/openapi.json"]
    paths = site.ask("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/api/v1/runs",
        "/api/v1/runs/{run}",
        "/api/v1/runs/{run}/series",
        "/api/v1/runs/{run}/marks",
        "/api/v1/runs/{run}/histograms",
        "/api/v1/runs/{run}/summary",
        "/api/v1/runs/{run}/export",
        "/api/v1/imports",
        "/api/v1/archive",
        "/api/v1/runs/{run}/live",
        "/api/v1/runs/{run}/replay",
        "/api/v1/runs/{run}/steps",
        "/api/v1/runs/{run}/steps/{step}",
        "/api/v1/runs/{run}/diagnosis",
        "/api/v1/runs/{run}/whatif",
        "/api/v1/alerts",
        "/api/v1/alerts/{alert}",
        "/api/v1/alerts/{alert}/acknowledge",
        "/api/v1/alerts/{alert}/silence",
        "/api/v1/runs/{run}/alerts",
        "/api/v1/silences",
        "/api/v1/silences/{silence}",
        "/api/v1/rules",
        "/api/v1/rules/check",
        "/api/v1/runs/{run}/rules",
        "/api/v1/notifications",
        "/api/v1/notifications/{target}/test",
        "/api/v1/notifications/dead",
        "/api/v1/notifications/dead/retry",
        "/api/v1/notifications/dead/{message}/retry",
        "/api/v1/catalogue",
        "/api/v1/me",
        "/api/v1/dead-letters",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, verbs in paths.items():
        for verb, operation in verbs.items():
            assert f"{verb.upper()} {path}</code>" in page
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code> ({parameter['in']}, " in page
    assert "<code>from_step</code> (query, optional)</dt><dd>type: integer, " in page
    assert "<code>/alerts/{alert}</code> has the rest.\n<code>elsewhere</code> says" in page
    assert "alerts of other runs.</p><p><code>reset</code> asks to fetch again" in page


@pytest.mark.parametrize("url", ["/", "/docs", "/healthz", "/api/v1/runs", "/api/none"])
def test_every_answer_tells_browsers_to_be_careful(url: str, site: Asking) -> None:
    """No other site may frame the pages, no type is guessed, no address is passed on."""
    headers = site.ask(url).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8050", "LOCALHOST", "localhost:1", "[::1]:8050", "watch.example"]
)
def test_a_server_answers_to_the_names_it_knows(host: str, store: Store) -> None:
    site = Asking.of(store, hosts=["127.0.0.1", "::1", "localhost", "Watch.example"])
    assert site.ask("/api/v1/runs", host=host).json() == {"runs": []}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8050", "localhost.evil.example", "[::2]:8050"]
)
@pytest.mark.parametrize("url", ["/", "/api/v1/runs", "/docs"])
def test_a_server_does_not_answer_to_other_names(host: str, url: str, store: Store) -> None:
    """A web page from elsewhere can make its own name lead to this host, and would read whatever is answered."""
    answer = Asking.of(store, hosts=["127.0.0.1", "localhost"]).ask(url, host=host)
    assert answer.status_code == 421
    assert "expected one of 127.0.0.1, localhost." in answer.json()["detail"]
    assert "start the server with --allowed-hosts NAME" in answer.json()["detail"]


@pytest.mark.parametrize("output", ["..page.children...followed.data..", "runs-news.data"])
def test_nobody_waits_while_a_page_is_made(output: str, store: Store) -> None:
    """A slow disk holds up the page that needs it, and nothing else: health is answered while the page is made."""
    asked, go_on = threading.Event(), threading.Event()

    class Slow(MemorySource):
        def runs(self) -> Sequence[RunSummary]:
            asked.set()
            assert go_on.wait(20), "health was not answered meanwhile"
            return super().runs()

    app = FastAPI()
    app.add_api_route("/healthz", lambda: {"ok": True})
    create_dashboard(Slow(), server=app)

    async def look() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            page = asyncio.create_task(client.post("/_dash-update-component", json=callback(output)))
            await asyncio.to_thread(asked.wait, 20)
            health = await client.get("/healthz")
            go_on.set()
            return await page, health

    page, health = asyncio.run(look())
    assert health.json() == {"ok": True}
    assert ("No run yet" in page.text, '"rows":[]' in page.text) == (output != "runs-news.data", True)


def callback(output: str) -> dict[str, Any]:
    """What a browser sends to have a page made, or to be told what has changed in the table of runs."""
    state: list[dict[str, Any]] = []
    if output == "runs-news.data":
        outputs: Any = {"id": ids.RUNS_NEWS, "property": "data"}
        inputs = [
            {"id": ids.TICK, "property": "n_intervals", "value": 1},
            {"id": ids.RUNS_ASK, "property": "data"},
        ]
        state = [{"id": ids.RUNS_SEEN, "property": "data", "value": None}]
    else:
        outputs = [{"id": ids.PAGE, "property": "children"}, {"id": ids.FOLLOWED, "property": "data"}]
        inputs = [
            {"id": ids.LOCATION, "property": "pathname", "value": "/"},
            {"id": ids.LOCATION, "property": "search", "value": ""},
            {"id": ids.REFRESH, "property": "data", "value": 0},
        ]
    return {"output": output, "outputs": outputs, "inputs": inputs, "state": state, "changedPropIds": []}


def test_a_browser_keeps_scripts_and_styles_by_their_content(site: Asking) -> None:
    """For good, under a name that changes with them; by any other name it asks again, whatever it is sent."""
    page = site.ask("/").text
    named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', page)
    assert len(named) == len(set(named)) >= 7
    for url in named:
        answer = site.ask(url)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", url
        for other in (url.partition("?")[0], f"{url}0"):
            assert "cache-control" not in site.ask(other).headers


def test_long_answers_are_compressed(site: Asking, store: Store) -> None:
    store.archive(STREAM, batch(*(step(n, kl=float(n)) for n in range(1000))))
    answer = site.ask(f"/api/v1/runs/{RUN}/series", metric="kl")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "private, no-cache"


def page_asks(path: object) -> dict[str, object]:
    """Return what a browser asks when a page is opened."""
    output = f"..{ids.PAGE}.children...{ids.FOLLOWED}.data.."
    inputs = [
        {"id": ids.LOCATION, "property": "pathname", "value": path},
        {"id": ids.LOCATION, "property": "search", "value": ""},
        {"id": ids.REFRESH, "property": "data", "value": 0},
    ]
    outputs = [{"id": ids.PAGE, "property": "children"}, {"id": ids.FOLLOWED, "property": "data"}]
    return {
        "output": output,
        "outputs": outputs,
        "inputs": inputs,
        "changedPropIds": [f"{ids.LOCATION}.pathname"],
    }


@pytest.mark.parametrize("pathname", [-1, True, {"a": 1}, [], None, ""])
def test_a_pathname_that_is_no_text_is_the_first_page(site: Asking, pathname: object) -> None:
    answer = site.ask("/_dash-update-component", "POST", content=json.dumps(page_asks(pathname)))
    first = site.ask("/_dash-update-component", "POST", content=json.dumps(page_asks("/")))
    assert answer.status_code == first.status_code == 200
    assert answer.json()["response"].keys() == first.json()["response"].keys()


def charts_asked(part: object = "kl-0", kind: object = "wanted", **wanted: object) -> dict[str, Any]:
    """Return what a browser asks when somebody is about to look at charts."""
    data = {"page": "a page", "query": "", "charts": ["chart-k1"], **wanted}
    return {
        "output": '{"part":["MATCH"],"type":"charts"}.children',
        "outputs": {"id": {"type": "charts", "part": part}, "property": "children"},
        "inputs": [{"id": {"type": kind, "part": part}, "property": "data", "value": data}],
        "state": [{"id": ids.LOCATION, "property": "pathname", "value": f"/runs/{RUN}"}],
        "changedPropIds": ['{"part":"kl-0","type":"wanted"}.data'],
    }


def test_charts_are_drawn_when_they_are_asked_for(site: Asking, store: Store) -> None:
    store.archive(STREAM, batch(*(step(n, mismatch_kl=float(n)) for n in range(3))))
    answer = site.ask("/_dash-update-component", "POST", content=json.dumps(charts_asked()))
    assert answer.status_code == 200, answer.text
    ((_, brought),) = answer.json()["response"].items()
    (card,) = brought["children"]
    figure = card["props"]["children"][1]["props"]["figure"]
    assert (figure["data"][0]["y"], figure["layout"]["meta"]) == ([0.0, 1.0, 2.0], "a page")


@pytest.mark.parametrize(
    "asked",
    [
        charts_asked(part=1),
        charts_asked(part=["MATCH"]),
        charts_asked(kind="charts"),
        charts_asked() | {"outputs": {"id": "page", "property": "children"}},
        charts_asked() | {"outputs": {"id": {"type": "charts"}, "property": "children"}},
        charts_asked() | {"inputs": [{"id": "refresh", "property": "data"}]},
    ],
)
def test_other_ids_than_a_pattern_has_are_refused(site: Asking, asked: dict[str, Any]) -> None:
    answer = site.ask("/_dash-update-component", "POST", content=json.dumps(asked))
    assert (answer.status_code, answer.json()["title"]) == (400, "No question of a page")


@pytest.mark.parametrize(
    "body",
    [
        "{}", "[]", "{", "null", "", "[" * 100_000,
        json.dumps(page_asks("/") | {"output": ["page"]}),
        json.dumps(page_asks("/") | {"inputs": []}),
        json.dumps(page_asks("/") | {"inputs": {"id": 1}}),
        json.dumps(page_asks("/") | {"outputs": [1, None]}),
        json.dumps(page_asks("/") | {"changedPropIds": [7]}),
        json.dumps(page_asks("/") | {"state": [{"id": "x"}]}),
    ],
)  # fmt: skip
def test_what_no_page_asks_is_refused_with_a_reason(
    site: Asking, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.ask("/_dash-update-component", "POST", content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "expected" in answer.json()["detail"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("file", ["os/x.js", "dash/%2e%2e/%2e%2e/app.py", "dash/nope.js", "nope/x.js"])
def test_a_component_file_that_is_not_there_is_not_found(site: Asking, file: str) -> None:
    answer = site.ask(f"/_dash-component-suites/{file}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_an_unforeseen_error_of_a_page_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks after the server finds its traceback; whoever asked is told so."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("of a test")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(MistakesAreProblems(broken))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/_dash-layout")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["detail"] == "an error of the server's own; see its log."
    assert "ZeroDivisionError: of a test" in caplog.text
