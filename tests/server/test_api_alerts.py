"""Alerts over HTTP: what fires, what happened, who looks after it, of what nobody is told."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_contract import Outcome, RunEnd, run_id
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_server.notify.events import Content, encode
from rolloutwatch_server.security.roles import Role
from rolloutwatch_server.store import NewDelivery
from tests.server.alerting import BEGIN, Judged
from tests.server.asking import Asking
from tests.server.guarded import HOST, Guarded, by
from tests.server.records import RUN

OTHER = run_id("code", "b")
CONFIG: dict[str, Any] = CorrectionConfig().as_dict()


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    one = Judged(tmp_path)
    yield one
    one.close()


@pytest.fixture
def api(judged: Judged) -> Asking:
    """Two runs: one has an alert that is over and one that fires, the other one that fires."""
    judged.start(ratio_std="1")
    judged.start(OTHER)
    for number, kl in enumerate((0.1, 0.7, 0.8, 0.2)):
        judged.now += 1
        judged.step(number, mismatch_k3_kl=kl, ratio_std=math.inf if number == 3 else 0.5)
    judged.step(0, OTHER, ratio_std=3.0)
    return Asking.of(judged.store, rulebook=judged.book)


def post(api: Asking, path: str, content: str = "{}") -> Any:
    answer = api.ask(f"/api/v1{path}", "POST", content=content)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def rules_of(told: Any) -> list[tuple[str, str]]:
    return [(one["run"], one["rule"]) for one in told["alerts"]]


def test_alerts_that_fire_are_listed_the_newest_first(api: Asking) -> None:
    """All there ever were too, of a run or of a rule, and page by page."""
    assert rules_of(api.get("/alerts")) == [(OTHER, "spread"), (RUN, "spread")]
    whole = [(OTHER, "spread"), (RUN, "spread"), (RUN, "kl")]
    assert rules_of(api.get("/alerts", state="all")) == whole
    assert rules_of(api.get("/alerts", run=RUN)) == [(RUN, "spread")]
    assert rules_of(api.get("/alerts", rule="kl", state="all")) == [(RUN, "kl")]
    assert rules_of(api.get("/alerts", rule="kl")) == []
    pages, before = [], {}
    while page := api.get("/alerts", state="all", limit=1, **before)["alerts"]:
        pages += page
        before = {"before": page[-1]["id"]}
    assert rules_of({"alerts": pages}) == whole


def test_alerts_are_chosen_by_severity_time_and_whether_they_are_past(api: Asking) -> None:
    """Times are those at which they began: from the one on, and before the other."""
    assert rules_of(api.get("/alerts", state="past")) == [(RUN, "kl")]
    assert rules_of(api.get("/alerts", state="all", severity="critical")) == [(RUN, "kl")]
    whole = api.get("/alerts", state="all")["alerts"]
    last, former = whole[0]["firing_time"], whole[1]["firing_time"]
    assert rules_of(api.get("/alerts", state="all", **{"from": last})) == [
        (one["run"], one["rule"]) for one in whole if one["firing_time"] >= last
    ]
    assert rules_of(api.get("/alerts", state="all", to=former)) == [
        (one["run"], one["rule"]) for one in whole if one["firing_time"] < former
    ]
    assert api.ask("/api/v1/alerts?from=NaN").status_code == 422


def test_the_messages_that_tell_of_an_alert_are_told_with_what_became_of_them(
    api: Asking, judged: Judged
) -> None:
    """To whom, of what, when, and why not; those of other alerts of the run are not among them."""
    events = {event.rule: event for event in judged.store.outbox_events() if event.run == RUN}
    kl, spread = encode(Content((events["kl"],))), encode(Content((events["spread"],)))
    new = [("a", "mail", kl), ("b", "chat", kl), ("c", "mail", spread)]
    judged.store.make_deliveries([NewDelivery(key, to, RUN, of, judged.now) for key, to, of in new], [])
    made = {one.key: one.id for one in judged.store.deliveries()}
    judged.store.delivery_done(made["a"])
    judged.store.delivery_dead(made["b"], "answered 410.")
    told = api.get(f"/alerts/{judged.alert('kl')}")["messages"]
    assert [(one["target"], one["became"], one["error"]) for one in told] == [
        ("mail", "told", ""),
        ("chat", "given up", "answered 410."),
    ]
    assert {(one["changes"], one["time"]) for one in told} == {(events["kl"].change.value, judged.now)}
    (waiting,) = api.get(f"/alerts/{judged.alert('spread')}")["messages"]
    assert (waiting["target"], waiting["became"]) == ("mail", "waiting")


def test_alerts_of_a_run_are_all_there_ever_were(api: Asking) -> None:
    assert rules_of(api.get(f"/runs/{RUN}/alerts")) == [(RUN, "spread"), (RUN, "kl")]
    assert rules_of(api.get(f"/runs/{RUN}/alerts", state="firing")) == [(RUN, "spread")]
    assert api.ask("/api/v1/runs/math~none/alerts").status_code == 404


def test_one_alert_is_told_with_all_that_happened_to_it(api: Asking, judged: Judged) -> None:
    told = api.get(f"/alerts/{judged.alert('kl')}")
    transitions = told.pop("transitions")
    assert told.pop("actions") == told.pop("messages") == []
    assert told == {
        "id": judged.alert("kl"),
        "run": RUN,
        "rule": "kl",
        "epoch": 1,
        "severity": "critical",
        "condition": "mismatch_k3_kl > 0.5",
        "firing_step": 1,
        "firing_time": BEGIN + 2,
        "values": {"mismatch_k3_kl": 0.7},
        "resolved_step": 3,
        "resolved_time": BEGIN + 4,
        "reason": "",
        "summary": "The policies are far apart.",
        "cure": "Sync the weights.",
        "guide": "/guides/kl_very_high",
        "acknowledged_by": "",
        "acknowledged_until": None,
        "note": "",
        "silenced_until": None,
        "flapping": False,
        "late": False,
        "given_up": False,
    }
    assert [(one["change"], one["step"], one["values"]) for one in transitions] == [
        ("firing", 1, {"mismatch_k3_kl": 0.7}),
        ("resolved", 3, {"mismatch_k3_kl": 0.2}),
    ]
    assert transitions[0]["id"] == told["id"]
    assert api.get(f"/alerts/{judged.alert('spread')}")["values"] == {"ratio_std": "Infinity"}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", "/acknowledge"), ("DELETE", "/acknowledge")]
)
def test_an_alert_that_is_not_there_is_named(method: str, path: str, api: Asking) -> None:
    answer = api.ask(f"/api/v1/alerts/none{path}", method)
    assert answer.status_code == 404
    assert "'none'" in answer.json()["detail"]
    silenced = api.ask("/api/v1/alerts/none/silence", "POST", content='{"minutes": 1}')
    assert silenced.status_code == 404


def test_somebody_looks_after_an_alert_and_does_not_any_more(api: Asking, judged: Judged) -> None:
    alert = judged.alert("spread")
    told = post(api, f"/alerts/{alert}/acknowledge", '{"minutes": 30, "note": "looking"}')
    assert (told["acknowledged_by"], told["note"]) == ("anybody", "looking")
    assert told["acknowledged_until"] == judged.now + 1800
    assert api.get("/alerts", run=RUN)["alerts"] == [told]
    told = post(api, f"/alerts/{alert}/acknowledge", "")
    assert (told["acknowledged_by"], told["acknowledged_until"], told["note"]) == ("anybody", None, "")
    told = api.ask(f"/api/v1/alerts/{alert}/acknowledge", "DELETE").json()
    assert told["acknowledged_by"] == ""
    assert rules_of(api.get("/alerts", run=RUN)) == [(RUN, "spread")]


def test_an_alert_is_silenced_with_all_of_its_rule_on_its_run(api: Asking, judged: Judged) -> None:
    told = post(api, f"/alerts/{judged.alert('spread')}/silence", '{"minutes": 60, "reason": "known"}')
    assert told["silenced_until"] == judged.now + 3600
    (silence,) = api.get("/silences")["silences"]
    assert silence.pop("id") > 0
    assert silence == {
        "run": RUN,
        "rule": "spread",
        "until": judged.now + 3600,
        "author": "anybody",
        "reason": "known",
        "created_at": judged.now,
        "ended_at": None,
        "ended_by": "",
    }
    assert [one["silenced_until"] for one in api.get("/alerts", run=OTHER)["alerts"]] == [None]


def test_patterns_are_silenced_and_heard_again(api: Asking, judged: Judged) -> None:
    made = post(api, "/silences", '{"run": "code~*", "rule": "sp*", "minutes": 10, "reason": "maintenance"}')
    assert api.get("/silences") == {"silences": [made]}
    assert [one["silenced_until"] for one in api.get("/alerts")["alerts"]] == [judged.now + 600, None]
    answer = api.ask(f"/api/v1/silences/{made['id']}", "DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.get("/silences") == {"silences": []}
    assert [one["silenced_until"] for one in api.get("/alerts")["alerts"]] == [None, None]
    again = api.ask(f"/api/v1/silences/{made['id']}", "DELETE")
    assert again.status_code == 404
    ended = {**made, "ended_at": judged.now, "ended_by": "anybody"}
    other = post(api, "/silences", '{"rule": "s*", "minutes": 10}')
    assert api.get("/silences", state="all") == {"silences": [other, ended]}
    assert api.get("/silences", state="all", before=other["id"]) == {"silences": [ended]}
    assert api.get("/silences", before=other["id"]) == {"silences": []}
    assert api.get("/silences", limit=1, state="all") == {"silences": [other]}


def test_who_did_what_about_an_alert_is_told(api: Asking, judged: Judged) -> None:
    """Each word stays, also when another one has taken its place, and of silences those that were of it."""
    alert = judged.alert("spread")
    post(api, f"/alerts/{alert}/acknowledge", '{"minutes": 30, "note": "looking"}')
    post(api, f"/alerts/{alert}/acknowledge", '{"note": "mine for good"}')
    api.ask(f"/api/v1/alerts/{alert}/acknowledge", "DELETE")
    post(api, "/silences", '{"run": "code~*", "minutes": 10}')
    made = post(api, "/silences", '{"rule": "sp*", "minutes": 10, "reason": "known"}')
    api.ask(f"/api/v1/silences/{made['id']}", "DELETE")
    done = api.get(f"/alerts/{alert}")["actions"]
    assert [(one["what"], one["until"], one["note"], one["run"], one["rule"]) for one in done] == [
        ("acknowledged", judged.now + 1800, "looking", RUN, "spread"),
        ("acknowledged", None, "mine for good", RUN, "spread"),
        ("taken back", None, "", RUN, "spread"),
        ("silenced", judged.now + 600, "known", "*", "sp*"),
        ("silence taken back", None, "", "*", "sp*"),
    ]
    assert {(one["by"], one["time"]) for one in done} == {("anybody", judged.now)}
    assert [one["silence"] for one in done] == [None, None, None, made["id"], made["id"]]
    assert api.get(f"/alerts/{judged.alert('kl')}")["actions"] == [], "it had ended before"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_nobody_looks_after_an_alert_that_has_ended(method: str, api: Asking, judged: Judged) -> None:
    alert = judged.alert("kl")
    answer = api.ask(f"/api/v1/alerts/{alert}/acknowledge", method)
    assert answer.status_code == 409
    assert f"the alert kl of {RUN} ended at step 3: only one that fires" in answer.json()["detail"]
    told = api.get(f"/alerts/{alert}")
    assert (told["acknowledged_by"], told["actions"]) == ("", [])


@pytest.mark.parametrize(
    ("path", "content", "complaint"),
    [
        ("/silences", "{}", "minutes is missing"),
        ("/silences", '{"minutes": 0}', "minutes"),
        ("/silences", '{"minutes": 1e9}', "minutes"),
        ("/silences", '{"minutes": 5, "run": "a b"}', "run"),
        ("/silences", '{"minutes": 5, "rule": ""}', "rule"),
        ("/silences", '{"minutes": 5, "reason": "' + "x" * 1001 + '"}', "reason"),
        ("/silences", '{"minutes": 5, "reason": "\\ud800"}', "reason"),
        ("/silences", "[", "no JSON"),
        ("/alerts/x/silence", "{}", "minutes is missing"),
        ("/alerts/x/acknowledge", '{"minutes": -1}', "minutes"),
        ("/alerts/x/acknowledge", '{"note": 7}', "note"),
        ("/silences", '{"minutes": 5}', "a silence names a run or a rule, or both; came neither."),
        ("/silences", '{"minutes": 5, "run": "*"}', "To silence everything say both"),
        ("/silences", '{"minutes": 5, "rule": "**"}', "To silence everything say both"),
        (
            "/silences",
            '{"minutes": 5, "runs": "a~*", "rule": "kl"}',
            "unknown key 'runs'. Did you mean 'run'?",
        ),
        ("/silences", '{"minutes": 5, "rule": "kl", "x": 1}', "There are run, rule, minutes, reason."),
        ("/silences", '{"minutes": "60", "rule": "kl"}', "minutes is '60'"),
        ("/silences", '{"minutes": true, "rule": "kl"}', "minutes is 'True'"),
        ("/silences", '{"minutes": NaN, "rule": "kl"}', "minutes"),
        ("/silences", "[]", "the body is '[]'"),
        ("/alerts/x/silence", '{"minutes": 5, "run": "a"}', "unknown key 'run'. There are minutes, reason."),
        ("/alerts/x/acknowledge", '{"minute": 60}', "unknown key 'minute'. Did you mean 'minutes'?"),
        ("/alerts/x/acknowledge", '{"minutes": "60"}', "minutes is '60'"),
        ("/rules/check", '{"document": "", "run": "a"}', "unknown key 'run'. There is document."),
        ("/rules/check", '{"documnt": ""}', "unknown key 'documnt'. Did you mean 'document'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(path: str, content: str, complaint: str, api: Asking) -> None:
    answer = api.ask(f"/api/v1{path}", "POST", content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert complaint in answer.json()["detail"]
    assert api.get("/silences") == {"silences": []}


def test_an_infinite_figure_is_told_as_what_it_is(api: Asking, judged: Judged) -> None:
    """Of an alert, of what happened to it, and of what rules would have done; null would be taken for none."""
    alert = judged.alert("spread")
    infinite = {"ratio_std": "Infinity"}
    assert [one["values"] for one in api.get(f"/alerts/{alert}")["transitions"]] == [infinite]
    assert [one["values"] for one in api.get("/alerts", run=RUN)["alerts"]] == [infinite]
    tried = post(api, f"/rules/check?run={RUN}", json.dumps({"document": judged.book.view().document}))
    assert [one["values"] for one in tried["run"]["transitions"] if one["rule"] == "spread"] == [infinite]


def test_everything_is_silenced_by_whoever_says_so(api: Asking) -> None:
    """Of one pattern that is left out nobody thinks so; of two that are there everybody does."""
    made = post(api, "/silences", '{"run": "*", "rule": "*", "minutes": 1}')
    assert (made["run"], made["rule"]) == ("*", "*")
    assert post(api, "/silences", '{"rule": "kl", "minutes": 1}')["run"] == "*"


def test_who_did_it_is_who_logged_in(judged: Judged, tmp_path: Path) -> None:
    """An operator may; a viewer may look."""
    judged.start()
    judged.step(1, mismatch_k3_kl=1.0)
    site = Guarded.of(judged.store, tmp_path)
    alert = judged.alert()
    acknowledge, silence = f"/api/v1/alerts/{alert}/acknowledge", f"/api/v1/alerts/{alert}/silence"
    for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 200)):
        headers = {"host": HOST, **by(role)}
        assert site.ask("GET", "/api/v1/me", headers).json() == {"name": f"{role.word}s", "role": role.word}
        assert site.ask("POST", acknowledge, headers, json={}).status_code == status
        assert site.ask("POST", silence, headers, json={"minutes": 5}).status_code == status
        assert site.ask("GET", "/api/v1/alerts", headers).status_code == 200
        assert site.ask("POST", "/api/v1/rules/check", headers, json={"document": ""}).status_code == 422
        assert site.ask("PUT", "/api/v1/rules", headers, json={"document": ""}).status_code == 403
    viewer, admin = {"host": HOST, **by(Role.VIEWER)}, {"host": HOST, **by(Role.ADMIN)}
    refused = site.ask("POST", acknowledge, viewer, json={}).json()["detail"]
    assert refused == "To acknowledge needs the role operator; you are viewers (viewer)."
    told = site.ask("GET", f"/api/v1/alerts/{alert}", admin).json()
    assert told["acknowledged_by"] == "operators"
    assert site.ask("GET", "/api/v1/silences", admin).json()["silences"][0]["author"] == "operators"
    assert site.ask("PUT", "/api/v1/rules", admin, json={"document": ""}).status_code == 422
    saved = site.ask("DELETE", "/api/v1/rules", admin)
    assert (saved.status_code, saved.json()["author"]) == (200, "admins")
    site.close()


def test_how_rules_stand_on_a_run_is_told(api: Asking, judged: Judged) -> None:
    """In their order; a rule for other runs is not among them."""
    told = api.get(f"/runs/{RUN}/rules")
    assert [(one["rule"], one["severity"], one["phase"]) for one in told["rules"]] == [
        ("kl", "critical", "ok"),
        ("spread", "warning", "firing"),
        ("quiet", "critical", "ok"),
    ]
    assert {one["why_never"] for one in told["rules"]} == {None}
    assert api.ask("/api/v1/runs/math~none/rules").status_code == 404


def test_a_rule_that_can_never_fire_on_a_run_says_why(judged: Judged) -> None:
    """A configuration that truncates at 2 has no mean weight above 2."""
    judged.book.save(
        '[[rule]]\nname = "mean"\nseverity = "critical"\nwhen = "rollout_is_mean > 3.0"\n'
        '[[rule]]\nname = "kl"\nseverity = "critical"\nwhen = "mismatch_k3_kl > 3.0"\n',
        "somebody",
    )
    config = CONFIG | {"rollout_is": "token", "rollout_is_threshold": 2.0}
    judged.start(**config)
    judged.step(1, mismatch_k3_kl=0.1)
    mean, kl = Asking.of(judged.store, rulebook=judged.book).get(f"/runs/{RUN}/rules")["rules"]
    assert "rollout_is_mean" in mean["why_never"]
    assert kl["why_never"] is None


def test_alerts_end_with_their_run(api: Asking, judged: Judged) -> None:
    judged.put(RunEnd(judged.now, Outcome.FINISHED))
    (alert,) = [one for one in api.get(f"/runs/{RUN}/alerts")["alerts"] if one["rule"] == "spread"]
    assert (alert["resolved_step"], alert["reason"]) == (3, "the run ended")


def test_rules_that_change_end_their_alerts_and_others_go_on(api: Asking, judged: Judged) -> None:
    document = judged.book.view().document
    put = api.ask(
        "/api/v1/rules", "PUT", headers={"Content-Type": "text/toml"},
        content=document.replace("mismatch_k3_kl > 0.5", "mismatch_k3_kl > 0.6").replace('"warning"', '"critical"'),
    )  # fmt: skip
    assert put.status_code == 200
    assert rules_of(api.get("/alerts")) == [(OTHER, "spread"), (RUN, "spread")]
    put = api.ask(
        "/api/v1/rules", "PUT", headers={"Content-Type": "text/toml"},
        content=document.replace("ratio_std > 1.0", "ratio_std > 1.5"),
    )  # fmt: skip
    assert put.status_code == 200
    assert api.get("/alerts") == {"alerts": []}
    reasons = {one["reason"] for one in api.get("/alerts", state="all", rule="spread")["alerts"]}
    assert reasons == {"the rule was changed"}
