"""Rules over HTTP: those in force, others put in force, checked and tried; refused whole, with the place."""

import json
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_contract import Outcome, RunEnd
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.rules_file import MOST_BYTES
from rolloutwatch_server.alerts.trial import MOST_TRANSITIONS, try_rules
from rolloutwatch_server.store import Store
from tests.server.alerting import RULES as RULES_OF_ITS
from tests.server.alerting import Judged
from tests.server.asking import Asking
from tests.server.records import RUN, STREAM, batch, start, step

TOML = {"Content-Type": "text/toml"}
RULES = "/api/v1/rules"
CHECK = f"{RULES}/check"
GOOD = """own_metrics = ["reward"]

[[rule]]
name = "kl"
severity = "critical"
when = "mismatch_k3_kl > 0.5"
clear = "mismatch_k3_kl < 0.4"
for_steps = 2
clear_steps = 2
guide = "docs/guides/kl_high.md"

[[rule]]
name = "low"
severity = "warning"
when = "reward < 0"
runs = ["code~*"]
"""
BAD = GOOD.replace("reward < 0", "rewrad < 0")


@pytest.fixture
def api(store: Store) -> Asking:
    return Asking.of(store)


def put(api: Asking, document: str, **headers: str) -> Any:
    return api.ask(RULES, "PUT", headers=TOML | headers, content=document)


def test_the_default_rules_are_told_with_the_text_they_were_written_in(api: Asking) -> None:
    told = api.get("/rules")
    assert (told["origin"], told["version"], told["author"], told["time"]) == ("default", 0, "", None)
    assert (told["document"], told["file"], told["problem"]) == (DEFAULT_DOCUMENT, "", "")
    assert [rule["name"] for rule in told["rules"]] == [rule.name for rule in DEFAULT_RULES]
    high = next(rule for rule in told["rules"] if rule["name"] == "high_variance")
    assert (high["severity"], high["for_steps"], high["clear_steps"]) == ("critical", 3, 5)
    assert high["when"] == "ratio_std > 1.0 and ratio_eff_sample_size < 0.3"
    assert high["guide"] == "/guides/high_variance"


@pytest.mark.parametrize("kind", ["text/toml", "text/toml; charset=utf-8", "application/json"])
def test_rules_are_put_in_force(kind: str, api: Asking) -> None:
    """As TOML, or as a text in JSON; with all that was written."""
    content = json.dumps({"document": GOOD}) if kind == "application/json" else GOOD
    answer = api.ask(RULES, "PUT", headers={"Content-Type": kind}, content=content)
    assert answer.status_code == 200, answer.text
    told = api.get("/rules")
    assert answer.json() == told
    assert (told["origin"], told["author"], told["document"]) == ("api", "anybody", GOOD)
    kl, low = told["rules"]
    assert (kl["when"], kl["clear"], kl["for_steps"]) == ("mismatch_k3_kl > 0.5", "mismatch_k3_kl < 0.4", 2)
    assert (low["clear"], low["runs"], low["enabled"]) == (None, ["code~*"], True)


def test_a_refusal_names_the_place_and_changes_nothing(api: Asking) -> None:
    """File, rule, key, line and column, what was expected and the nearest name."""
    put(api, GOOD)
    before = api.get("/rules")
    answer = put(api, BAD)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    told = answer.json()
    assert (told["file"], told["rule"], told["key"], told["line"]) == ("the rules", "low", "when", 15)
    assert BAD.splitlines()[told["line"] - 1][told["column"] - 1 :].startswith("rewrad")
    assert told["came"] == "rewrad" or "rewrad" in told["came"]
    assert '"reward"' in told["detail"]
    assert told["expected"]
    assert api.get("/rules") == before


