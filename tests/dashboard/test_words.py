"""Conditions and figures of alerts as people read them."""

import pytest

from rolloutwatch_contract.conditions import parse
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_dashboard.words import beginning, ending, figures_of, in_words, metrics_of
from tests.dashboard.alerting import alert

SAID = {
    "mismatch_k3_kl > 0.1": "KL (K3) is above 0.1",
    "0.1 < mismatch_k3_kl": "KL (K3) is above 0.1",
    "0.5 < rollout_is_mean < 2": "“Weight, mean” is above 0.5 and “Weight, mean” is below 2",
    "mismatch_kl > 1 or mismatch_kl < 0 and reward >= 3": "KL (K1) is above 1 or (KL (K1) is below 0 and reward is at least 3)",
    "not reward == 1": "not (reward is exactly 1)",
    "abs(mismatch_kl) > 0.1": "|KL (K1)| is above 0.1",
    "mean(reward, 20) < -1": "mean of reward over 20 values is below -1",
    "rate(`actor/entropy`, 50) < 0": "slope per step of actor/entropy over 50 values is below 0",
    "off(reward, 61) > 8": "spreads off what is usual of reward over 61 values is above 8",
    "jump(mismatch_kl, 200) > 8": "spreads off the baseline of KL (K1) over 200 values is above 8",
    "drift(mismatch_kl, 200) > 20": "lasting drift off the baseline of KL (K1) over 200 values is above 20",
    "trend(reward, 30) < -0.5": "trend of reward over 30 values is below -0.5",
    "saw(reward, 30) > 0.5": "rises less falls of reward over 30 values is above 0.5",
    "share(reward > 1, 10) > 0.5": "share of the last 10 steps with (reward is above 1) is above 0.5",
    "absent(n_tokens, 20)": "Valid tokens has not come for 20 steps",
    "silent(90, 10)": "no step for 90 s and for 10 times the usual time of one",
    "reward - 2 * mismatch_kl > 0": "(reward - (2 * KL (K1))) is above 0",
    "mismatch_k3_kl@code > 1": "KL (K3) of code is above 1",
    "reward@code != 1": "reward@code is other than 1",
}


@pytest.mark.parametrize("text", SAID)
def test_a_condition_is_said_in_words(text: str) -> None:
    assert in_words(parse(text).node) == SAID[text]


def test_every_default_rule_is_said_without_a_name_of_the_catalogue() -> None:
    """By titles, that is; what begins and ends an alert is a sentence without an underscore."""
    for rule in DEFAULT_RULES:
        assert "_" not in beginning(rule) + ending(rule), rule.name


def test_patience_is_said() -> None:
    rule = Rule(
        name="r",
        severity=Severity.WARNING,
        when=parse("reward > 1"),
        for_steps=3,
        for_seconds=120.0,
        clear=parse("reward < 0.5"),
        clear_steps=5,
    )
    assert beginning(rule) == "reward is above 1 (at 3 steps in a row and for 2 min)"
    assert ending(rule) == "when reward is below 0.5 (at 5 steps in a row)"


def test_values_stand_beside_their_limits() -> None:
    """Those that the condition compares with a number; the others are told all the same."""
    one = alert(
        condition="ratio_mean < 0.5 or ratio_mean > 2 or mean(reward, 5) > 3 or reward > mismatch_kl",
        values={"ratio_mean": 2.5, "reward": 4.0, "mismatch_kl": 0.001},
    )
    assert [tuple(figure) for figure in figures_of(one)] == [
        ("Ratio of a token, mean", "2.5", "below 0.5 or above 2"),
        ("reward", "4", "mean over 5 values above 3"),
        ("KL (K1)", "0.001", ""),
    ]
    assert metrics_of(one) == ("ratio_mean", "reward", "mismatch_kl")


def test_a_condition_of_another_version_is_shown_as_it_is() -> None:
    one = alert(condition="median(reward) >> 1", values={"reward": 1.0})
    assert [tuple(figure) for figure in figures_of(one)] == [("reward", "1", "")]
    assert list(metrics_of(one)) == ["reward"]
