"""What people say of a run, and what its trainer said: tags on its page, and what a session changed."""

from playwright.sync_api import Page, expect

from tests.browser.site import CONFIG, HEALTHY, Site
from tests.browser.test_run_page import follow
from tests.browser.test_table_of_runs import MARKUP, label, runs

RUN = "math~grpo"


def test_a_run_is_tagged_on_its_page_and_tells_what_its_sessions_changed(site: Site, page: Page) -> None:
    """Its tags lead to the runs that have them; its configuration is one click away."""
    site.begin(RUN)
    site.step(RUN, 0, HEALTHY)
    site.begin(RUN, CONFIG | {"rollout_is": "sequence", "seed": 7})
    site.step(RUN, 1, HEALTHY)
    label(site, RUN, tags=[MARKUP])
    follow(page, site)
    tags = page.locator("#run-tags li")
    expect(tags).to_have_text([MARKUP])
    page.get_by_role("button", name="Tags of this run").click()
    field = page.get_by_role("dialog").get_by_label("Tags")
    expect(field).to_have_value(MARKUP)
    field.fill("baseline, 8×H100")
    page.get_by_role("button", name="Save").click()
    expect(tags).to_have_text(["baseline", "8×H100"])
    assert runs(site)[RUN]["tags"] == ["baseline", "8×H100"]
    page.get_by_role("button", name="Configuration").click()
    facts = page.locator("#configuration")
    expect(facts).to_be_in_viewport()
    expect(facts.locator("summary")).to_be_focused()
    changed = facts.locator("table").nth(1).locator("tbody tr")
    expect(changed.locator("th")).to_have_text(["rollout_is", "seed"])
    expect(changed.nth(0).locator("td")).to_contain_text(["token", "sequence", "UTC"])
    expect(changed.nth(1).locator("td")).to_contain_text(["–", "7", "UTC"])
    tags.get_by_role("link", name="8×H100").click()
    expect(page).to_have_url(f"{site.url}/?tag=8%C3%97H100")
    expect(page.get_by_role("link", name="math / grpo")).to_be_visible()
