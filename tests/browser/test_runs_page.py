"""The page of all runs."""

import time

from playwright.sync_api import Page, expect

from rolloutwatch_contract import StepRecord
from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, STALE, Site


def test_an_empty_archive_says_how_to_fill_it(site: Site, page: Page) -> None:
    """The first run appears without a reload."""
    page.goto(site.url)
    expect(page.locator("h1")).to_have_text("No run yet")
    expect(page.locator("pre")).to_contain_text("rolloutwatch.Monitor(")
    site.begin("math~first")
    expect(page.get_by_role("link", name="math / first")).to_be_visible()


def test_runs_tell_how_they_are_and_lead_to_their_pages(site: Site, page: Page) -> None:
    """A healthy and a sick run differ at a glance; a click shows one of them, another one leads back."""
    for name, metrics in (("well", HEALTHY), ("sick", STALE)):
        site.begin(f"math~{name}")
        site.step(f"math~{name}", 3, metrics)
    page.goto(site.url)
    sick = page.locator("tr", has_text="sick")
    expect(sick.locator("td.critical")).to_have_text(["0.11", "2.5", "0.7"])
    expect(page.locator("tr", has_text="well").locator("td.ok")).to_have_text(
        ["0.999", "0", "1.001", "1.00e-4"]
    )
    page.get_by_role("link", name="math / sick").click()
    expect(page.locator("#health")).to_have_text("critical")
    page.get_by_role("link", name="Runs").click()
    expect(page.locator("h1")).to_have_text("Runs")
    expect(page).to_have_title("1 critical · Rolloutwatch")


def test_every_run_says_its_health_at_once_and_its_page_says_the_same(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """In a word and a colour, on a phone too."""
    complaints.expected.append("net::ERR_ABORTED")  # pages are left before all of their charts are there
    void = {"nonfinite_fraction": 1.0, "rollout_is_veto_fraction": 0.0}
    told = {
        "well": (HEALTHY, "healthy", "ok"),
        "wide": (HEALTHY | {"ratio_std": 1.5}, "warning", "warning"),
        "sick": (STALE, "critical", "critical"),
        "void": (void, "critical", "critical"),
        "only-kl": ({"mismatch_k3_kl": 1e-4}, "partly measured", "unknown"),
        "logs": ({"reward": 1.0}, "not measured", "unknown"),
    }
    for name, (metrics, _, _) in told.items():
        site.begin(f"math~{name}")
        site.step(f"math~{name}", 0, metrics)
    site.begin("math~failed")
    site.put("math~failed", StepRecord(0, time.time(), {"reward": 1.0}, dropped={"not_corrected": 1}))
    site.begin("math~new")
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(site.url)
    # of the new one nothing more comes, so that it stalls: it is looked at before the others
    expected = {"new": ["waiting", "unknown"], "failed": ["critical", "critical"]}
    expected |= {name: rest for name, (_, *rest) in told.items()}
    for name, (word, kind) in expected.items():
        badge = page.locator("tr", has=page.get_by_role("link", name=f"math / {name}", exact=True))
        expect(badge.locator(".health")).to_have_text(word)
        expect(badge.locator(".health")).to_have_class(f"health {kind}")
    for name, (word, kind) in expected.items():
        page.goto(f"{site.url}/runs/math~{name}")
        expect(page.locator("#health")).to_have_text("no step yet" if word == "waiting" else word)
        expect(page.locator("#health")).to_have_class(f"health {kind}")


def test_a_path_that_leads_nowhere_leads_back(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/runs/no~such")
    expect(page.locator("code")).to_have_text("/runs/no~such")
    page.get_by_role("link", name="See the runs there are").click()
    expect(page.locator("h1")).to_have_text("No run yet")


def test_a_server_that_is_gone_is_said(site: Site, page: Page, complaints: Complaints) -> None:
    complaints.expected += ["ERR_CONNECTION_REFUSED", "Failed to fetch", "Callback"]
    site.begin("math~a")
    page.goto(site.url)
    expect(page.locator("h1")).to_have_text("Runs")
    site.stop()
    expect(page.locator("#notice")).to_contain_text("The server does not answer")
    site.start()
    expect(page.locator("#notice")).to_be_hidden()
