"""Logging in and out in a real browser, and S6: what a run is called runs nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from rolloutwatch_contract import Mark, RunStart, StepRecord
from rolloutwatch_server.security import Access, Role, Secret
from rolloutwatch_server.security.credentials import parse_passwords, parse_tokens, password_line
from rolloutwatch_server.security.gate import Gate
from rolloutwatch_server.security.ledger import Ledger
from rolloutwatch_server.security.secret import PrivateFile
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_run_page import GONE

RUN = "math~a"
PASSWORD = "correct horse"
TOKEN = "token-0123456789-abcdefghij"

MARKUP = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    '"><svg onload=window.owned=1>',
    "'-window.owned=1-'",
    "<a href='javascript:window.owned=1'>link</a>",
    "</script><script>window.owned=1</script>",
    "<b onmouseover=window.owned=1>bold</b>",
    "{{constructor.constructor('window.owned=1')()}}",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "__proto__",
    "constructor",
)
# what pages may have of these is what they have without a run: scripts and an icon of their own
PLANTED = "img[src=x], iframe, svg[onload], a[href^='javascript:'], [onerror], [onload], [onmouseover], body b, main script"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("alice", Role.VIEWER, Secret(PASSWORD)))
    passwords.chmod(0o600)
    ledger = Ledger(tmp_path / "access.db")
    yield Gate(
        ledger,
        fixed_tokens=parse_tokens(f"ci:viewer:{TOKEN}", "tokens"),
        password_file=PrivateFile(passwords, parse_passwords, {}),
    )
    ledger.close()


@pytest.fixture
def guarded(tmp_path: Path, redis_url: str, gate: Gate) -> Iterator[Site]:
    one = Site(tmp_path, redis_url, Access(("127.0.0.1",), gate=gate))
    one.start()
    try:
        yield one
    finally:
        one.stop()
        one.close()


def test_from_the_login_to_the_page_one_wanted_and_out_again(
    guarded: Site, page: Page, complaints: Complaints
) -> None:
    """A wrong password is said, the right one leads on, the page lives, and after the way out it is closed."""
    complaints.expected.append("401 (Unauthorized)")  # of the wrong password
    guarded.begin(RUN)
    guarded.step(RUN, 0, HEALTHY)
    page.goto(f"{guarded.url}/runs/{RUN}")
    expect(page).to_have_url(f"{guarded.url}/login?next=%2Fruns%2Fmath~a")
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill("wrong password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not fit together.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{guarded.url}/runs/{RUN}")
    expect(page.locator("#health")).to_have_text("healthy")
    guarded.step(RUN, 1, HEALTHY)
    expect(page.locator("#step")).to_contain_text("1")
    assert page.evaluate("document.cookie") == ""
    page.goto(f"{guarded.url}/login")
    expect(page.locator("main")).to_contain_text("You are alice (viewer)")
    page.goto(f"{guarded.url}/runs/{RUN}")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Name")).to_be_visible()
    page.goto(f"{guarded.url}/runs/{RUN}")
    expect(page.get_by_label("Name")).to_be_visible()


def log_in(page: Page, path: str) -> None:
    page.goto(path)
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_page_that_stays_open_after_its_session_asks_to_log_in_and_comes_back(
    guarded: Site, gate: Gate, page: Page, complaints: Complaints
) -> None:
    """It is not disconnected for ever: once its stream is refused, it leads to the login, which leads back."""
    complaints.expected += ["401 (Unauthorized)", *GONE]
    guarded.begin(RUN)
    guarded.step(RUN, 0, HEALTHY)
    log_in(page, f"{guarded.url}/runs/{RUN}")
    expect(page.locator("#health")).to_have_text("healthy")
    guarded.stop()
    expect(page.locator("#state")).to_have_text("disconnected")
    gate.ledger.end_all()
    guarded.start()
    expect(page).to_have_url(f"{guarded.url}/login?next=%2Fruns%2Fmath~a")
    log_in(page, page.url)
    expect(page).to_have_url(f"{guarded.url}/runs/{RUN}")
    expect(page.locator("#health")).to_have_text("healthy")


def test_the_page_of_all_runs_asks_to_log_in_too(
    guarded: Site, gate: Gate, page: Page, complaints: Complaints
) -> None:
    """When its table has not come for ten seconds, which pass quickly here."""
    complaints.expected.append("")  # dash complains of every answer that it does not get
    page.clock.install()
    log_in(page, guarded.url)
    expect(page.locator("h1")).to_have_text("No run yet")
    gate.ledger.end_all()
    page.clock.run_for(20_000)
    expect(page).to_have_url(f"{guarded.url}/login?next=%2F")


def test_where_nobody_has_to_log_in_there_is_no_way_out(site: Site, page: Page) -> None:
    page.goto(site.url)
    expect(page.get_by_role("button", name="Theme")).to_be_visible()
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)


def test_a_link_logs_a_browser_in_and_another_sites_link_finds_it_logged_in(
    guarded: Site, gate: Gate, page: Page, complaints: Complaints
) -> None:
    """The cookie is strict: a browser that comes from elsewhere brings it only when the page asks once more."""
    complaints.expected.append("left the host")  # there is a page elsewhere, on purpose
    link = gate.ledger.new_link(Role.VIEWER, 900).reveal()
    page.goto(f"{guarded.url}/login?link={link}")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("No run yet")
    page.route(
        "http://elsewhere.example/",
        lambda route: route.fulfill(body=f"<a href='{guarded.url}/'>there</a>", content_type="text/html"),
    )
    page.goto("http://elsewhere.example/")
    page.get_by_role("link", name="there").click()
    expect(page.locator("h1")).to_have_text("No run yet")
    expect(page).to_have_url(f"{guarded.url}/")


def test_the_login_page_is_light_or_dark_and_fits_a_phone(guarded: Site, browser: Browser) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 640})  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{guarded.url}/login")
        expect(page.get_by_label("Token")).to_be_visible()
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        context.close()
    assert len(grounds) == 2


def test_no_other_site_may_frame_the_pages(site: Site, page: Page, complaints: Complaints) -> None:
    """The browser itself refuses; and a page runs no script that is not ours."""
    complaints.expected.append("")  # the refusals are what is wanted
    found = Complaints()
    found.listen(page)
    page.goto(site.url)
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.owned = 1';
        document.body.append(script);
        const frame = document.createElement('iframe');
        frame.src = '/docs';
        document.body.append(frame);
    }""")
    for _ in range(100):
        if any("script-src" in text for text in found.heard):
            break
        page.wait_for_timeout(20)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in found.heard)
    policy = httpx.get(site.url).headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "'unsafe-eval'" not in policy