def test_only_who_has_read_what_is_in_force_replaces_it(api: Asking) -> None:
    """By If-Match; of two who read the same the second one is told 412."""
    tag = api.ask(RULES).headers["etag"]
    assert api.ask(RULES, headers={"if-none-match": tag}).status_code == 304
    saved = put(api, GOOD, **{"if-match": tag})
    assert saved.status_code == 200
    late = put(api, GOOD.replace("0.5", "0.6"), **{"if-match": tag})
    assert (late.status_code, late.json()["title"]) == (412, "Changed meanwhile")
    assert api.get("/rules")["document"] == GOOD
    # a proxy that compresses makes a name weak
    assert api.ask(RULES, "DELETE", headers={"if-match": f"W/{saved.headers['etag']}"}).status_code == 200
    assert put(api, GOOD, **{"if-match": "*"}).status_code == 200
    assert put(api, GOOD, **{"if-match": '"nothing"'}).status_code == 412


def test_the_default_rules_come_back(api: Asking) -> None:
    put(api, GOOD)
    answer = api.ask(RULES, "DELETE")
    assert answer.status_code == 200
    assert (answer.json()["origin"], answer.json()["document"]) == ("default", DEFAULT_DOCUMENT)
    assert answer.json()["version"] == 2


def test_rules_of_a_file_are_not_saved_beside_it(store: Store, tmp_path: Path) -> None:
    """409, naming the file; a file that cannot be is named too."""
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    book = Rulebook(store, file)
    book.open()
    api = Asking.of(store, rulebook=book)
    for answer in (put(api, GOOD), api.ask(RULES, "DELETE")):
        assert answer.status_code == 409
        assert str(file) in answer.json()["detail"]
    told = api.get("/rules")
    assert (told["origin"], told["file"], told["problem"]) == ("file", str(file), "")
    file.write_text(BAD)
    book.look()
    book.look()
    told = api.get("/rules")
    assert "rewrad" in told["problem"]
    assert told["document"] == GOOD
    ready = api.ask("/readyz").json()
    assert ready["rules"] == {"ok": False, "why": told["problem"]}
    assert api.ask(CHECK, "POST", headers=TOML, content=GOOD).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status", "complaint"),
    [
        (b"#" * (MOST_BYTES + 1), "text/toml", 422, f"at most {MOST_BYTES} bytes"),
        (b"#" * (2 * MOST_BYTES + 1), "text/toml", 413, f"at most {2 * MOST_BYTES}"),
        (b"\xff", "text/toml", 422, "not a text in UTF-8"),
        (b"", "text/toml", 422, "no rules"),
        (b"[[rule]", "text/toml", 422, "not TOML"),
        (b"{}", "application/json", 422, '{"document": "..."}'),
        (b"{", "application/json", 422, '{"document": "..."}'),
        (b"[" * 100_000, "application/json", 422, '{"document": "..."}'),
        (b'{"document": 7}', "application/json", 422, "came 7"),
        (b'{"document": "\\ud800"}', "application/json", 422, '{"document": "..."}'),
        (GOOD.encode(), "application/x-www-form-urlencoded", 415, "text/toml"),
    ],
)
def test_what_is_no_rules_is_refused(
    content: bytes, kind: str, status: int, complaint: str, api: Asking
) -> None:
    for method, path in (("PUT", RULES), ("POST", CHECK)):
        answer = api.ask(path, method, headers={"Content-Type": kind}, content=content)
        assert answer.status_code == status
        assert complaint in answer.json()["detail"]
    assert api.get("/rules")["version"] == 0


def test_rules_are_checked_and_nothing_is_changed(api: Asking) -> None:
    answer = api.ask(CHECK, "POST", headers=TOML, content=GOOD)
    assert answer.status_code == 200
    assert [rule["name"] for rule in answer.json()["rules"]] == ["kl", "low"]
    assert answer.json()["run"] is None
    assert api.ask(CHECK, "POST", headers=TOML, content=BAD).json()["line"] == 15
    assert api.get("/rules")["version"] == 0


