"""The pages of alerts and of rules, and what other pages say of alerts, from a source in memory."""

import json
from typing import Any

import pytest
from dash import dcc, html

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.conditions import parse
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import (
    GivenUpView,
    Origin,
    Phase,
    RuleState,
    RulesView,
    SilenceView,
    TargetView,
)
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.components import banner
from tests.dashboard.alerting import NOW, RUN, alert, source_with
from tests.dashboard.test_pages import found, text_of


def shown(source: MemorySource, path: str = "/alerts", search: str = "") -> Any:
    return page(path, source, DEFAULT_LIMITS, NOW, search)[0]


def buttons(component: Any) -> list[tuple[str, str]]:
    """What can be done, and to which alert."""
    pressed = [one for one in component._traverse() if isinstance(one, html.Button)]
    return [(getattr(one, "data-act"), getattr(one, "data-alert", "")) for one in pressed]


def named(component: Any, name: str) -> list[Any]:
    return [one for one in component._traverse() if name in str(getattr(one, "className", "")).split()]


def test_an_alert_says_what_where_since_when_why_and_what_to_do() -> None:
    text = text_of(shown(source_with(alert())))
    assert "Firing (1)" in text
    for part in (
        "critical too_many_vetoed math /  a since step 12, 1 min ago",
        "More than one sequence in ten is vetoed. Vetoed sequences 0.14 fires above 0.1",
        "Fires when  Vetoed sequences is above 0.1 .",
        "What to do:  Check the log-probs.",
    ):
        assert part in text
    links = {
        one.href for one in shown(source_with(alert()))._traverse() if isinstance(one, dcc.Link | html.A)
    }
    assert {"/runs/math~a?step=12", "/guides/too_many_vetoed", "/alerts?rule=too_many_vetoed"} <= links


def test_what_calls_comes_first_the_worst_before_others_and_past_ones_last() -> None:
    """Whatever is acknowledged or silenced follows, then what has ended."""
    listed = shown(
        source_with(
            alert("seen", acknowledged_by="alice"),
            alert("silenced", silenced_until=NOW + 60),
            alert("mild", severity=Severity.WARNING),
            alert("over", resolved_step=15, resolved_time=NOW - 50),
            alert("grave"),
        )
    )
    assert [text_of(one) for one in listed._traverse() if isinstance(one, html.H3)] == [
        "grave", "mild", "seen", "silenced",
    ]  # fmt: skip
    past = text_of(named(listed, "past")[0])
    assert "over math /  a 12 to 15 50 s 1 min ago Vetoed sequences 0.14 the figures were good again." in past


def test_who_has_seen_an_alert_is_said_with_the_note_and_can_be_taken_back() -> None:
    """Until when, too; one that was seen is not acknowledged again, and one whose time is over is."""
    seen = alert("seen", acknowledged_by="alice", acknowledged_until=NOW + 600, note="<b>on it</b>")
    for_good = alert("for_good", acknowledged_by="bob")
    over = alert("over", acknowledged_by="carol", acknowledged_until=NOW - 1)
    listed = shown(source_with(seen, for_good, over))
    assert "Acknowledged by alice, for another 10 min.  <b>on it</b> Take back" in text_of(listed)
    assert "Acknowledged by bob, until it ends." in text_of(listed)
    assert "carol" not in text_of(listed)
    assert sorted(one for one in buttons(listed) if one[1]) == [
        ("acknowledge", "id-of-over"),
        ("take-back", "id-of-for_good"),
        ("take-back", "id-of-seen"),
    ]


def test_what_is_unusual_about_an_alert_is_said() -> None:
    """Flapping, late, given up, and why it ended if its condition did not."""
    ended = alert(
        "b", given_up=True, resolved_step=9, resolved_time=NOW, reason="the run went back to step 9"
    )
    text = text_of(shown(source_with(alert("a", flapping=True, late=True), ended)))
    assert "a math /  a flapping found late" in text
    assert "b given up" in text
    assert "the run went back to step 9." in text


def test_alerts_are_chosen_by_run_rule_and_severity() -> None:
    """By the address, so that a choice can be kept; what is chosen stays chosen although nothing fits."""
    source = source_with(alert("x"), alert("y", severity=Severity.WARNING), alert("x", id="2", run="math~b"))

    def chosen(search: str) -> list[str]:
        return [text_of(one) for one in shown(source, search=search)._traverse() if isinstance(one, html.H3)]

    assert chosen("") == ["x", "x", "y"]
    assert chosen("?rule=x&run=math~b") == ["x"]
    assert chosen("?severity=warning") == ["y"]
    assert chosen("?severity=nonsense") == chosen("?severity=ok") == ["x", "x", "y"]
    assert "nonsense" not in text_of(shown(source, search="?severity=nonsense"))
    assert chosen("?rule=none&else=1") == []
    nothing = shown(source, search="?rule=none&run=")
    assert "Nothing of those fires." in text_of(nothing)
    picked = [one for one in nothing._traverse() if getattr(one, "selected", None)]
    assert [one.value for one in picked] == ["none"]