def nothing_is_planted(page: Page) -> None:
    assert page.evaluate("window.owned") is None
    assert page.locator(PLANTED).count() == 0


def test_s6_names_and_texts_of_a_run_are_text_on_every_page(
    site: Site, context: BrowserContext, page: Page, complaints: Complaints
) -> None:
    """Of configuration, environment, figures, marks, sessions and losses; in tables, charts, hovers and titles.

    What is archived already, and what comes while the page is open.
    """
    complaints.expected.append("net::ERR_ABORTED")  # pages are left early
    dialogs: list[str] = []
    context.on("dialog", lambda dialog: dialogs.append(dialog.message))
    now = time.time()
    config: dict[str, str | int | float | bool | None] = {
        "rollout_is": MARKUP[0],
        **{text: text for text in MARKUP},
    }
    environment = {"host": MARKUP[1], "pid": MARKUP[2], "user": MARKUP[0], **{text: text for text in MARKUP}}
    site.begin(RUN)
    site.put(RUN, RunStart("math", "a", now, config, environment=environment))
    figures = HEALTHY | dict.fromkeys(MARKUP, 0.5)
    site.put(RUN, StepRecord(0, now, figures, dropped=dict.fromkeys(MARKUP, 3)))
    site.put(RUN, StepRecord(1, now, figures))
    for text in MARKUP:
        site.put(RUN, Mark(1, now, text, {text: text, "version": text}))
    lost = [
        httpx.URL(path=f"/{folder}{text}").raw_path.decode()
        for folder in ("", "runs/")
        for text in MARKUP[:3]
    ]
    for path in ("/", "/docs", *lost):
        page.goto(site.url + path)
        expect(page.locator("h1").first).to_be_visible()
        nothing_is_planted(page)
    page.goto(f"{site.url}/runs/{RUN}")
    page.locator(".facts > summary").click()
    for text in MARKUP:
        expect(page.locator("details th", has_text=text).first).to_be_visible()
    chart = page.locator(".js-plotly-plot").first
    expect(chart.locator(".xy").first).to_be_attached()
    for step, text in enumerate(MARKUP, 2):
        site.put(RUN, Mark(step, now, text, {"text": text}))
        site.put(RUN, StepRecord(step, now, figures, dropped={text: 1}))
        expect(page.locator("#step")).to_contain_text(str(step))
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    for at in (0.1, 0.3, 0.5, 0.7, 0.9):
        page.mouse.move(box["x"] + box["width"] * at, box["y"] + box["height"] / 2)
        page.wait_for_function("() => document.querySelector('.js-plotly-plot .hoverlayer') !== null")
    nothing_is_planted(page)
    assert dialogs == []
