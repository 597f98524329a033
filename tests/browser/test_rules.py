"""The editor of rules in a browser: refused at its place, saved, tried, taken back."""

import math
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import Site
from tests.browser.test_alerts import RUN, fall_ill

DOCUMENT = '[[rule]]\nname = "mine"\nseverity = "warning"\nwhen = "rollout_is_veto_fraction > 0.1"\n'
WRONG = DOCUMENT.replace("veto_fraction", "veto_fration")


def test_a_mistake_is_shown_at_its_place_and_then_rules_are_saved(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """Line, column, what was meant; nothing is in force before all of it is right, and what was typed stays."""
    complaints.expected.append("422 (Unprocessable")
    page.goto(f"{site.url}/rules")
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_contain_text("too_many_vetoed")
    expect(page.locator("#rules-lines")).to_contain_text("100")
    before = httpx.get(f"{site.url}/api/v1/rules").json()
    editor.fill(WRONG)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules-answer .wrong strong")).to_have_text("Line 4, column 9. ")
    expect(page.locator("#rules-answer .wrong")).to_contain_text("rollout_is_veto_fraction")
    expect(page.locator("#rules-answer pre")).to_have_text(
        f'when = "rollout_is_veto_fration > 0.1"\n{" " * 8}^', use_inner_text=True
    )
    assert editor.evaluate(
        "(one) => one.value.slice(one.selectionStart).startsWith('rollout_is_veto_fration')"
    )
    assert httpx.get(f"{site.url}/api/v1/rules").json() == before
    editor.fill(DOCUMENT)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#rules-answer .right")).to_have_text("This can be saved: 1 rule.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_have_text("Saved. 1 rule in force from the next step on.")
    expect(page.locator(".rules tbody tr")).to_have_count(1)
    expect(page.locator(".page-head")).to_contain_text("Saved by")
    assert [one["name"] for one in httpx.get(f"{site.url}/api/v1/rules").json()["rules"]] == ["mine"]


def test_the_default_rules_come_back_after_a_question(site: Site, page: Page) -> None:
    site.rules.save(DOCUMENT, "bob")
    page.goto(f"{site.url}/rules")
    expect(page.locator(".page-head")).to_contain_text("Saved by bob")
    page.get_by_role("button", name="Back to the default rules").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".rules tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Back to the default rules").click()
    page.get_by_role("dialog").get_by_role("button", name="Back to the default rules").click()
    expect(page.locator(".page-head")).to_contain_text("These are the default rules.")
    expect(page.get_by_label("Rules, in TOML")).to_contain_text("too_many_vetoed")
    expect(page.get_by_role("button", name="Back to the default rules")).to_have_count(0)


@pytest.mark.parametrize("choice", ["Save mine instead", "Show theirs"])
def test_who_saves_rules_meanwhile_is_not_overwritten_unasked(
    choice: str, site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected.append("412 (Precondition")
    page.goto(f"{site.url}/rules")
    with page.expect_response("**/api/v1/rules"):
        expect(page.get_by_label("Rules, in TOML")).to_contain_text("too_many_vetoed")
    page.get_by_label("Rules, in TOML").fill(DOCUMENT)
    site.rules.save(DOCUMENT.replace("mine", "theirs"), "bob")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules-answer")).to_contain_text("Others were saved by bob meanwhile")
    expect(page.get_by_label("Rules, in TOML")).to_have_value(DOCUMENT)
    page.get_by_role("button", name=choice).click()
    name = "mine" if choice == "Save mine instead" else "theirs"
    expect(page.locator(".rules tbody tr")).to_have_count(1)
    expect(page.locator(".rules tbody tr strong", has_text=name)).to_be_visible()
    expect(page.get_by_label("Rules, in TOML")).to_have_value(DOCUMENT.replace("mine", name))


def test_rules_are_tried_on_a_run(site: Site, page: Page) -> None:
    """What they would have done there; nothing is saved."""
    fall_ill(site)
    page.goto(f"{site.url}/rules")
    page.get_by_label("Rules, in TOML").fill(DOCUMENT)
    page.get_by_role("button", name="Try").click()
    row = page.locator("#rules-answer tbody tr")
    expect(row).to_have_count(1)
    expect(row.locator("td")).to_have_text(["0", "mine", "firing", "rollout_is_veto_fraction 0.14"])
    page.get_by_label("Rules, in TOML").fill(DOCUMENT.replace("0.1", "0.9"))
    page.get_by_role("button", name="Try").click()
    expect(page.locator("#rules-answer")).to_contain_text(f"On {RUN} nothing would have fired.")
    assert httpx.get(f"{site.url}/api/v1/rules").json()["origin"] == "default"


def unsaved(page: Page) -> None:
    """Wait until what is written is kept; the server has said by then what it is held against."""
    page.wait_for_function("() => sessionStorage.getItem('rolloutwatch-rules-draft') !== null")


def test_what_is_written_and_not_saved_comes_back(site: Site, page: Page) -> None:
    """After a look at another page and after a reload, before which one is asked; until it is let go of."""
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(f"{site.url}/rules")
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_contain_text("too_many_vetoed")
    editor.press_sequentially("# mine")
    unsaved(page)
    page.get_by_role("link", name="Alerts", exact=True).click()
    expect(page.locator(".calm")).to_be_visible()
    page.get_by_role("link", name="Rules", exact=True).click()
    expect(page.locator("#rules-answer")).to_contain_text("This is what you wrote before. It is not saved.")
    expect(editor).to_have_value(re.compile("# mine"))
    assert asked == []
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.locator("#rules-answer")).to_contain_text("This is what you wrote before. It is not saved.")
    expect(editor).to_have_value(re.compile("# mine"))
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(page.get_by_role("button", name="Discard", exact=True)).to_have_count(0)
    expect(editor).not_to_have_value(re.compile("# mine"))
    page.reload()
    expect(editor).to_contain_text("too_many_vetoed")
    page.wait_for_function("() => document.getElementById('rules-lines').dataset.count > 100")
    expect(editor).not_to_have_value(re.compile("# mine"))
    assert asked == ["beforeunload"]


