"""The rules that are in force unless somebody brings others."""

import math
import re
from collections.abc import Mapping

import pytest

from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.conditions import Condition, Truth, by_clock, metrics_of, parse
from rolloutwatch_contract.conditions.nodes import (
    Absolute,
    And,
    Arithmetic,
    Comparison,
    Metric,
    Node,
    Number,
    Or,
    Over,
)
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT, DEFAULT_RULES
from rolloutwatch_contract.limits import DEFAULT_LIMITS, limits_of
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_contract.written_rules import parse_rules

BY_NAME = {rule.name: rule for rule in DEFAULT_RULES}
EVERYTHING_ON = CorrectionConfig(
    rollout_is="sequence",
    rollout_is_mode="mask",
    rollout_is_threshold=5.0,
    rollout_rs="token",
    rollout_rs_threshold=3.0,
    rollout_token_veto_threshold=1e-4,
)
AGAINST_ITS_PAST = [
    "mismatch_jumped", "kl_jumped", "mismatch_drifts", "surprise_gap_moved", "rollout_weights_old",
]  # fmt: skip
IN_ONE_STEP = {
    "nonfinite_logprobs", "not_measured", "dropped_records", "figures_stopped", "stalled", *AGAINST_ITS_PAST,
}  # fmt: skip
# what the mission's troubleshooting names, and when it is over
SYMPTOMS = {
    "high_variance": (
        "ratio_std > 1.0 and ratio_eff_sample_size < 0.3",
        "ratio_std < 0.9 or ratio_eff_sample_size > 0.35",
    ),
    "too_many_vetoed": ("rollout_is_veto_fraction > 0.1", "rollout_is_veto_fraction < 0.08"),
    "mean_far_from_one": ("ratio_mean < 0.5 or ratio_mean > 2.0", "0.6 < ratio_mean < 1.8"),
    "mean_weight_far_from_one": (
        "rollout_is_mean < 0.5 or rollout_is_mean > 2.0",
        "0.6 < rollout_is_mean < 1.8",
    ),
    "too_much_discarded": ("rollout_is_masked_fraction > 0.5", "rollout_is_masked_fraction < 0.45"),
}


def judged(condition: Condition, figures: Mapping[str, float]) -> Truth:
    """Judge a condition on the figures of one step, slowly; of windows on what they come to, by the name of their metric.

    It may have comparisons, differences, products, sizes, `and` and `or`.
    """

    def number(node: Node) -> float:
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Arithmetic):
            left, right = number(node.left), number(node.right)
            return {"-": left - right, "*": left * right}[node.operator]
        if isinstance(node, Absolute):
            return abs(number(node.operand))
        if isinstance(node, Over):
            return figures.get(node.metric, math.nan)
        assert isinstance(node, Metric)
        return figures.get(node.name, math.nan)

    def truth(node: Node) -> Truth:
        if isinstance(node, And | Or):
            return (min if isinstance(node, And) else max)(map(truth, node.operands))
        assert isinstance(node, Comparison)
        left, right = number(node.left), number(node.right)
        if math.isnan(left) or math.isnan(right):
            return Truth.UNKNOWN
        return Truth.TRUE if {"<": left < right, ">": left > right}[node.operator] else Truth.FALSE

    return truth(condition.node)


