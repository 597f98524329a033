"""Alerts in a browser: who sees one, says so, silences it, and is told when it is over."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from rolloutwatch_contract import RunEnd
from rolloutwatch_server.security import Access, Role, Secret
from rolloutwatch_server.security.credentials import parse_passwords, password_line
from rolloutwatch_server.security.gate import Gate
from rolloutwatch_server.security.ledger import Ledger
from rolloutwatch_server.security.secret import PrivateFile
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_doors import MARKUP, nothing_is_planted

RUN = "math~a"
VETOED = HEALTHY | {"rollout_is_veto_fraction": 0.14}
RULE = "too_many_vetoed"
PASSWORD = "correct horse"


@pytest.fixture
def sick(site: Site) -> Site:
    """A run on which more than one sequence in ten is vetoed, which two rules notice at the third step."""
    fall_ill(site)
    return site


def fall_ill(site: Site, run: str = RUN) -> None:
    site.begin(run)
    for step in range(4):
        site.step(run, step, VETOED)


def card(page: Page, rule: str = RULE) -> Locator:
    return page.locator("article.alert", has=page.get_by_role("heading", name=rule, exact=True))


def test_an_alert_appears_is_acknowledged_taken_back_and_goes(site: Site, page: Page) -> None:
    """All without a reload: the count in the head and the page follow what happens, here and elsewhere."""
    site.begin(RUN)
    page.goto(f"{site.url}/alerts")
    expect(page.locator(".calm")).to_contain_text("Nothing fires.")
    expect(page).to_have_title("Alerts · Rolloutwatch")
    for step in range(4):
        site.step(RUN, step, VETOED)
    expect(card(page)).to_contain_text("Vetoed sequences0.14fires above 0.1")
    expect(page.locator("header .count")).to_have_text("2")
    expect(page.locator("header .count")).to_have_class("count critical")
    card(page).get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("on <b>it</b>")
    page.get_by_label("For").select_option("4 hours")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card(page)).to_contain_text("for another 3 h. on <b>it</b>")
    expect(page.locator("header .count")).to_have_class("count warning")
    card(page).get_by_role("button", name="Take back").click()
    expect(page.get_by_role("alert")).to_have_text(f"{RULE} is not acknowledged any more.")
    expect(card(page).get_by_role("button", name="Acknowledge")).to_be_visible()
    for step in range(4, 10):
        site.step(RUN, step, HEALTHY)
    expect(page.locator(".calm")).to_be_visible()
    expect(page.locator(".past tbody tr")).to_have_count(2)
    expect(page.locator("header .count")).to_have_count(0)


def test_a_page_on_which_nothing_happens_is_not_made_anew_and_its_tab_tells_that_the_server_is_gone(
    sick: Site, page: Page, complaints: Complaints
) -> None:
    """Ages go on by themselves, also while steps come that change no alert; what is new comes all the same."""
    complaints.expected += ["net::ERR_", "Callback failed: the server did not respond"]
    page.goto(f"{sick.url}/alerts")
    since = card(page).locator(".since")
    expect(since).to_have_text(re.compile(r"^since step 2, (just now|\d+ s ago)$"))
    age = since.text_content()
    expect(page.locator("header .count")).to_have_text("2")
    page.evaluate(
        "for (const one of document.querySelectorAll('#alerts :not(.history *), header .count')) one.dataset.marked = ''"
    )
    marked = page.locator("#alerts [data-marked], header .count[data-marked]")
    count = marked.count()  # a chart may be drawn anew for a step
    version = page.locator("#alerts-told").get_attribute("data-versions")
    sick.step(RUN, 4, VETOED)
    for _ in range(2):
        with page.expect_response(lambda one: '"alerts-watch' in (one.request.post_data or "")) as look:
            pass
        assert '"children"' not in look.value.text()
    expect(page.locator("#alerts-told")).not_to_have_attribute("data-versions", str(version))
    expect(since).not_to_have_text(str(age))
    expect(since).to_have_text(re.compile(r"^since step 2, \d+ s ago$"))
    assert marked.count() == count > 50
    (milder,) = (one.id for one in sick.alerts() if one.rule != RULE)
    sick.acknowledge(milder, "olga", "on it")
    expect(page.locator(".seen-by")).to_contain_text(["Acknowledged by olga, until it ends. on it"])
    expect(page).to_have_title("1 critical · Alerts · Rolloutwatch")
    sick.stop()
    expect(page).to_have_title("disconnected · Alerts · Rolloutwatch")
    assert "888888" in (page.locator("#icon").get_attribute("href") or "")
    sick.start()
    expect(page).to_have_title("1 critical · Alerts · Rolloutwatch")


def test_what_one_types_stays_while_the_page_goes_on(sick: Site, page: Page) -> None:
    """Alerts come while a note is written; the dialog, and the note in it, stay."""
    page.goto(f"{sick.url}/alerts")
    card(page).get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill("half a sent")
    fall_ill(sick, "math~b")
    expect(page.locator("article.alert")).to_have_count(4)
    expect(page.get_by_label("Note")).to_have_value("half a sent")
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_alerts_are_silenced_by_pattern_and_heard_again(sick: Site, page: Page) -> None:
    """The run and the rule of an alert are filled in; what is silenced is quieter and not counted."""
    page.goto(f"{sick.url}/alerts")
    card(page).get_by_role("button", name="Silence").click()
    expect(page.get_by_role("textbox", name="Run")).to_have_value(RUN)
    expect(page.get_by_role("textbox", name="Rule")).to_have_value(RULE)
    page.get_by_role("textbox", name="Rule").fill("*vetoed")
    page.get_by_label("Why").fill("known")
    page.get_by_role("dialog").get_by_role("button", name="Silence").click()
    expect(card(page)).to_have_class("alert critical seen")
    expect(card(page, "sequences_vetoed")).to_contain_text("Silenced for another 3 h: nobody is told.")
    expect(page.locator("header .count")).to_have_class("count unknown")
    silence = page.locator(".list li", has_text="*vetoed")
    expect(silence).to_contain_text("known")
    silence.get_by_role("button", name="End it").click()
    expect(card(page)).to_have_class("alert critical")


def test_a_silence_that_cannot_be_is_refused_where_it_is_written(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """In the words of the server, with what was typed still there."""
    complaints.expected.append("422 (Unprocessable")
    page.goto(f"{site.url}/alerts")
    page.get_by_role("button", name="New silence").click()
    page.get_by_role("textbox", name="Run").fill("a b {}")
    page.get_by_role("dialog").get_by_role("button", name="Silence").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("run is 'a b {}'")
    expect(page.get_by_role("textbox", name="Run")).to_have_value("a b {}")


def test_alerts_are_chosen_by_an_address_that_can_be_kept(sick: Site, page: Page) -> None:
    fall_ill(sick, "math~b")
    page.goto(f"{sick.url}/alerts")
    expect(page.locator("article.alert")).to_have_count(4)
    page.get_by_role("combobox", name="Severity").select_option("critical")
    expect(page.locator("article.alert")).to_have_count(2)
    page.get_by_role("combobox", name="Run").select_option("math~b")
    expect(page.locator("article.alert")).to_have_count(1)
    expect(page).to_have_url(f"{sick.url}/alerts?severity=critical&run=math%7Eb")
    page.reload()
    expect(page.get_by_role("combobox", name="Severity")).to_have_value("critical")
    expect(page.locator("article.alert")).to_have_count(1)
    page.go_back()
    expect(page.locator("article.alert")).to_have_count(2)


def test_the_page_of_a_run_shows_its_alerts_and_marks_them_on_its_charts(site: Site, page: Page) -> None:
    """As they come, those of one figure in one row, whose button is for both; the table of runs names the worst."""
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, HEALTHY)
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#chart-veto .main-svg").first).to_be_visible()
    for step in range(5, 9):
        site.step(RUN, step, VETOED)
    rows = page.locator("#reasons li")
    expect(rows).to_contain_text([RULE])
    expect(rows).to_contain_text(["sequences_vetoed"])
    expect(page.locator("#chart-veto .textpoint", has_text="too many vetoed")).to_be_visible()
    expect(page.locator("#chart-k3 .textpoint", has_text="too many vetoed")).to_have_count(0)
    rows.first.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#reasons li.seen .seen-by p")).to_contain_text(
        [f"{RULE}: Acknowledged by", "sequences_vetoed: Acknowledged by"]
    )
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("#runs .fires")).to_have_text(f"◆ {RULE} and 1 more")
    page.locator("#runs .fires a").click()
    expect(page).to_have_url(f"{site.url}/alerts?run=math~a")


def test_an_idle_page_of_a_run_that_is_over_sends_nothing(site: Site, page: Page) -> None:
    """And counts what fires elsewhere all the same, because it is told."""
    site.begin(RUN)
    for step in range(4):
        site.step(RUN, step, HEALTHY)
    site.put(RUN, RunEnd(time.time()))
    page.goto(f"{site.url}/runs/{RUN}")
    expect(page.locator("#state")).to_have_text("finished")
    expect(page.locator("#chart-ess .main-svg").first).to_be_visible()
    page.wait_for_timeout(3000)  # what the page asks for at first has come
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.wait_for_timeout(7000)  # twice the time after which pages look again
    assert sent == []
    fall_ill(site, "math~b")
    expect(page.locator("header .count")).to_have_text("2")
    assert 0 < len(sent) <= 4, "it looks once for each time that it is told, of several at once"


def test_a_guide_is_one_click_away(sick: Site, page: Page) -> None:
    page.goto(f"{sick.url}/alerts")
    card(page).get_by_role("link", name="Guide").click()
    expect(page).to_have_url(f"{sick.url}/guides/{RULE}")
    expect(page.locator("main h1")).to_be_visible()
    page.get_by_role("link", name="Alerts").click()
    expect(card(page)).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", ["/alerts", "/rules"])
def test_pages_of_alerts_fit_the_screen(
    path: str, width: int, site: Site, browser: Browser, complaints: Complaints
) -> None:
    """With the longest names there may be, in a dialog too, light and dark."""
    fall_ill(site, f"{'a-project-' * 12}with-a-n~{'g' * 128}")
    grounds = set()
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
        context.on("page", complaints.listen)
        page = context.new_page()
        page.goto(site.url + path)
        expect(page.locator("article.alert, #rules-document").first).to_be_visible()
        if path == "/alerts":
            page.get_by_role("button", name="Silence", exact=True).first.click()
            expect(page.get_by_role("dialog")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(grounds) == 2


@pytest.fixture
def guarded(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    """A site with a viewer, an operator and an admin."""
    passwords = tmp_path / "passwords"
    people = (("vera", Role.VIEWER), ("olga", Role.OPERATOR), ("ada", Role.ADMIN))
    passwords.write_text("\n".join(password_line(name, role, Secret(PASSWORD)) for name, role in people))
    passwords.chmod(0o600)
    ledger = Ledger(tmp_path / "access.db")
    gate = Gate(ledger, password_file=PrivateFile(passwords, parse_passwords, {}))
    one = Site(tmp_path, redis_url, Access(("127.0.0.1",), gate=gate))
    one.start()
    try:
        yield one
    finally:
        one.stop()
        one.close()
        ledger.close()


def log_in(page: Page, site: Site, name: str, path: str) -> None:
    page.goto(site.url + path)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(site.url + path)


@pytest.mark.parametrize(
    ("name", "offered"), [("vera", []), ("olga", ["New silence"]), ("ada", ["New silence"])]
)
def test_only_what_one_may_do_is_offered(name: str, offered: list[str], guarded: Site, page: Page) -> None:
    """A viewer looks, an operator acknowledges and silences, an admin saves rules; all of them may try rules."""
    fall_ill(guarded)
    log_in(page, guarded, name, "/alerts")
    expect(card(page)).to_be_visible()
    page.wait_for_function("() => document.documentElement.dataset.role")
    expect(page.get_by_role("button", name="New silence")).to_have_count(len(offered))
    for button in ("Acknowledge", "Silence"):
        expect(card(page).get_by_role("button", name=button)).to_have_count(len(offered))
    page.goto(f"{guarded.url}/runs/{RUN}")
    expect(page.locator("#reasons li", has_text=RULE)).to_contain_text("since step")
    page.wait_for_function("() => document.documentElement.dataset.role")
    expect(page.get_by_role("button", name="Acknowledge")).to_have_count(len(offered))
    page.get_by_role("link", name="Rules", exact=True).click()
    expect(page.get_by_role("button", name="Try")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(1 if name == "ada" else 0)


def test_who_may_no_more_is_told_which_role_it_takes(
    guarded: Site, page: Page, complaints: Complaints
) -> None:
    """The page was made before; the server refuses in words, and nothing has changed."""
    complaints.expected.append("403 (Forbidden)")
    fall_ill(guarded)
    log_in(page, guarded, "vera", "/alerts")
    expect(card(page)).to_be_visible()
    page.wait_for_function("() => document.documentElement.dataset.role === 'viewer'")
    page.evaluate("document.documentElement.dataset.role = 'operator'")
    card(page).get_by_role("button", name="Acknowledge").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(dialog.get_by_role("alert")).to_have_text(
        "To acknowledge needs the role operator; you are vera (viewer)."
    )
    dialog.get_by_role("button", name="Cancel").click()
    expect(card(page).get_by_role("button", name="Acknowledge")).to_be_visible()


def test_an_operator_acknowledges_by_name(guarded: Site, page: Page) -> None:
    fall_ill(guarded)
    log_in(page, guarded, "olga", "/alerts")
    card(page).get_by_role("button", name="Acknowledge").click()
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(card(page)).to_contain_text("Acknowledged by olga, until it ends.")


def test_texts_of_rules_and_people_are_text_on_every_page(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """Summaries, cures, notes, reasons: whoever wrote them."""
    complaints.expected.append("net::ERR_ABORTED")  # pages are left early
    texts = ", ".join(MARKUP).replace('"', '\\"')
    site.rules.save(
        f'[[rule]]\nname = "hostile"\nseverity = "warning"\nwhen = "rollout_is_veto_fraction > 0.1"\n'
        f'summary = "{texts}"\ncure = "{texts}"\n'
        'guide = "https://wiki.example/\\"><img/src=x/onerror=window.owned=1>"\n',
        "<img src=x onerror=window.owned=1>",
    )
    fall_ill(site)
    page.goto(f"{site.url}/alerts")
    card(page, "hostile").get_by_role("button", name="Acknowledge").click()
    page.get_by_label("Note").fill(MARKUP[1])
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(card(page, "hostile")).to_contain_text(MARKUP[1])
    nothing_is_planted(page)
    for path, there in (
        ("/rules", "#rules-document"),
        (f"/runs/{RUN}", "#reasons li .rules"),
        ("/", "#runs .fires"),
    ):
        page.goto(site.url + path)
        expect(page.locator(there).first).to_be_visible()
        nothing_is_planted(page)
