"""Rules changed in a browser: one by a form, and what the change would have done on a recorded run before it is saved."""

import re

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import HEALTHY, Site
from tests.browser.test_alerts import RUN

DOCUMENT = """# ours, agreed on Monday
[[rule]]
name = "vetoed"  # of all sequences
severity = "warning"
when = "rollout_is_veto_fraction > 0.1 and not 0.95 < mismatch_ppl_ratio < 1" # often too late
summary = '''
[[rule]]
name = "kl"
'''

[[rule]]
name = "kl"
severity = "critical"
metric = "mismatch_k3_kl"
above = 0.5   # far apart
"""
FIELD = "Fires when Vetoed sequences is above"


def test_one_rule_is_changed_by_a_form_previewed_and_saved_where_it_is_previewed(
    site: Site, page: Page
) -> None:
    """Comments and all else stay as they were; what is new, moved and gone is told by numbers and by a strip."""
    site.rules.save(DOCUMENT, "bob")
    site.begin("math~empty")
    site.begin(RUN)
    for step, vetoed in enumerate((0, 0.12, 0.3, 0.3, 0, 0, 0.12, 0, 0, 0)):
        site.step(RUN, step, HEALTHY | {"rollout_is_veto_fraction": vetoed})
    page.goto(f"{site.url}/rules")
    page.get_by_role("button", name="Edit vetoed").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label(FIELD)).to_have_value("0.1")
    expect(dialog.get_by_label("Fires when Perplexity ratio is above")).to_have_value("0.95")
    dialog.get_by_label(FIELD).fill("a lot")
    dialog.get_by_role("button", name="Write it").click()
    expect(dialog.get_by_role("alert")).to_contain_text(f"{FIELD}: expected a number such as 0.05")
    dialog.get_by_label(FIELD).fill("0.2")
    dialog.get_by_label("Severity").select_option("critical")
    dialog.get_by_role("button", name="Write it").click()
    expect(dialog).to_have_count(0)
    changed = DOCUMENT.replace("> 0.1 and", "> 0.2 and").replace('"warning"', '"critical"')
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_have_value(changed)
    page.locator("#rules-run").select_option("math~empty")
    page.get_by_role("button", name="Preview on the run").click()
    expect(page.locator("#rules-answer")).to_have_text("math~empty has no step to try rules on.")
    page.locator("#rules-run").select_option(RUN)
    page.get_by_role("button", name="Preview", exact=True).click()
    row = page.locator("#rules-answer .preview tbody tr")
    expect(row).to_have_count(1)
    told = ["critical vetoed", "changed: 1 gone, 1 moved", "2 → 1", "1 → 2", "40 % → 20 %"]
    expect(row.locator("td:nth-child(-n + 5)")).to_have_text(told)
    expect(row.get_by_role("img")).to_have_attribute(
        "aria-label", "In force it fires at steps 1 to 3, 6 to 6; edited at steps 2 to 3."
    )
    expect(page.locator("#rules-answer")).to_contain_text("One other rule is the same and does the same.")
    assert httpx.get(f"{site.url}/api/v1/rules").json()["document"] == DOCUMENT
    page.get_by_role("button", name="Save these rules").click()
    expect(page.get_by_role("alert")).to_have_text("Saved. 2 rules in force from the next step on.")
    assert httpx.get(f"{site.url}/api/v1/rules").json()["document"] == changed


def test_the_text_of_one_rule_is_changed_and_nothing_beside_it(site: Site, page: Page) -> None:
    """Whatever looks like a rule within a text is none; a key that was not there is written beneath the name."""
    page.goto(f"{site.url}/rules")
    expect(page.get_by_label("Rules, in TOML")).to_contain_text("too_many_vetoed")
    text = "rolloutwatch.rulesText"
    read = page.evaluate(f"(one) => ['vetoed', 'kl', 'none'].map((name) => {text}.read(one, name))", DOCUMENT)
    assert [one and (one["when"], one["short"], one["for_steps"], one["enabled"]) for one in read] == [
        (["0.1", "0.95", "1"], {}, "1", "true"),
        ([], {"above": "0.5"}, "1", "true"),
        None,
    ]
    turned = page.evaluate(f"(one) => {text}.withValue(one, 'kl', 'enabled', 'false')", DOCUMENT)
    kept = DOCUMENT.rpartition('name = "kl"\n')
    assert turned == f"{kept[0]}{kept[1]}enabled = false\n{kept[2]}"
    above = page.evaluate(f"(one) => {text}.withValue(one, 'kl', 'above', '0.7')", DOCUMENT)
    assert above == DOCUMENT.replace("above = 0.5   #", "above = 0.7   #")
    for before, after, expected in (
        ([[1, 4]], [[1, 4]], {"fresh": 0, "moved": 0, "gone": 0}),
        ([[1, 4], [8, 9]], [[2, 4]], {"fresh": 0, "moved": 1, "gone": 1}),
        ([[3, 3]], [[3, 5], [7, 9]], {"fresh": 1, "moved": 1, "gone": 0}),
    ):
        found = page.evaluate("(two) => rolloutwatch.rulesPreview.difference(...two)", [before, after])
        assert found == expected
    conditions = {
        "mean(kl, 50) > 2 * mean(kl, 1000)": [],
        "share(abs(kl) > 0.01, 20) >= 0.5": ["0.01", "0.5"],
        "kl > -1e-4 or (0.5<a and b <= .3)": ["-1e-4", "0.5", ".3"],
    }
    for when, limits in conditions.items():
        one = f'[[rule]]\nname = "x"\nwhen = "{when}"\n'
        assert page.evaluate(f"(one) => {text}.read(one, 'x').when", one) == limits


def test_a_mistake_is_marked_at_its_line_until_the_text_is_another(
    site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected.append("422 (Unprocessable")
    page.goto(f"{site.url}/rules")
    editor = page.get_by_label("Rules, in TOML")
    expect(editor).to_contain_text("too_many_vetoed")
    editor.fill(DOCUMENT.replace("veto_fraction", "veto_fration"))
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#rules-lines mark")).to_have_text("5")
    expect(page.locator("#rules-lines")).to_have_text(re.compile(r"^1\s2\s3\s4\s5\s6\s7"))
    editor.fill(DOCUMENT)
    expect(page.locator("#rules-lines mark")).to_have_count(0)