def test_the_names_are_those_that_alerts_and_guides_go_by() -> None:
    """Archives hold them, so that none is renamed lightly."""
    assert list(BY_NAME) == [
        "high_variance", "mean_far_from_one", "mean_weight_far_from_one", "few_samples_count", "very_few_samples_count",
        "few_weighted_samples_count", "ratios_spread", "weights_spread", "token_far_too_likely",
        "token_all_but_impossible", "sequences_vetoed", "too_many_vetoed", "too_much_discarded", "perplexities_differ",
        "perplexities_far_apart", "kl_high", "kl_very_high", "kl_k1_off_zero", "kl_k1_far_off_zero",
        *AGAINST_ITS_PAST,
        "nonfinite_logprobs", "missing_logprobs", "not_measured", "dropped_records", "figures_stopped", "stalled",
    ]  # fmt: skip


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.name)
def test_a_default_rule_says_what_it_means_and_what_to_do(rule: Rule) -> None:
    assert set(metrics_of(rule.when.node)) <= set(METRICS)
    assert (rule.enabled, rule.runs) == (True, ("*",))
    assert rule.summary.endswith(".")
    assert rule.cure.endswith((".", ")."))
    assert rule.guide == f"docs/guides/{rule.name}.md"
    assert (rule.for_steps == 1) == (rule.name in IN_ONE_STEP)
    assert rule.for_steps in (1, 3)
    assert rule.clear_steps == (1 if by_clock(rule.when.node) or rule.name == "figures_stopped" else 5)


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.name)
def test_a_default_rule_can_fire_under_some_configuration(rule: Rule) -> None:
    configs = (EVERYTHING_ON, CorrectionConfig(rollout_is="token", rollout_is_threshold=10.0))
    assert None in [why_never(rule, config.as_dict()) for config in configs]


@pytest.mark.parametrize("rule", DEFAULT_RULES, ids=lambda rule: rule.name)
def test_whatever_clears_a_rule_does_not_fire_it(rule: Rule) -> None:
    """Between the two there is room, in which an alert stays as it is."""
    if rule.clear is None:
        return
    values = [
        0.0,
        0.05,
        0.08,
        0.09,
        0.1,
        0.3,
        0.32,
        0.35,
        0.45,
        0.48,
        0.5,
        0.55,
        0.6,
        0.9,
        0.95,
        1.0,
        1.8,
        1.9,
        2.0,
        3.5,
        5.0,
        6.0,
        9.0,
        16.0,
    ]
    metrics = metrics_of(rule.when.node)
    assert set(metrics_of(rule.clear.node)) == set(metrics)
    figures = [dict(zip(metrics, (one, other), strict=False)) for one in values for other in values]
    both = [(judged(rule.when, one), judged(rule.clear, one)) for one in figures]
    assert (Truth.TRUE, Truth.TRUE) not in both
    assert {(Truth.TRUE, Truth.FALSE), (Truth.FALSE, Truth.TRUE), (Truth.FALSE, Truth.FALSE)} <= set(both)


def test_the_symptoms_are_asked_of_what_can_reach_them() -> None:
    """Of untouched ratios, with the thresholds that verl names, for all of them critical."""
    for name, (when, clear) in SYMPTOMS.items():
        rule = BY_NAME[name]
        assert (rule.when, rule.clear, rule.severity) == (parse(when), parse(clear), Severity.CRITICAL)


@pytest.mark.parametrize(
    ("zeros", "k1", "mean", "truth"),
    [
        (1.0, 0.7, 0.7, Truth.TRUE),  # all padded, and what the trainer is surprised by
        (1.0, 0.03, 0.985, Truth.TRUE),  # the same of a policy that is rarely surprised
        (1.0, 9.0, 0.01, Truth.TRUE),  # and of one that always is
        (0.6, 0.5, 0.75, Truth.TRUE),  # answers of tools within the mask
        (0.052, 0.014, 0.992, Truth.TRUE),  # one in twenty is lost on the way
        (1.0, 0.0, 1.0, Truth.FALSE),  # a collapsed policy, certain on both sides
        (0.97, 0.001, 0.999, Truth.FALSE),  # one that nearly is
        (0.8, 0.05, 0.952, Truth.FALSE),  # top-p: most nuclei are one token, and K1 is the log of the mass that is kept
        (0.2, 0.05, 0.952, Truth.FALSE),  # the same with few of them
        (0.75, 1.2, 0.79, Truth.FALSE),  # top-p, and stale weights
        (0.2, 0.2, 0.98, Truth.FALSE),  # stale weights, and a sampler that was sometimes certain
        (0.36, 0.003, 0.998, Truth.FALSE),  # one in twenty is lost, and a third are honest: not to be told
        (0.16, 0.0014, 1.0, Truth.FALSE),  # a peaked policy, and nothing wrong
        (0.0, 0.15, 0.92, Truth.FALSE),  # something else is wrong
        (0.01, math.nan, math.nan, Truth.FALSE),
        (0.6, math.nan, 0.7, Truth.UNKNOWN),
    ],
)  # fmt: skip
def test_zeros_are_missing_log_probs_where_the_trainer_is_not_certain(
    zeros: float, k1: float, mean: float, truth: Truth
) -> None:
    """And where the mean ratio falls with them, as it does not where both sides speak of what was drawn from."""
    figures = {"zero_logprob_fraction": zeros, "mismatch_kl": k1, "ratio_mean": mean}
    assert judged(BY_NAME["missing_logprobs"].when, figures) is truth


