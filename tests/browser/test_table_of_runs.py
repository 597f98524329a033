"""What one can do on the page of all runs: find, sort, filter, tag, put away, delete; and that it goes on meanwhile."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from rolloutwatch_contract import Outcome, RunEnd
from rolloutwatch_server.security import Access, Role
from rolloutwatch_server.security.gate import Gate
from rolloutwatch_server.security.ledger import Ledger
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, STALE, Site

MARKUP = "<img src=x onerror=window.owned=1>"
NARROW = {"width": 390, "height": 844}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def past(site: Site, run: str, seconds_ago: float, *metrics: dict[str, float]) -> None:
    """A run that has ended."""
    site.late_seconds = -seconds_ago
    site.begin(run)
    for step, one in enumerate(metrics):
        site.step(run, step, one)
    site.put(run, RunEnd(time.time(), Outcome.FINISHED))
    site.late_seconds = 0


def label(site: Site, run: str, **said: Any) -> None:
    httpx.patch(f"{site.url}/api/v1/runs/{run}", json=said).raise_for_status()


def names(page: Page) -> Locator:
    return page.locator("#runs-rows td.named > a")


def row(page: Page, run: str) -> Locator:
    return page.locator("#runs-rows tr", has=page.locator(f"a[href='/runs/{run}']"))


def runs(site: Site) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in httpx.get(f"{site.url}/api/v1/runs").json()["runs"]}


@pytest.fixture
def several(site: Site) -> Site:
    """A run that is well, a sick one, three of the past, of which one is put away."""
    past(site, "math~run-10", 7200, HEALTHY | {"ratio_eff_sample_size": 0.9})
    past(site, "math~run-9", 3600, HEALTHY)
    past(site, "code~old", 86400, HEALTHY)
    site.begin("math~sick")
    site.step("math~sick", 3, STALE)
    site.begin("math~well")
    site.step("math~well", 5, HEALTHY)
    label(site, "code~old", archived=True, tags=["baseline"])
    label(site, "math~run-9", tags=["baseline", MARKUP])
    return site


def test_what_one_looks_for_stands_in_the_address(several: Site, page: Page) -> None:
    """Searched, filtered and sorted at once; a reload, a link and the way back show the same; what is put away is not there."""
    page.goto(several.url)
    usual = ["math / well", "math / sick", "math / run-9", "math / run-10"]
    expect(names(page)).to_have_text(usual)
    expect(page.locator("#runs-count")).to_have_text("4 runs")
    expect(page.locator(".choice:visible")).to_have_text(["live 2", "finished 2"])
    page.get_by_role("searchbox").fill("MATH run-")
    expect(names(page)).to_have_text(["math / run-9", "math / run-10"])
    page.get_by_role("button", name="ESS").click()
    expect(names(page)).to_have_text(["math / run-10", "math / run-9"])
    page.get_by_role("button", name="ESS").click()
    expect(page.locator("th[aria-sort]")).to_have_text("ESS")
    expect(names(page)).to_have_text(["math / run-9", "math / run-10"])
    page.get_by_role("button", name="finished 2").click()
    row(page, "math~run-9").get_by_role("button", name="baseline", exact=True).click()
    expect(names(page)).to_have_text(["math / run-9"])
    page.get_by_label("archived 1").check()
    address = f"{several.url}/?q=MATH+run-&state=finished&tag=baseline&sort=-ess&archived=1"
    expect(page).to_have_url(address)
    page.get_by_role("searchbox").fill("")
    expect(names(page)).to_have_text(["math / run-9", "code / old"])
    page.goto(address)
    expect(names(page)).to_have_text(["math / run-9"])
    expect(page.get_by_role("searchbox")).to_have_value("MATH run-")
    names(page).first.click()
    expect(page.locator("#health")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(address)
    expect(names(page)).to_have_text(["math / run-9"])
    page.get_by_role("navigation").get_by_role("link", name="Runs").click()
    expect(names(page)).to_have_text(usual)


def test_a_row_shows_how_its_figures_came_there(several: Site, page: Page) -> None:
    """A line for each figure that there is, with its limits and an end in the colour of its severity; it grows."""
    page.goto(several.url)
    sick = row(page, "math~sick")
    expect(sick.locator("td.critical .now")).to_have_text(["0.11", "2.5", "0.7"])
    expect(sick.locator("td.critical .end.critical")).to_have_count(3)
    kl = row(page, "math~well").locator("td[data-label='KL']")
    assert kl.locator(".line").get_attribute("d") == "M90 16h0"
    assert kl.locator(".limit").evaluate_all("them => them.map((one) => [one.getAttribute('d'), one.className.baseVal])") == [
        ["M0 3h90", "limit critical"],
        ["M0 8h90", "limit warning"],
    ]  # fmt: skip
    several.step("math~well", 6, HEALTHY | {"mismatch_k3_kl": math.inf})
    expect(kl.locator(".now")).to_have_text("∞")
    assert kl.locator(".far").get_attribute("d") == "M90 2h0"
    expect(row(page, "math~well").locator("[data-label='Step'] .now")).to_have_text("6")


def test_news_touch_only_what_has_changed(several: Site, page: Page) -> None:
    """Rows stay where they are and what they are, with the focus and a menu that is open; a new run comes without a reload."""
    page.goto(several.url)
    expect(names(page)).to_have_count(4)
    page.evaluate("for (const one of document.querySelectorAll('#runs-rows td')) one.mark = 1")
    row(page, "math~run-9").get_by_label("Actions on math / run-9").click()
    expect(page.get_by_role("button", name="Tags…")).to_be_visible()
    several.step("math~sick", 4, STALE)
    expect(row(page, "math~sick").locator("[data-label='Step'] .now")).to_have_text("4")
    unchanged = (
        "them => them.filter((one) => one.mark !== 1).map((one) => one.dataset.label || one.cellIndex)"
    )
    assert row(page, "math~well").locator("td").evaluate_all(unchanged) == []
    changed = row(page, "math~sick").locator("td").evaluate_all(unchanged)
    assert {"Step", "ESS"} <= set(changed) <= {"Step", "ESS", "Veto fraction", "PPL ratio", "KL", 1}
    expect(page.get_by_role("button", name="Tags…")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Tags…")).to_be_hidden()
    expect(page.get_by_label("Actions on math / run-9")).to_be_focused()
    several.begin("math~new")
    expect(names(page).first).to_have_text("math / new")
    expect(page.get_by_label("Actions on math / run-9")).to_be_focused()
    expect(page).to_have_title("1 critical · Rolloutwatch")


def test_a_run_is_tagged_put_away_and_deleted_after_a_question(
    several: Site, page: Page, complaints: Complaints
) -> None:
    """By the API, so that everybody sees it; what is refused is said in the server's words; a live run cannot be deleted."""
    complaints.expected.append("422 (Unprocessable Entity)")
    page.goto(several.url)
    act(page, "run-9", "Tags…")
    field = page.get_by_role("dialog").get_by_label("Tags")
    expect(field).to_have_value(f"baseline, {MARKUP}")
    field.fill("x" * 61)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("at most 60 characters")
    field.fill("baseline, 8×H100,, ")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "math~run-9").locator(".tag")).to_have_text(["baseline", "8×H100"])
    act(page, "run-9", "Tags…")
    field.fill("")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "math~run-9").locator(".tag")).to_have_count(0)
    act(page, "run-10", "Archive")
    expect(row(page, "math~run-10")).to_have_count(0)
    assert (runs(several)["math~run-10"]["archived"], runs(several)["math~run-9"]["tags"]) == (True, [])
    page.get_by_label("archived 2").check()
    act(page, "run-10", "Take out of the archive")
    expect(page.get_by_label("archived 1")).to_be_checked()
    act(page, "run-9", "Delete…")
    page.get_by_role("button", name="Cancel").click()
    assert "math~run-9" in runs(several)
    act(page, "run-9", "Delete…")
    expect(page.get_by_role("dialog")).to_contain_text("Delete math / run-9?Its last step is 0.")
    page.get_by_role("button", name="Delete for ever").click()
    expect(row(page, "math~run-9")).to_have_count(0)
    assert set(runs(several)) == {"math~run-10", "code~old", "math~sick", "math~well"}
    page.get_by_label("Actions on math / well").click()
    expect(page.get_by_role("button", name="Delete…")).to_be_disabled()


