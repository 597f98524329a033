"""What the server serves beside figures: health, documentation, headers."""

import re

import pytest

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
        "ingest": {"records": 0, "dead_letters": 0, "streams": 0},
    }


def test_the_documentation_needs_nobody_else(site: Asking) -> None:
    """It names every route and parameter of the OpenAPI document, and loads nothing from anywhere."""
    page = site.ask("/docs").text
    assert re.findall(r"(?:src|href|url|action)\W*=?\W*(https?:|//)|<script|@import", page) == []
    assert re.findall(r'href="([^"]*)"', page) == ["/openapi.json"]
    paths = site.ask("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/api/v1/runs",
        "/api/v1/runs/{run}",
        "/api/v1/runs/{run}/series",
        "/api/v1/runs/{run}/live",
        "/api/v1/catalogue",
        "/api/v1/dead-letters",
        "/healthz",
        "/readyz",
    }
    for path, verbs in paths.items():
        assert f"GET {path}</code>" in page
        for parameter in verbs["get"].get("parameters", []):
            assert f"<code>{parameter['name']}</code> ({parameter['in']}, " in page
    assert "<code>from_step</code> (query, optional)</dt><dd>type: integer, " in page
    assert "`reset` to fetch again.</p><p>A step may come in several events" in page


@pytest.mark.parametrize("url", ["/", "/docs", "/healthz", "/api/v1/runs", "/api/none"])
def test_every_answer_tells_browsers_to_be_careful(url: str, site: Asking) -> None:
    """No other site may frame the pages, no type is guessed, no address is passed on."""
    headers = site.ask(url).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "same-origin"


def test_long_answers_are_compressed(site: Asking, store: Store) -> None:
    store.archive(STREAM, batch(*(step(n, kl=float(n)) for n in range(1000))))
    answer = site.ask(f"/api/v1/runs/{RUN}/series", metric="kl")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "no-store"
