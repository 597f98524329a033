"""A real Chromium, and pages that may neither complain nor leave this host."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.site import Site
from tests.redis_process import RedisProcess

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
QUIET_TYPES = ("log", "info", "debug")  # plotly warns by console.trace, too
LEFT = re.compile(
    r"/((live|marks|series|histograms|_dash-update-component|[^/?]+\.js)(\?\S*)?"
    r"|api/v1/(me|rules|alerts(\?\S*)?|runs(/[^/?]+)?)): net::ERR_ABORTED$"
)
MS_TO_WAIT = 20_000
DESKTOP = {"width": 1280, "height": 900}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.redis)


@pytest.fixture(
    scope="module"
)  # not longer: while it lives no other test of this thread can have an event loop
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        how = "no Chromium on PATH: install one (Debian: apt-get install chromium) to run the browser tests"
        if os.environ.get("ROLLOUTWATCH_REQUIRE_BROWSER"):
            pytest.fail(how)
        pytest.skip(how)
    expect.set_options(timeout=MS_TO_WAIT)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisProcess(tmp_path_factory.mktemp("redis")) as redis:
        yield redis.url


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    one = Site(tmp_path, redis_url)
    one.start()
    try:
        yield one
    finally:
        one.stop()
        one.close()


@dataclass
class Complaints:
    """What a page must not have: errors in its console, requests that failed or left the host."""

    expected: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: self.hear(message.text) if message.type not in QUIET_TYPES else None,
        )
        page.on("pageerror", lambda error: self.hear(str(error)))
        page.on("requestfailed", lambda request: self.hear(f"{request.url}: {request.failure}"))
        page.on(
            "request",
            lambda request: None if is_ours(request.url) else self.hear(f"left the host: {request.url}"),
        )

    def hear(self, text: str) -> None:
        # whoever leaves a page cuts off its event stream, and what it has just asked for
        if not LEFT.search(text) and not any(part in text for part in self.expected):
            self.heard.append(text)


def is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Complaints of all pages of a test; one that nobody expected fails it."""
    found = Complaints()
    yield found
    assert found.heard == []


@pytest.fixture
def context(browser: Browser, complaints: Complaints) -> Iterator[BrowserContext]:
    one = browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]
    one.on("page", complaints.listen)
    one.set_default_timeout(MS_TO_WAIT)
    yield one
    complaints.expected.append("net::ERR_ABORTED")  # of whatever was under way when the test ended
    one.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