def act(page: Page, name: str, what: str) -> None:
    page.get_by_label(f"Actions on math / {name}", exact=True).click()
    page.get_by_role("button", name=what).click()


def test_hundreds_of_runs_are_drawn_a_hundred_at_a_time_and_fit_a_phone(site: Site, page: Page) -> None:
    """All of them are found; names and tags of whoever are text; an address may be nonsense."""
    for number in range(230):
        site.begin(f"sweep~{number:03d}")
    site.begin("sweep~" + "g" * 128)
    label(site, "sweep~007", tags=[MARKUP, "w" * 60])
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    page.goto(f"{site.url}/?sort=name&most=-1e9&state=,dead,%00&tag=&archived=yes&q=%ff")
    expect(page.locator("#runs-rest")).to_contain_text("No run is like that.")
    page.get_by_role("button", name="Show all runs").click()
    expect(names(page)).to_have_count(100)
    expect(names(page).nth(7)).to_have_text("sweep / 007")
    expect(row(page, "sweep~007").locator(".tag")).to_have_text([MARKUP, "w" * 60])
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_role("button", name="Show 100 more").click()
    page.get_by_role("button", name="Show 31 more").click()
    expect(names(page)).to_have_count(231)
    expect(page).to_have_url(f"{site.url}/?sort=name&archived=1&most=300")
    page.get_by_label("Sort by").select_option("state")
    expect(names(page)).to_have_count(100)
    page.get_by_role("searchbox").fill("onerror")
    expect(names(page)).to_have_text(["sweep / 007"])
    assert page.evaluate("window.owned") is None
    assert page.evaluate(OVERFLOW) == 0


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    ledger = Ledger(tmp_path / "access.db")
    yield Gate(ledger)
    ledger.close()