@pytest.mark.parametrize(
    "search", ["?" + "a=1&" * 50, "?run=%00&rule=%ff", "?severity[]=x", "nonsense", "?run=\ud800"]
)
def test_an_address_may_say_anything(search: str) -> None:
    assert "Alerts" in text_of(shown(source_with(alert()), search=search))


def test_where_nothing_fires_it_is_said_how_much_watches() -> None:
    text = text_of(shown(MemorySource()))
    assert f"Nothing fires.  {len(DEFAULT_RULES)} rules watch every new step." in text
    assert "Nobody is: name somebody in a file, and give it to the server as  --notify-file" in text
    assert text.endswith("# the least that it is told of")


def test_silences_and_who_is_told_are_listed() -> None:
    source = source_with()
    source.add_silence(SilenceView(7, "math~*", "kl_high", NOW + 7200, "bob", "<i>known</i>", NOW))
    source.add_silence(SilenceView(8, "*", "*", 1e15, "bob", "", NOW))
    source.set_targets(
        TargetView(name="mail", kind="mailto", severity="critical", last_success=NOW - 60),
        TargetView(
            name="chat",
            kind="slack",
            host="hooks.example",
            severity="warning",
            runs=("math~*",),
            failing_since=NOW - 120,
            waiting=2,
            dead=1,
        ),
    )
    listed = shown(source)
    text = text_of(listed)
    assert "Rule  kl_high  on run  math~* for another 2 h by bob :  <i>known</i> End it" in text
    assert "Rule  *  on run  * until somebody ends it by bob End it" in text
    assert "Target Last told Last failure Waiting Given up Test mail  (mailto, from critical on)" in text
    assert "mail  (mailto, from critical on) 1 min ago none 0 0 Send a test" in text
    assert (
        "chat  (slack, hooks.example, from warning on, runs math~*) not yet has failed for 2 min 2 1" in text
    )


def test_why_a_target_fails_and_what_was_given_up_is_said() -> None:
    """With the reason as the target gave it, and a way to send what nobody got once more."""
    source = source_with()
    source.set_targets(
        TargetView(
            name="chat", kind="slack", severity="warning", failing_since=NOW - 60, error="answered 410."
        ),
        TargetView(name="mail", kind="mailto", severity="warning", last_success=NOW - 60, error=""),
    )
    source.set_given_up(
        GivenUpView(
            id=7, target="chat", run=RUN, rules=("kl_high", "a", "b", "c"), time=NOW - 120, attempts=1, error="<b>410</b>",
        ),
        GivenUpView(id=8, target="old", run="math~gone", rules=("kl_high",), time=None, attempts=9, error="timed out"),
    )  # fmt: skip
    listed = shown(source)
    text = text_of(listed)
    assert "chat  (slack, from warning on) not yet has failed for 1 min answered 410. 0 0 Send a test" in text
    assert "mail  (mailto, from warning on) 1 min ago none 0 0 Send a test" in text
    assert (
        "To  chat :  kl_high, a, b and 1 more  on  math /  a 2 min ago after 1 attempt Retry <b>410</b>"
        in text
    )
    assert "To  old :  kl_high  on  math /  gone after 9 attempts Retry timed out" in text
    retried = [one for one in listed._traverse() if getattr(one, "data-act", "") == "retry-message"]
    assert [getattr(one, "data-message") for one in retried] == ["7", "8"]
    (banner_of_it,) = banner.banners(source, NOW)
    assert (
        text_of(banner_of_it) == "Messages do not reach chat (for 1 min).   Who is told chat: answered 410."
    )


