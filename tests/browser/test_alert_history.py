"""The history of alerts in a browser: drawn where one looks, a way to each step, and the life of each in words."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_alerts import RULE, RUN, VETOED, card, fall_ill
from tests.server.notify.events import SECRET, webhook
from tests.server.receiver import Mode, Receiver, always


def test_an_alert_shows_its_figures_around_where_it_fired_and_leads_to_each_step(
    site: Site, page: Page
) -> None:
    """One that fires and those that are past; the line grows with the run, and a past one tells how bad it was."""
    site.begin(RUN)
    for step in range(40):
        site.step(RUN, step, HEALTHY)
    for step in range(40, 50):
        site.step(RUN, step, VETOED if step != 44 else VETOED | {"rollout_is_veto_fraction": 0.31})
    page.goto(f"{site.url}/alerts")
    history = card(page).locator(".history")
    chart = history.get_by_role("link")
    expect(chart).to_have_attribute(
        "aria-label", re.compile(r"^Vetoed sequences \(fires > 0\.1\), steps 22 to 49: ")
    )
    expect(history.locator(".under")).to_contain_text("worst 0.31 at step 44")
    expect(history.locator(".limit.critical")).to_have_count(1)
    left, right = (float(history.locator("rect").get_attribute(name) or "") for name in ("x", "width"))
    assert (left, left + right) == (round(600 * 20 / 27), 600), "it fires from step 42 to the last one, 49"
    site.step(RUN, 50, VETOED)
    expect(chart).to_have_attribute("aria-label", re.compile(r"steps 22 to 50: "))
    chart.locator("svg").click(position={"x": 1, "y": 20})
    expect(page).to_have_url(f"{site.url}/runs/{RUN}?step=22")
    page.go_back()
    expect(chart).to_be_visible()
    for step in range(51, 57):
        site.step(RUN, step, HEALTHY)
    past = page.locator(".past tbody tr", has=page.get_by_role("link", name=RULE, exact=True))
    expect(past.locator(".history .under")).to_contain_text("worst 0.31 at step 44")
    expect(past.locator(".history .mark.resolved")).to_have_count(1)
    past.get_by_role("link", name="42 to 55").click()
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/42")


def test_the_life_of_an_alert_is_told_and_goes_on(site: Site, page: Page) -> None:
    """Who acknowledged it is a mark on its chart too; whoever is at a button by key stays there when news comes."""
    fall_ill(site)
    (alert,) = [one for one in site.alerts() if one.rule == RULE]
    site.acknowledge(alert.id, "olga", "on <b>it</b>")
    site.step(RUN, 4, VETOED)
    page.goto(f"{site.url}/alerts")
    button = card(page).get_by_role("button", name="What happened")
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("Enter")
    life = card(page).locator(".life li")
    expect(life).to_have_count(2)
    expect(life.first).to_contain_text("step 2Fires")
    expect(life.last).to_contain_text("Acknowledged by olga: on <b>it</b>")
    expect(card(page).locator(".under .acknowledged")).to_have_text("acknowledged by olga at step 3")
    for step in range(5, 10):
        site.step(RUN, step, HEALTHY)
    past = page.locator(".past tbody tr", has=page.get_by_role("link", name=RULE, exact=True))
    expect(past.locator(".life li")).to_have_count(3)
    expect(past.locator(".life li").last).to_contain_text("step 9Resolved")
    expect(past.get_by_role("button", name="What happened")).to_be_focused()


def test_past_alerts_are_chosen_by_when_they_began(site: Site, page: Page) -> None:
    """In the zone of whoever looks; the address has the moment, and the choice comes back with it."""
    fall_ill(site)
    page.goto(f"{site.url}/alerts?severity=critical")
    expect(page.locator("article.alert")).to_have_count(1)
    page.get_by_label("Begun from").fill("2020-01-01T00:00")
    page.get_by_label("to", exact=True).fill("2021-01-01T00:00")
    expect(page.locator(".calm")).to_contain_text("Nothing of those fires.")
    expect(page).to_have_url(re.compile(r"severity=critical&begun=20(19|20)-[^&]+Z&until=202[01]-[^&]+Z$"))
    page.reload()
    expect(page.get_by_label("Begun from")).to_have_value("2020-01-01T00:00")
    page.get_by_label("to", exact=True).fill("")
    expect(page.locator("article.alert")).to_have_count(1)


def test_targets_are_tested_and_what_was_given_up_is_sent_again(
    tmp_path: Path, redis_url: str, page: Page, complaints: Complaints
) -> None:
    """The answer stands beside the button and stays there; whom a message reached is a part of the alert's life."""
    complaints.expected.append("502 (Bad Gateway)")
    plain = "allow_internal = true\npicture = false\nresolved = false"
    with Receiver(always(Mode.GONE)) as receiver:
        site = Site(tmp_path, redis_url, targets=[webhook(receiver.url, "on-call", plain)])
        site.start()
        try:
            fall_ill(site)
            page.goto(f"{site.url}/alerts")
            row = page.locator(".targets tbody tr")
            expect(row).to_contain_text("on-call (webhook, 127.0.0.1, from warning on)not yet")
            expect(row.locator("td").nth(4)).to_have_text("1")
            dead = page.locator(".list li", has_text="after 1 attempt")
            expect(dead).to_contain_text("answered 410")
            row.get_by_role("button", name="Send a test").click()
            expect(row.get_by_role("status")).to_contain_text("answered 410")
            receiver.plan = always(Mode.OK)
            row.get_by_role("button", name="Send a test").click()
            expect(row.get_by_role("status")).to_have_text("on-call has taken the test.")
            dead.get_by_role("button", name="Retry").click()
            expect(row.locator("td").nth(4)).to_have_text("0")
            expect(row.locator("td").nth(1)).to_have_text(re.compile("now|ago"))
            expect(row.get_by_role("status")).to_have_text("on-call has taken the test.")
            card(page).get_by_role("button", name="What happened").click()
            expect(card(page).locator(".life li.told")).to_contain_text("on-call was told: firing")
            assert SECRET not in page.content()
            page.close()  # which would ask on
        finally:
            site.stop()
            site.close()
