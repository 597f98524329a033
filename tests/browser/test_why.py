"""Why a run is not healthy, seen in two seconds: what is wrong in one list, each cause once, above charts that are in view."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_dashboard.pages.run_followed import followed_limit
from rolloutwatch_dashboard.shell import HERE
from tests.browser.site import HEALTHY, Site
from tests.browser.test_run_page import follow

RUN = "math~grpo"
SICK = HEALTHY | {
    "ratio_eff_sample_size": 0.11,
    "rollout_is_veto_fraction": 0.14,
    "mismatch_ppl_ratio": 2.5,
    "mismatch_k3_kl": 0.7,
    "mismatch_kl": 0.58,
    "rollout_is_std": 1.4,
    "ratio_std": 3.9,
    "ratio_max": 150.0,
    "ratio_min": 5e-5,
}


def box(of: Locator) -> dict[str, float]:
    found = of.bounding_box()
    assert found is not None
    return dict(found)


def test_a_run_with_many_alerts_says_each_cause_once_and_its_first_chart_is_in_view(
    site: Site, page: Page
) -> None:
    """Four rows, the rest behind a button; alerts of one figure are one row; rows stay while figures go on."""
    site.begin(RUN)
    for step in range(3):
        site.step(RUN, step, HEALTHY)
    follow(page, site)
    expect(page.locator("#health")).to_have_text("healthy")
    expect(page.locator("#why")).to_be_hidden()
    for step in range(3, 13):
        site.step(RUN, step, SICK)
    rows = page.locator("#reasons li")
    expect(rows.first).to_contain_text("in 10 of the last 10 steps.")
    expect(rows.first).to_contain_text("Rules")
    assert len(httpx.get(f"{site.url}/api/v1/alerts?run={RUN}").json()["alerts"]) >= 10
    kl = rows.filter(has_text="KL (K3)")
    expect(kl).to_contain_text("critical KL (K3) 0.7 above 0.1 in 10 of the last 10 steps.")
    expect(kl).to_contain_text(
        "since step 3"
    )  # where it went beyond its limit, two steps before a rule fired
    expect(kl).to_contain_text(
        "Rules kl_very_high (critical, since step 5), kl_high (warning, since step 5)."
    )
    expect(rows.filter(has_text="high_variance")).to_contain_text("ESS 0.11 below 0.3")
    expect(rows.filter(visible=True)).to_have_count(4)
    title = page.get_by_role("heading", name="Effective sample size")
    assert box(title)["y"] < 650
    plot = box(page.locator("#chart-ess .nsewdrag").first)
    assert plot["y"] + 0.75 * plot["height"] < 900, "most of the first plot is seen without scrolling"
    bar = box(page.locator(".chart-bar"))
    assert box(title)["y"] - bar["y"] < 90, "ways, tools and heading take two lines"
    # what helps is open where it is worst, and one click away elsewhere
    expect(rows.first.locator(".cure")).to_be_visible()
    expect(kl.locator(".cure")).to_be_hidden()
    kl.get_by_role("button", name="What to do").click()
    expect(kl.locator(".cure")).to_contain_text("that the rollout weights were synced.")
    more = page.get_by_role("button", name=re.compile(r"^\d more$"))
    expect(more).to_have_attribute("aria-expanded", "false")
    more.click()
    expect(rows.filter(visible=True)).to_have_count(rows.count())
    kl.evaluate("(row) => { row.mark = 1; row.querySelector('[data-act]').focus(); }")
    site.step(RUN, 13, SICK | {"mismatch_k3_kl": 0.9})
    expect(kl).to_contain_text("KL (K3) 0.9 above 0.1")
    assert kl.evaluate("(row) => [row.mark, row.contains(document.activeElement)]") == [1, True]
    expect(kl.locator(".cure")).to_be_visible()
    expect(rows.filter(visible=True)).to_have_count(rows.count())
    # who looks after it is said, and that it is looked after
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
    expect(kl).to_have_class("critical seen")
    expect(kl.get_by_role("button", name="Take back")).to_have_count(2)
    expect(rows.last).to_contain_text("KL (K3)")
    kl.get_by_role("link", name="step 3").click()
    expect(page).to_have_url(f"{site.url}/runs/{RUN}/steps/3")
    expect(page.locator("h1")).to_contain_text("3")


SCRIPTS = ("figures.js", "page.js", "judgement.js", "run_causes.js")


@pytest.fixture
def blank(page: Page) -> Page:
    """A page with the pure functions and nothing else."""
    for script in SCRIPTS:
        page.add_script_tag(content=(HERE / "assets" / script).read_text())
    page.evaluate(
        """(rules) => {
            const nothing = { tiles: [], dropped: {}, rivals: [], recent: {}, measured: [], losses: {} };
            window.standing = new rolloutwatch.Standing(
                { ...nothing, rules, first: 0, step: null, state: "live", updated_at: 0, seconds_since_update: 0 });
            window.look = (step, metrics) => {
                standing.stepped(step, metrics, step);
                const broken = standing.broken();
                const causes = rolloutwatch.causesOf(standing, broken);
                return [standing.headline(broken), causes.map((one) => `${one.key} ${one.state}`)];
            };
        }""",
        [followed_limit(limit) for limit in DEFAULT_LIMITS],
    )
    return page


def look(page: Page, step: int, **metrics: float) -> tuple[str, list[str]]:
    said, causes = page.evaluate("([step, metrics]) => look(step, metrics)", [step, metrics])
    return said, causes


def alert(rule: str, step: int, *metrics: str, severity: int = 2, calls: bool = True) -> dict[str, Any]:
    told: dict[str, Any] = {"rule": rule, "severity": severity, "step": step, "metrics": list(metrics)}
    return told | {"calls": calls, "summary": rule, "known": [], "notes": [], "time": 0, "guide": ""}


def test_of_figures_as_bad_the_one_speaks_that_is_so_for_longest_and_goes_on_speaking(blank: Page) -> None:
    """However often each is beyond its limit; also when where it began is forgotten; one that is worse takes its place."""
    said = "The policies are far apart; uncorrected gradients are biased: KL (K3) above 0.1 since step 1."
    assert look(blank, 0, mismatch_k3_kl=0.0, ratio_eff_sample_size=1.0)[0] == (
        "Every figure that is judged is within its limits."
    )
    for step in range(1, 200):
        bad = {"mismatch_k3_kl": 0.7 if step % 4 == 1 else 0.0}
        bad |= {"ratio_eff_sample_size": 0.1 if step > 2 else 1.0}
        assert look(blank, step, **bad)[0] == said, step
    assert look(blank, 200, mismatch_k3_kl=0.0, ratio_eff_sample_size=0.1)[1] == [
        "mismatch_k3_kl critical",
        "ratio_eff_sample_size critical",
    ]
    for step in range(201, 208):
        said, _ = look(blank, step, mismatch_k3_kl=0.0, ratio_eff_sample_size=0.1)
    assert said == "A few tokens carry the whole gradient: ESS below 0.3 since step 3."


def test_where_what_is_wrong_began_before_all_that_is_kept_an_alert_of_its_rule_knows(blank: Page) -> None:
    """That one has ended, as all do with a run; without one it is "or earlier"."""
    columns = {"step": list(range(100, 160)), "value": [0.7] * 60}
    blank.evaluate(
        """({ step, value }) => {
            standing.recent.mismatch_k3_kl = new rolloutwatch.Column(step, value);
            standing.step = 159;
        }""",
        columns,
    )
    say = "() => standing.headline(standing.broken())"
    assert str(blank.evaluate(say)).endswith("KL (K3) above 0.1 since step 100 or earlier.")
    marks = [
        {"step": 3, "fields": {"rule": "kl_very_high", "until_step": 60}},
        {"step": 70, "fields": {"rule": "kl_high"}},
        {"step": 71, "fields": {"rule": "kl_very_high", "until_step": 160}},
    ]
    blank.evaluate("(marks) => { standing.alertMarks = marks; }", marks)
    assert str(blank.evaluate(say)).endswith("KL (K3) above 0.1 since step 71.")


def test_what_is_about_the_same_thing_is_one_cause_and_what_somebody_has_seen_comes_last(blank: Page) -> None:
    """An alert joins the figure that it is about, or of several one that is as bad; it stands alone where there is none."""
    alerts = [
        alert("seen", 1, "mismatch_kl", calls=False),
        alert("spread", 5, "ratio_std", "ratio_eff_sample_size"),
        alert("mild", 2, "ratio_eff_sample_size", severity=1),
        alert("calm", 4, "mismatch_k3_kl", severity=1),
        alert("silent", 9),
    ]
    blank.evaluate("(alerts) => { standing.alerts = alerts; }", alerts)
    _, causes = look(blank, 10, ratio_eff_sample_size=0.1, ratio_std=1.5, mismatch_kl=0.0, mismatch_k3_kl=0.0)
    assert causes == [
        "ratio_eff_sample_size critical",
        "alert silent critical",
        "mismatch_k3_kl warning",
        "ratio_std warning",
        "mismatch_kl critical",
    ]
    of = "() => rolloutwatch.causesOf(standing, standing.broken()).map((one) => one.alerts.map(({ rule }) => rule))"
    assert blank.evaluate(of) == [["spread", "mild"], ["silent"], ["calm"], [], ["seen"]]
    # a figure that has become worse than what somebody has seen is news
    blank.evaluate(
        "(alerts) => { standing.alerts = alerts; }",
        [alert("seen", 1, "mismatch_k3_kl", severity=1, calls=False)],
    )
    quiet = "() => rolloutwatch.causesOf(standing, standing.broken()).find((one) => one.key === 'mismatch_k3_kl').isQuiet"
    look(blank, 11, mismatch_k3_kl=0.02)
    assert blank.evaluate(quiet) is True
    look(blank, 12, mismatch_k3_kl=0.2)
    assert blank.evaluate(quiet) is False