def test_every_past_alert_is_found_page_by_page() -> None:
    """Also where many fire in between, and where most are of another severity."""
    ended = {"resolved_step": 15, "resolved_time": NOW}
    alerts = [
        alert(
            f"r{at}",
            firing_time=NOW - at,
            severity=Severity.WARNING if at % 3 else Severity.CRITICAL,
            **({} if at % 2 else ended),
        )
        for at in range(1000)
    ]
    source = source_with(*alerts)

    def rows(search: str) -> tuple[list[str], dict[str, str]]:
        component = shown(source, search=search)
        (table,) = named(component, "past") or [html.Table()]
        links = {str(one.children): one.href for one in component._traverse() if isinstance(one, dcc.Link)}
        found = [
            one.children for one in table._traverse() if isinstance(one, dcc.Link) and "rule=" in one.href
        ]
        return found, {name: links[name] for name in ("Older", "Newest") if name in links}

    for search, expected in (
        ("", [f"r{at}" for at in range(0, 1000, 2)]),
        ("?severity=critical", [f"r{at}" for at in range(0, 1000, 6)]),
    ):
        seen, at = [], search
        while True:
            found, ways = rows(at)
            assert 0 < len(found) <= 100
            assert ("Newest" in ways) == (at != search)
            seen += found
            if "Older" not in ways:
                break
            at = ways["Older"].removeprefix("/alerts")
        assert seen == expected
    assert text_of(shown(source, search="?before=none")).endswith("There are no older ones here. Newest")


def told_of_run(source: MemorySource) -> list[dict[str, Any]]:
    """What the list of causes on the page of a run is told of its alerts."""
    data = found(shown(source, f"/runs/{RUN}"), "run-alerts").children
    return list(json.loads(getattr(data, "data-firing")))


def test_an_alert_without_figures_says_what_it_waits_for() -> None:
    """One that fell silent has none."""
    (told,) = told_of_run(source_with(alert("stalled", condition="silent(60, 10)", values={}, summary="")))
    assert (told["known"], told["metrics"], told["summary"]) == ([], [], "")
    assert told["condition"] == "no step for 1 min and for 10 times the usual time of one"


def test_only_guides_of_our_own_and_web_pages_are_linked() -> None:
    """A rule may name anything as its guide, and nothing that it names runs."""
    guides = [
        "javascript:alert(1)",
        "docs/guides/../../x.md",
        "https://wiki.example/kl",
        "docs/guides/stalled.md",
        "",
    ]
    source = source_with(*(alert(str(at), guide=guide) for at, guide in enumerate(guides)))
    links = [one.href for one in named(shown(source), "guide")]
    assert sorted(links) == ["/guides/stalled", "https://wiki.example/kl"]


def test_the_head_counts_what_calls_in_the_colour_of_the_worst() -> None:
    """Acknowledged and silenced ones are counted only if there are no others, without colour."""

    def counted(source: MemorySource) -> tuple[str, str, str] | None:
        one = banner.count(source.alerts(), NOW)
        return None if one is None else (one.children, one.className, one.title)

    seen = alert("seen", acknowledged_by="alice")
    mild = alert("mild", severity=Severity.WARNING)
    assert counted(source_with()) is None
    assert counted(source_with(seen)) == (
        "1",
        "count unknown",
        "1 alert fires, 1 of them acknowledged or silenced",
    )
    assert counted(source_with(seen, mild)) == (
        "1", "count warning", "2 alerts fire, 1 of them acknowledged or silenced",
    )  # fmt: skip
    assert counted(source_with(alert(), mild)) == ("2", "count critical", "2 alerts fire")


def test_a_browser_is_told_how_bad_it_is_of_whom_and_what_is_new() -> None:
    """The worst that nobody has seen, and how many are as bad; of each run its worst; the newest first."""

    def told(*alerts: AlertView) -> dict[str, Any]:
        return json.loads(banner.told(source_with(*alerts).alerts(), NOW))  # type: ignore[no-any-return]

    seen = alert("seen", run="math~c", acknowledged_by="alice", firing_time=NOW - 30)
    mild = alert("mild", severity=Severity.WARNING, firing_time=NOW - 20)
    bad = alert("bad", summary="S" * 300, firing_time=NOW - 10)
    assert told() == {"at": NOW, "worst": None, "count": 0, "runs": {}, "newest": []}
    assert told(seen)["worst"] is None
    found = told(seen, mild, bad)
    assert (found["worst"], found["count"], found["runs"]) == ("critical", 1, {bad.run: "critical"})
    assert [(one["rule"], one["calls"]) for one in found["newest"]] == [
        ("bad", True), ("mild", True), ("seen", False),
    ]  # fmt: skip
    assert found["newest"][0]["summary"] == "S" * 199 + "…"
    assert len(told(*(alert(str(at)) for at in range(30)))["newest"]) == banner.MOST_TOLD