def test_rules_are_tried_on_a_run(api: Asking, store: Store) -> None:
    """What they would have done there, by its own steps and times; rules for other runs do nothing."""
    values = [0.1, 0.6, 0.7, 0.8, 0.3, 0.3, 0.9]
    store.archive(
        STREAM, batch(start(), *(step(n, mismatch_k3_kl=v, reward=-1.0) for n, v in enumerate(values)))
    )
    answer = api.ask(CHECK, "POST", headers=TOML, content=GOOD, run=RUN)
    told = answer.json()["run"]
    assert (told["run"], told["from_step"], told["to_step"], told["steps"]) == (RUN, 0, 6, 7)
    assert told["complete"] is True
    assert [(one["rule"], one["change"], one["step"], one["time"]) for one in told["transitions"]] == [
        ("kl", "firing", 2, 2.0),
        ("kl", "resolved", 5, 5.0),
    ]
    assert told["transitions"][0]["values"] == {"mismatch_k3_kl": 0.7}
    missing = api.ask(CHECK, "POST", headers=TOML, content=GOOD, run="math~none")
    assert missing.status_code == 404
    assert api.get("/rules")["origin"] == "default"


def test_a_trial_of_the_rules_in_force_gives_what_was_recorded(tmp_path: Path) -> None:
    """Late figures, a run that goes back, and its end: step by step, reason by reason."""
    judged = Judged(tmp_path)
    api = Asking.of(judged.store, rulebook=judged.book)
    judged.start()
    for number, kl in enumerate((0.1, 0.7, 0.8, 0.2, 0.9, 0.9)):
        judged.now += 1
        judged.step(number, mismatch_k3_kl=kl)
    judged.step(2, ratio_std=3.0)
    judged.start(RUN, "s2")
    judged.step(4, RUN, "s2", mismatch_k3_kl=0.9, ratio_std=0.1)
    judged.put(RunEnd(judged.now, Outcome.FINISHED), RUN, "s1")
    judged.put(RunEnd(judged.now, Outcome.FINISHED), RUN, "s2")
    told = api.ask(CHECK, "POST", headers=TOML, content=RULES_OF_ITS, run=RUN).json()["run"]
    found = [(one["rule"], one["change"], one["step"], one["reason"]) for one in told["transitions"]]
    recorded = [
        (one.rule, one.change.value, one.step, one.reason)
        for one in judged.store.transitions(RUN)
        if not one.given_up
    ]
    assert sorted(found) == sorted(recorded)
    assert len({reason for *_, reason in found}) >= 2
    judged.close()


def test_a_trial_ends_when_its_time_is_over(store: Store) -> None:
    """And says how far it came."""
    store.archive(STREAM, batch(start(), *(step(n, mismatch_k3_kl=1.0) for n in range(50))))
    ticks = iter(range(100))
    trial = try_rules(store, RUN, DEFAULT_RULES, seconds=20.0, clock=lambda: float(next(ticks)))
    assert (trial.from_step, trial.to_step, trial.steps, trial.complete) == (0, 18, 19, False)


def test_a_trial_tells_so_much_and_no_more(store: Store, api: Asking) -> None:
    values = [float(n % 2) for n in range(2 * MOST_TRANSITIONS)]
    store.archive(STREAM, batch(start(), *(step(n, mismatch_k3_kl=v) for n, v in enumerate(values))))
    document = '[[rule]]\nname = "kl"\nseverity = "warning"\nwhen = "mismatch_k3_kl > 0.5"\n'
    told = api.ask(CHECK, "POST", headers=TOML, content=document, run=RUN).json()["run"]
    assert (len(told["transitions"]), told["complete"]) == (MOST_TRANSITIONS, False)


def test_a_trial_notices_what_is_absent(store: Store, api: Asking) -> None:
    """Steps that have none of the rule's figures count."""
    steps = [step(0, mismatch_k3_kl=1.0), *(step(n, reward=1.0) for n in range(1, 6))]
    store.archive(STREAM, batch(start(), *steps))
    document = '[[rule]]\nname = "gone"\nseverity = "warning"\nwhen = "absent(mismatch_k3_kl, 3)"\n'
    told = api.ask(CHECK, "POST", headers=TOML, content=document, run=RUN).json()["run"]
    assert [(one["change"], one["step"]) for one in told["transitions"]] == [("firing", 3)]
