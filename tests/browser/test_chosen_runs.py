"""Several runs at once: chosen by boxes, compared, tagged, put away and deleted from one bar."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_table_of_runs import NARROW, OVERFLOW, label, names, past, row, runs


def choose(page: Page, name: str) -> None:
    page.get_by_role("checkbox", name=f"Choose {name}", exact=True).press("Space")


def test_several_runs_are_chosen_and_compared_tagged_put_away_and_deleted(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """By the keyboard; what is chosen stays so whatever comes and is looked for; one question names all that go."""
    complaints.expected.append("net::ERR_ABORTED")  # a page is left early
    for at in range(3):
        past(site, f"math~run-{at}", 3600 * (at + 1), HEALTHY)
    site.begin("math~live")
    site.step("math~live", 0, HEALTHY)
    label(site, "math~run-1", tags=["old"])
    page.goto(site.url)
    bar = page.get_by_role("group", name="Chosen runs")
    choose(page, "math / run-0")
    expect(names(page)).to_have_count(4)
    expect(bar).to_be_hidden()
    choose(page, "math / run-1")
    expect(bar.get_by_role("status")).to_have_text("2 runs chosen")
    expect(bar).to_be_in_viewport()
    assert page.evaluate(OVERFLOW) == 0
    # news and a search leave it as it is
    page.get_by_role("searchbox").fill("run-1")
    expect(bar.get_by_role("status")).to_have_text("2 runs chosen, 1 of them not listed here")
    site.step("math~live", 1, HEALTHY)
    label(site, "math~run-1", tags=["old", "b"])
    expect(row(page, "math~run-1").locator(".tag")).to_have_text(["old", "b"])
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_label("Choose math / run-1", exact=True)).to_be_checked()
    expect(page.get_by_label("Choose math / run-0", exact=True)).to_be_checked()
    expect(page.get_by_label("Choose math / run-2", exact=True)).not_to_be_checked()
    # tags are added and taken away, others stay
    bar.get_by_role("button", name="Tags…").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Tags of 2 runs")
    dialog.get_by_label("Add").fill("sweep, b")
    dialog.get_by_label("Take away").fill("old")
    dialog.get_by_role("button", name="Save").click()
    expect(row(page, "math~run-0").locator(".tag")).to_have_text(["sweep", "b"])
    expect(row(page, "math~run-1").locator(".tag")).to_have_text(["b", "sweep"])
    bar.get_by_role("link", name="Compare").press("Enter")
    expect(page).to_have_url(f"{site.url}/compare?run=math~run-0&run=math~run-1")
    page.go_back()
    # whoever comes back finds them chosen
    expect(bar.get_by_role("status")).to_have_text("2 runs chosen")
    page.get_by_label("Choose math / run-1", exact=True).uncheck()
    page.get_by_label("Choose math / run-2", exact=True).check()
    # those that are put away meanwhile are not among them, nor deleted with others
    page.get_by_role("link", name="Alerts").click()
    expect(page.locator("h1")).to_have_text("Alerts")
    label(site, "math~run-0", archived=True)
    page.get_by_role("link", name="Runs").click()
    expect(names(page)).to_have_count(3)
    label(site, "math~run-0", archived=False)
    expect(names(page)).to_have_count(4)
    expect(page.get_by_label("Choose math / run-0", exact=True)).not_to_be_checked()
    expect(page.get_by_label("Choose math / run-2", exact=True)).to_be_checked()
    page.get_by_label("Choose math / run-0", exact=True).check()
    # a run that is live stays, and the question says so
    bar.get_by_role("button", name="Archive").click()
    expect(names(page)).to_have_text(["math / live", "math / run-1"])
    page.get_by_label("archived 2").check()
    bar.get_by_role("button", name="Take out of the archive").click()
    expect(page.locator("tr.archived")).to_have_count(0)
    page.get_by_label("Choose math / live", exact=True).check()
    bar.get_by_role("button", name="Delete…").click()
    expect(dialog.get_by_role("heading")).to_have_text("Delete 2 runs?")
    expect(dialog).to_contain_text("math / run-0, math / run-2. math / live is live and stays.")
    dialog.get_by_role("button", name="Delete for ever").click()
    expect(names(page)).to_have_text(["math / live", "math / run-1"])
    assert set(runs(site)) == {"math~live", "math~run-1"}
    expect(bar).to_be_hidden()  # one is left that is chosen
    page.get_by_label("Choose math / run-1", exact=True).check()
    expect(bar.get_by_role("status")).to_have_text("2 runs chosen")
    bar.get_by_role("button", name="Choose none").press("Enter")
    expect(bar).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_more_runs_than_are_compared_at_once_are_told_so_and_speed_and_age_are_sorted_by(
    site: Site, page: Page
) -> None:
    """On a phone too, where the bar is as wide as the screen."""
    for at in range(14):
        past(site, f"sweep~{at:02d}", 60 * (at + 1), HEALTHY)
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    page.goto(f"{site.url}/?sort=-age")
    expect(names(page).first).to_have_text("sweep / 00")
    for name in ("00", "01"):
        page.get_by_label(f"Choose sweep / {name}", exact=True).check()
    bar = page.get_by_role("group", name="Chosen runs")
    expect(bar.get_by_role("link", name="Compare")).to_be_visible()
    bar.get_by_role("button", name="Choose all", exact=True).click()
    expect(bar).to_contain_text("14 runs chosen")
    expect(bar).to_contain_text("At most 12 are compared at once.")
    expect(bar.get_by_role("link", name="Compare")).to_have_count(0)
    assert page.evaluate(OVERFLOW) == 0
    page.get_by_label("Sort by").select_option("age")
    expect(names(page).first).to_have_text("sweep / 13")
    expect(row(page, "sweep~13").locator("[data-label=Updated] .sub")).to_have_text("began 14 min ago")


def test_how_fast_a_run_goes_is_reckoned_from_what_came_lately(site: Site, page: Page) -> None:
    """Else from all of it; hand-worked."""
    page.goto(site.url)
    expect(page.locator("h1")).to_be_visible()
    of = """(rows) => {
        const paces = new rolloutwatch.RunPaces();
        return rows.map(([state, updated, step]) => paces.of({ id: "a", state, started: 100, first: 0, updated, step }));
    }"""
    assert page.evaluate(of, [["live", 100, None]]) == [None]
    assert page.evaluate(of, [["live", 100, 0], ["live", 110, 20], ["live", 120, 30], ["live", 175, 85]]) == [
        None,
        2.0,
        1.5,
        1.0,
    ]
    assert page.evaluate(of, [["finished", 300, 50], ["finished", 300, 50]]) == [0.25, 0.25]
    said = "[5.43, 1, 0.25].map((pace) => rolloutwatch.stepsPerSecond(pace))"
    assert page.evaluate(said) == ["5.4 steps/s", "1.0 steps/s", "4.0 s/step"]