def test_what_one_may_not_do_is_not_offered(tmp_path: Path, redis_url: str, gate: Gate, page: Page) -> None:
    """A viewer sees no actions, an operator tags and archives, and an admin deletes too."""
    site = Site(tmp_path, redis_url, Access(("127.0.0.1",), gate=gate))
    site.start()
    try:
        past(site, "math~run", 60, HEALTHY)
        offered = {}
        for role in Role:
            page.goto(f"{site.url}/login?link={gate.ledger.new_link(role, 900).reveal()}")
            page.get_by_role("button", name="Log in").click()
            expect(names(page)).to_have_text(["math / run"])
            page.wait_for_function("() => document.documentElement.dataset.role")
            menu = page.get_by_label("Actions on math / run")
            if menu.is_visible():
                menu.click()
            offered[role] = page.locator(".row-menu-items button:visible").all_text_contents()
            page.context.clear_cookies()
        assert offered == {
            Role.VIEWER: [],
            Role.OPERATOR: ["Tags…", "Archive"],
            Role.ADMIN: ["Tags…", "Archive", "Delete…"],
        }
    finally:
        site.stop()
        site.close()


def told(name: str, *, figure: tuple[float | None, str] = (None, "–"), **other: Any) -> dict[str, Any]:
    """A row, as far as it is sorted and filtered by."""
    usual: dict[str, Any] = {
        "id": f"p~{name}", "project": "p", "name": name, "state": "finished", "step": 0, "started": 0, "updated": 0,
        "tags": [], "archived": False, "health": {"kind": "ok"}, "fires": None,
        "figures": [{"rank": figure[0], "text": figure[1]}],
    }  # fmt: skip
    return usual | other


def test_orders_addresses_and_the_worst_of_runs(site: Site, page: Page) -> None:
    """Hand-worked examples of what the page reckons with."""
    page.goto(site.url)
    expect(page.locator("h1")).to_be_visible()
    values = [(0.5, "0.5"), (None, "NaN"), (0.9, "0.9"), (None, "–"), (2.0, "2"), (1e308, "∞")]
    figures = [told(str(at), figure=one) for at, one in enumerate(values)]

    def order(rows: Sequence[Any], sort: str, better: str = "lower", reversed_: bool = False) -> str:
        view = {"sort": sort, "reversed": reversed_}
        columns = [{"key": "kl", "better": better, "ideal": 1.0}]
        script = (
            f"rolloutwatch.sortedRuns(...{json.dumps([list(rows), view, columns])}).map((row) => row.name)"
        )
        return " ".join(page.evaluate(script))

    assert order(figures, "kl") == "5 4 2 0 1 3"
    assert order(figures, "kl", reversed_=True) == "0 2 4 5 1 3"
    assert order(figures, "kl", "higher") == "0 2 4 5 1 3"
    assert order(figures, "kl", "ideal") == "5 0 4 2 1 3", "half and twice are as far; then by name"
    assert order([told("10"), told("9"), told("b"), told("a")], "name") == "9 10 a b"
    steps = [told("none", step=None), told("two", step=2), told("ten", step=10)]
    assert (order(steps, "step"), order(steps, "step", reversed_=True)) == ("ten two none", "two ten none")
    mixed = [
        told("over", updated=9),
        told("young", state="live", started=5, updated=7, health={"kind": "unknown"}),
        told("elder", state="live", started=2, updated=8, fires={"kind": "critical"}),
        told("late", state="stalled", updated=6, health={"kind": "warning"}),
        told("away", state="live", started=1, archived=True, health={"kind": "critical"}),
    ]
    assert order(mixed, "updated") == "young elder away over late"
    assert order(mixed, "health") == "elder away late young over"
    assert order(mixed, "state") == "young elder away late over"
    worst = page.evaluate(f"rolloutwatch.worstOfRuns({json.dumps(mixed)})")
    assert worst == {"kind": "critical", "title": "1 critical"}
    calm = page.evaluate(f"rolloutwatch.worstOfRuns({json.dumps(mixed[:2])})")
    assert (calm, page.evaluate("rolloutwatch.worstOfRuns([])")) == (
        {"kind": "unknown", "title": ""},
        {"kind": "unknown", "title": ""},
    )
    view = "rolloutwatch.runsQuery(rolloutwatch.runsView({!r}, ['updated', 'kl']))"
    for came, kept in [
        ("?q=a+b&state=stalled,live&tag=x%2Cy&tag=x%2Cy&sort=-kl&archived=1&most=200",
         "?q=a+b&state=live,stalled&tag=x,y&sort=-kl&archived=1&most=200"),
        ("?sort=updated&most=7&archived=0&state=dead", ""),
        ("?sort=-updated", "?sort=-updated"),
        ("?sort=-nothing&q=", ""),
    ]:  # fmt: skip
        assert page.evaluate(view.format(came)) == kept