def test_limits_are_those_of_rules_about_one_value() -> None:
    """What is drawn is exactly what fires, whatever the value."""
    drawn = {limit.name for limit in DEFAULT_LIMITS}
    assert set(BY_NAME) - drawn == {
        "high_variance", "missing_logprobs", "figures_stopped", "stalled", *AGAINST_ITS_PAST,
    }  # fmt: skip
    for limit in DEFAULT_LIMITS:
        when = BY_NAME[limit.name].when
        for end in (limit.above, limit.below):
            for value in (
                end,
                math.nextafter(end, -math.inf),
                math.nextafter(end, math.inf),
                math.nan,
                math.inf,
            ):
                assert limit.broken_by(value) == (judged(when, {limit.metric: value}) is Truth.TRUE)


@pytest.mark.parametrize(
    ("when", "limits"),
    [
        ("mismatch_kl > 1", [("mismatch_kl", 1.0, -math.inf)]),
        ("1 < mismatch_kl", [("mismatch_kl", 1.0, -math.inf)]),
        ("-1 > mismatch_kl", [("mismatch_kl", math.inf, -1.0)]),
        ("mismatch_kl > 2 or mismatch_kl > 1 or mismatch_kl < -1", [("mismatch_kl", 1.0, -1.0)]),
        ("mismatch_kl > 2 or n_tokens < 5", [("mismatch_kl", 2.0, -math.inf), ("n_tokens", math.inf, 5.0)]),
        ("mismatch_kl > 1 and n_tokens < 5", []),
        ("mismatch_kl > 1 or mean(n_tokens, 3) < 5", []),
        ("mismatch_kl >= 1", []),
        ("mismatch_kl == 1", []),
        ("not mismatch_kl > 1", []),
        ("abs(mismatch_kl) > 1", []),
        ("mismatch_kl > n_tokens", []),
        ("silent(60)", []),
    ],
)
def test_a_condition_on_plain_values_sets_limits(when: str, limits: list[tuple[str, float, float]]) -> None:
    rule = Rule(name="x", severity=Severity.WARNING, when=parse(when))
    assert [(limit.metric, limit.above, limit.below) for limit in limits_of([rule])] == limits


def test_limits_of_a_run_are_those_of_rules_that_watch_it() -> None:
    when = parse("mismatch_kl > 1")
    everywhere = Rule(name="everywhere", severity=Severity.WARNING, when=when)
    on_math = Rule(name="on_math", severity=Severity.WARNING, when=when, runs=("math~*",))
    off = Rule(name="off", severity=Severity.WARNING, when=when, enabled=False)
    rules = (everywhere, on_math, off)
    assert [limit.name for limit in limits_of(rules)] == ["everywhere"]
    assert [limit.name for limit in limits_of(rules, "code~a")] == ["everywhere"]
    assert [limit.name for limit in limits_of(rules, "math~a")] == ["everywhere", "on_math"]


def test_the_document_is_a_beginning_for_ones_own() -> None:
    """It is read as anybody's file is."""
    assert parse_rules(DEFAULT_DOCUMENT, "mine.toml").rules == DEFAULT_RULES
    assert len(re.findall(r"^\[\[rule\]\]$", DEFAULT_DOCUMENT, re.MULTILINE)) == len(DEFAULT_RULES)
