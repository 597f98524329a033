"""Rules that people write: what is read, and what is refused in words that help."""

import tomllib
from typing import Any

import pytest

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.severity import Severity
from rolloutwatch_contract.written_rules import RuleError, near_metrics, read_rules

SOUND = {"name": "kl", "metric": "mismatch_k3_kl", "severity": "warning", "above": 0.1}


def read(*written: dict[str, Any]) -> tuple[Limit, ...]:
    return read_rules({"rule": list(written)}, "rules.toml")


def test_a_rule_is_read_with_all_it_may_say() -> None:
    text = """
    [[rule]]
    name = "kl"
    metric = "mismatch_k3_kl"
    severity = "critical"
    above = 1
    below = -0.5
    for_steps = 3
    clear_steps = 5
    summary = "The policies drift apart."
    cure = "Sync the weights."

    [[rule]]
    name = "reward"
    metric = "reward/mean"
    severity = "warning"
    below = 0.0
    """
    kl, reward = read_rules(tomllib.loads(text), "rules.toml")
    assert kl == Limit(
        name="kl",
        metric="mismatch_k3_kl",
        severity=Severity.CRITICAL,
        above=1.0,
        below=-0.5,
        for_steps=3,
        clear_steps=5,
        summary="The policies drift apart.",
        cure="Sync the weights.",
    )
    assert (reward.for_steps, reward.clear_steps, reward.summary, reward.cure) == (1, 1, "", "")
    assert type(kl.above) is float


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"abvoe": 1.0}, ['rule "kl"', 'unknown key "abvoe"', 'Did you mean "above"?']),
        ({"zzz": "red"}, ['unknown key "zzz"', "Known are name, metric"]),
        ({"name": 7}, ["rule 1", "name is 7", "expected 1 to 128 letters"]),
        ({"name": "<b>"}, ['name is "<b>"', "expected 1 to 128 letters"]),
        ({"metric": ""}, ['metric is ""', "expected 1 to 128 letters"]),
        ({"severity": "bad"}, ['severity is "bad"', 'expected "warning" or "critical"']),
        ({"severity": 2}, ["severity is 2", 'expected "warning" or "critical"']),
        ({"above": "1"}, ['above is "1"', "expected a finite number"]),
        ({"above": True}, ["above is True", "expected a finite number"]),
        ({"above": float("inf")}, ["above is inf", "expected a finite number"]),
        ({"below": float("nan")}, ["below is nan", "expected a finite number"]),
        ({"above": 10**400}, ["above is 1000", "expected a finite number"]),
        ({"below": 0.2}, ["below is 0.2 and above is 0.1", "below <= above"]),
        ({"for_steps": 0}, ["for_steps is 0", "expected an integer from 1 to"]),
        ({"for_steps": True}, ["for_steps is True", "expected an integer"]),
        ({"clear_steps": 2.0}, ["clear_steps is 2.0", "expected an integer"]),
        ({"summary": "x" * 1001}, ["summary is", "at most 1000 letters"]),
        ({"cure": 1}, ["cure is 1", "expected a text"]),
    ],
)
def test_what_a_rule_cannot_say_is_refused_by_its_key(changes: dict[str, Any], words: list[str]) -> None:
    """File, rule, key, what was expected and what came."""
    with pytest.raises(RuleError) as refused:
        read(SOUND | changes)
    assert [word for word in ["rules.toml", *words] if word not in str(refused.value)] == []


@pytest.mark.parametrize("key", ["name", "metric", "severity"])
def test_what_a_rule_needs_is_missed_by_name(key: str) -> None:
    written = {name: value for name, value in SOUND.items() if name != key}
    with pytest.raises(RuleError, match=rf"rules\.toml, rule .*: {key} is missing"):
        read(written)


def test_a_rule_without_a_limit_is_none() -> None:
    with pytest.raises(RuleError, match="expected above or below"):
        read({name: value for name, value in SOUND.items() if name != "above"})


@pytest.mark.parametrize(
    "document", [{}, {"rule": []}, {"rule": SOUND}, {"rule": [1]}, {"rule": "x"}, {"rules": [SOUND]}]
)
def test_a_file_without_rules_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RuleError, match=r"^rules\.toml.*\[\[rule\]\]"):
        read_rules(document, "rules.toml")


def test_two_rules_have_two_names() -> None:
    with pytest.raises(RuleError, match='rule "kl": expected each name once'):
        read(SOUND, SOUND)


def test_a_misspelt_metric_is_near_to_one_there_is() -> None:
    """One of the catalogue, or one that the run logs itself."""
    assert near_metrics("mismatch_k3_lk")[0] == "mismatch_k3_kl"
    assert near_metrics("reward_maen", ["reward_mean"])[0] == "reward_mean"
    assert near_metrics("nothing of the kind at all") == []