def test_banners_say_why_alerts_cannot_be_trusted() -> None:
    source = source_with()
    assert banner.banners(source, NOW) == []
    source.set_rules(
        RulesView(
            origin=Origin.FILE, version=1, document="", rules=(), file="/etc/r.toml", problem="line 3: no."
        )
    )
    source.break_alerts(RUN, "a state cannot be read")
    source.set_targets(
        TargetView(name="chat", kind="slack", severity="warning", failing_since=NOW - 60, waiting=1)
    )
    assert [text_of(one) for one in banner.banners(source, NOW)] == [
        "The rules file is refused, and the rules that were in force before stay so. line 3: no.   Rules",
        "Alerts of math~a are not judged, by a fault of this server: a state cannot be read",
        "Messages do not reach chat (for 1 min). 1 message waits.   Who is told",
    ]


def test_the_page_of_a_run_is_told_of_its_alerts_what_a_row_of_its_causes_says() -> None:
    """What it means, which figure with its limit, since when, and what helps; those of other runs are not its business."""
    source = source_with(alert(), alert("other", run="math~b"))
    assert told_of_run(source) == [
        {
            "id": "id-of-too_many_vetoed",
            "run": RUN,
            "rule": "too_many_vetoed",
            "severity": 2,
            "summary": "More than one sequence in ten is vetoed.",
            "condition": "Vetoed sequences is above 0.1",
            "step": 12,
            "time": NOW - 100,
            "known": [{"title": "Vetoed sequences", "value": "0.14", "limit": "above 0.1"}],
            "metrics": ["rollout_is_veto_fraction"],
            "is_loss": False,
            "cure": "Check the log-probs.",
            "guide": "/guides/too_many_vetoed",
            "notes": [],
            "calls": True,
            "acknowledged": "",
            "note": "",
            "silenced": "",
        }
    ]
    shown_run = shown(source, f"/runs/{RUN}")
    parts = [getattr(one, "id", getattr(one, "className", "")) for one in shown_run.children]
    assert parts.index("tiles") + 1 == parts.index("why") < parts.index("chart-bar")


def test_of_many_alerts_of_a_run_those_that_call_come_first_then_the_worst() -> None:
    """Of several as bad the one that began first; what somebody has seen comes last, with who it was."""
    both = alert("both", condition="ratio_std > 1 and mismatch_k3_kl > 1", firing_step=5)
    warning = alert("warning", severity=Severity.WARNING, firing_step=1)
    seen = alert("seen", firing_step=1, acknowledged_by="olga", note="mine")
    silenced = alert("silenced", severity=Severity.WARNING, silenced_until=NOW + 7200)
    told = told_of_run(
        source_with(silenced, seen, warning, both, alert("later"), alert("one", firing_step=5))
    )
    assert [one["rule"] for one in told] == ["one", "both", "later", "warning", "seen", "silenced"]
    said = [(one["calls"], one["acknowledged"], one["note"], one["silenced"]) for one in told[-3:]]
    assert said == [
        (True, "", "", ""),
        (False, "Acknowledged by olga, until it ends.", "mine", ""),
        (False, "", "", "Silenced for another 2 h: nobody is told."),
    ]


def test_where_alerts_began_stands_on_the_charts_of_their_figures() -> None:
    """And goes to the browser; one that the run has gone back behind does not, one that watches no figure is everywhere."""
    source = source_with(
        alert(resolved_step=15, resolved_time=NOW),
        alert("gone", given_up=True, firing_step=3),
        alert("stalled", condition="silent(60, 10)", values={}, firing_step=17, severity=Severity.WARNING),
    )
    shown_run = shown(source, f"/runs/{RUN}")

    def lines(chart: str) -> dict[str, str]:
        shapes = found(shown_run, chart).figure["layout"]["shapes"]
        return {one["name"]: one["path"] for one in shapes if one["type"] == "path"}

    assert lines("chart-veto") == {"mark: alert_critical": "M12,0L12,1", "mark: alert_warning": "M17,0L17,1"}
    assert lines("chart-k3") == {"mark: alert_warning": "M17,0L17,1"}
    labels = found(shown_run, "chart-veto").figure["data"][-1]["text"]
    assert [label.strip("\u00a0") for label in labels] == ["too many vetoed", "stalled"]
    told = json.loads(getattr(found(shown_run, "run-alerts").children, "data-marks"))
    assert told[0] == {
        "step": 12, "time": NOW - 100, "kind": "alert_critical", "found": True,
        "fields": {"rule": "too_many_vetoed", "until_step": 15}, "metrics": ["rollout_is_veto_fraction"],
    }  # fmt: skip
    assert [one["fields"]["rule"] for one in told] == ["too_many_vetoed", "stalled"]