def test_what_was_written_before_others_saved_does_not_overwrite_theirs(
    site: Site, page: Page, complaints: Complaints
) -> None:
    """It comes back, and to save it asks the same as if the page had stayed open; once it is saved it is no draft."""
    complaints.expected.append("412 (Precondition")
    page.goto(f"{site.url}/rules")
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_contain_text("too_many_vetoed")
    editor.fill(DOCUMENT)
    unsaved(page)
    site.rules.save(DOCUMENT.replace("mine", "theirs"), "bob")
    page.reload()
    expect(page.locator("#rules-answer")).to_contain_text("not saved, and others were saved meanwhile.")
    expect(editor).to_have_value(DOCUMENT)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules-answer")).to_contain_text("Others were saved by bob meanwhile")
    page.get_by_role("button", name="Save mine instead").click()
    expect(page.locator(".rules tbody tr strong", has_text="mine")).to_be_visible()
    page.reload()
    expect(editor).to_have_value(DOCUMENT)
    page.wait_for_function("() => document.getElementById('rules-lines').dataset.count === '5'")
    assert page.evaluate("sessionStorage.getItem('rolloutwatch-rules-draft')") is None
    expect(page.get_by_role("button", name="Discard", exact=True)).to_have_count(0)


@pytest.mark.parametrize("act", ["Check", "Save", "Try"])
def test_the_answer_to_what_is_written_is_seen(
    act: str, site: Site, page: Page, complaints: Complaints
) -> None:
    """With the place of a mistake, which is told once."""
    complaints.expected.append("422 (Unprocessable")
    fall_ill(site)
    page.goto(f"{site.url}/rules")
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_contain_text("too_many_vetoed")
    editor.fill(WRONG)
    page.get_by_role("button", name=act, exact=True).click()
    answer = page.locator("#rules-answer .wrong")
    expect(answer).to_be_in_viewport(ratio=0.99)
    expect(answer.locator("p").first).to_have_text(re.compile(r'^Line 4, column 9\. rule "mine": '))
    editor.fill(DOCUMENT)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#rules-answer .right")).to_be_in_viewport(ratio=0.99)


def test_an_infinite_figure_is_shown_as_one_where_rules_are_tried(site: Site, page: Page) -> None:
    site.begin(RUN)
    site.step(RUN, 0, {"ratio_max": math.inf})
    page.goto(f"{site.url}/rules")
    page.get_by_label("Rules, in TOML").fill(
        DOCUMENT.replace("rollout_is_veto_fraction > 0.1", "ratio_max > 3")
    )
    page.get_by_role("button", name="Try").click()
    expect(page.locator("#rules-answer tbody td").last).to_have_text("ratio_max ∞")