def test_rules_that_can_never_fire_are_listed_with_the_configuration() -> None:
    source = source_with()
    states = [
        RuleState(rule="weights_spread", phase=Phase.OK, why_never="weights are at most 2"),
        RuleState(rule="kl_high", phase=Phase.OK),
    ]
    assert "never fire" not in text_of(shown(source, f"/runs/{RUN}"))
    source.set_rule_states(RUN, states)
    everything = shown(source, f"/runs/{RUN}")._traverse()
    facts = next(one for one in everything if getattr(one, "className", "") == "facts")
    assert text_of(facts).endswith(
        "Rules that can never fire under this configuration weights_spread weights are at most 2"
    )


def test_the_table_of_runs_names_the_worst_alert_of_each() -> None:
    """Beside its health, with how many others there are."""
    source = source_with(alert("mild", severity=Severity.WARNING), alert("grave"), alert("third"))
    source.add_run("math~calm", updated_at=NOW - 20)
    rows = page("/", source, DEFAULT_LIMITS, NOW)[1]["rows"]
    assert {row["id"]: row["fires"] for row in rows} == {
        "math~a": {
            "symbol": "◆",
            "rule": "grave",
            "others": " and 2 more",
            "href": "/alerts?run=math~a",
            "kind": "critical",
            "title": "More than one sequence in ten is vetoed.",
        },
        "math~calm": None,
    }


def test_tiles_and_charts_show_the_limits_of_the_rules_in_force() -> None:
    """Of those that watch this run; one that was switched off, or is of others, sets none."""

    def rule(name: str, when: str, **changes: Any) -> Rule:
        return Rule(name=name, severity=Severity.WARNING, when=parse(when), **changes)

    source = source_with()
    rules = (
        rule("mine", "mismatch_k3_kl > 0.5"),
        rule("others", "mismatch_k3_kl > 0.6", runs=("code~*",)),
        rule("off", "mismatch_k3_kl > 0.7", enabled=False),
    )
    source.set_rules(RulesView(origin=Origin.API, version=2, document="", rules=rules))
    _, followed = page(f"/runs/{RUN}", source, None, NOW)
    assert next(one for one in followed["charts"] if one["id"] == "chart-k3")["limits"] == [0.5]


def test_the_page_of_rules_lists_them_with_how_they_stand() -> None:
    source = source_with(alert(), alert(id="2", run="math~b"))
    listed = shown(source, "/rules")
    text = text_of(listed)
    assert "These are the default rules." in text
    assert (
        "critical too_many_vetoed Guide Edit More than one sequence in ten is vetoed. fires on 2 runs" in text
    )
    assert "Vetoed sequences is above 0.1 (at 3 steps in a row) when Vetoed sequences is below 0.08" in text
    assert found(listed, "rules-document").value == DEFAULT_DOCUMENT
    edits = ["edit-rule"] * len(DEFAULT_RULES)
    ways = ["check-rules", "save-rules", "preview-rules", "try-rules"]
    assert [act for act, _ in buttons(listed)] == [*edits, *ways]


def test_rules_that_somebody_saved_say_who_and_can_be_taken_back() -> None:
    source = MemorySource()
    rule = Rule(
        name="off", severity=Severity.WARNING, when=parse("reward > 1"), runs=("math~*", "a~b"), enabled=False
    )
    view = RulesView(
        origin=Origin.API, version=3, document="[x]", rules=(rule,), author="<b>alice</b>", time=NOW - 60
    )
    source.set_rules(view)
    listed = shown(source, "/rules")
    assert "Saved by <b>alice</b>, 1 min ago." in text_of(listed)
    assert "warning off Edit off reward is above 1 after a step without it math~*, a~b" in text_of(listed)
    assert [act for act, _ in buttons(listed)] == ["edit-rule", "check-rules", "save-rules", "default-rules"]
    assert getattr(found(listed, "rules-editor"), "data-version") == "3"


@pytest.mark.parametrize("origin", list(Origin))
def test_rules_of_a_file_are_read_and_tried_and_not_saved(origin: Origin) -> None:
    """Also if what the file says was refused, so that those in force are still others."""
    source = source_with()
    source.set_rules(RulesView(origin=origin, version=1, document="", rules=(), file="/etc/rules.toml"))
    listed = shown(source, "/rules")
    assert "They are those of the file  /etc/rules.toml , and change when it changes." in text_of(listed)
    assert found(listed, "rules-document").readOnly is True
    assert [act for act, _ in buttons(listed)] == ["check-rules", "preview-rules", "try-rules"]
    assert "There is no rule: nobody is called." in text_of(listed)
