"""Which rules cannot fire under a configuration, and what is said of them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.conditions import parse
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.figure_bounds import figures_under
from rolloutwatch_contract.intervals import Interval, absolute, arithmetic
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity

NOTHING = CorrectionConfig()
TRUNCATED = CorrectionConfig(rollout_is="token", rollout_is_threshold=2.0)
MASKED = CorrectionConfig(rollout_is="sequence", rollout_is_threshold="0.5_5.0")
NORMALIZED = CorrectionConfig(rollout_is="token", rollout_is_threshold=2.0, rollout_is_batch_normalize=True)
REJECTED = CorrectionConfig(rollout_rs="token", rollout_rs_threshold=2.0)
BY_K1 = CorrectionConfig(rollout_rs="token_k1,seq_max_k3", rollout_rs_threshold=2.0)
VETOED = CorrectionConfig(rollout_token_veto_threshold=1e-4)


def never(when: str, config: CorrectionConfig, *metrics: str) -> str | None:
    return why_never(Rule(name="x", severity=Severity.WARNING, when=parse(when)), config.as_dict(), metrics)


@pytest.mark.parametrize(
    ("when", "config", "why"),
    [
        # what a configuration does not bring
        ("rollout_is_mean > 2", NOTHING, "rollout_is_mean does not come: it needs rollout_is"),
        ("rollout_is_mean@math > 2", NOTHING, "rollout_is_mean@math does not come: it needs rollout_is"),
        ("not rollout_is_mean > 2", NOTHING, "rollout_is_mean does not come: it needs rollout_is"),
        ("mean(rollout_is_mean, 5) > 2", NOTHING, "rollout_is_mean does not come"),
        ("rate(rollout_is_mean, 5) > 2", NOTHING, "rollout_is_mean does not come"),
        ("jump(rollout_is_mean, 40) > 2", NOTHING, "rollout_is_mean does not come"),
        ("abs(rollout_is_mean - 1) > 2", NOTHING, "rollout_is_mean does not come"),
        ("share(rollout_is_mean > 2, 5) >= 0", NOTHING, "rollout_is_mean does not come"),
        ("absent(rollout_is_mean, 5)", NOTHING, "rollout_is_mean does not come"),
        ("mismatch_kl > 1 and rollout_is_mean > 2", NOTHING, "rollout_is_mean does not come"),
        ("rollout_is_batch_norm_factor > 1", TRUNCATED, "it needs rollout_is_batch_normalize"),
        ("rollout_is_veto_fraction > 0.1", TRUNCATED, "it needs rollout_token_veto_threshold"),
        ("rollout_is_masked_fraction > 0.5", TRUNCATED, "rollout_token_veto_threshold or rollout_is_mode"),
        ("rollout_rs_masked_fraction > 0.5", VETOED, "it needs rollout_rs"),
        ("rollout_rs_mean > 1", BY_K1, "it needs rollout_rs: token, sequence or geometric"),
        ("rollout_rs_token_k1_mean > 1", REJECTED, "it needs rollout_rs: token_k1"),
        ("rollout_rs_seq_max_k2_mean > 1", BY_K1, "it needs rollout_rs: seq_max_k2"),
        # what thresholds keep it from
        ("rollout_is_std > 1", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("rollout_is_eff_sample_size < 0.3", TRUNCATED, "rollout_is_eff_sample_size is between 0.64 and 1"),
        ("rollout_is_eff_sample_size@math < 0.3", TRUNCATED, "is between 0.64 and 1"),
        ("rollout_is_mean > 2.1", TRUNCATED, "rollout_is_mean is between 2.061e-09 and 2"),
        ("rollout_is_mean > 2.1", NORMALIZED, "rollout_is_mean is between 2.061e-09 and 2"),
        ("rollout_is_batch_norm_factor > 2.1", NORMALIZED, "is between 2.061e-09 and 2"),
        ("rollout_is_seq_std > 1.5", TRUNCATED, "rollout_is_seq_std is at most 1.414"),
        ("rollout_is_seq_max_deviation > 1.1", TRUNCATED, "rollout_is_seq_max_deviation is at most 1"),
        ("rollout_is_std > 2.6", MASKED, "rollout_is_std is at most 2.5"),
        ("rollout_rs_std > 1", REJECTED, "rollout_rs_std is at most 0.75"),
        ("rollout_rs_token_k1_std > 0.71", BY_K1, "rollout_rs_token_k1_std is at most 0.6931"),
        ("max(rollout_is_std, 50) > 1", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("change(rollout_is_std, 50) > 1", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("rollout_is_std * 2 + 1 > 3", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("rollout_is_std > 1 and mismatch_kl > 1", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("share(rollout_is_std > 1, 5) > 0", TRUNCATED, "rollout_is_std is at most 0.75"),
        ("not rollout_is_std < 1", TRUNCATED, "rollout_is_std is at most 0.75"),
        # what nothing can be
        ("nonfinite_fraction > 1", NOTHING, "nonfinite_fraction is at most 1"),
        ("n_tokens < -1", NOTHING, "n_tokens is at least 0"),
        ("mismatch_k3_kl < -0.1", NOTHING, "mismatch_k3_kl is at least 0"),
        ("prob_pearson_corr > 1.1", NOTHING, "prob_pearson_corr is at most 1"),
        ("ratio_max > 1e9", NOTHING, "ratio_max is between 2.061e-09 and 4.852e+08"),
        ("share(mismatch_kl > 1, 5) > 1", NOTHING, "no value of its metrics makes it true"),
        ("trend(mismatch_kl, 5) > 1", NOTHING, "no value of its metrics makes it true"),
        ("saw(reward, 5) < -1", NOTHING, "no value of its metrics makes it true"),
    ],
)
def test_a_rule_that_cannot_fire_is_told_with_its_reason(
    when: str, config: CorrectionConfig, why: str
) -> None:
    told = never(when, config)
    assert told is not None
    assert why in told
    assert told.startswith("under the configuration of this run ")


@pytest.mark.parametrize(
    ("when", "config"),
    [
        ("mismatch_kl > 1 or rollout_is_mean > 2", NOTHING),
        ("rollout_is_mean < 0.5", TRUNCATED),
        ("rollout_is_mean > 1.99", TRUNCATED),
        ("rollout_is_std > 0.74", TRUNCATED),
        ("rollout_is_eff_sample_size < 0.65", TRUNCATED),
        ("rollout_is_eff_sample_size < 0.3", MASKED),
        ("rollout_is_mean > 4.9", MASKED),
        ("rollout_is_mean < 0.01", MASKED),
        ("rollout_is_masked_fraction > 0.5", MASKED),
        ("rollout_is_masked_fraction > 0.5", VETOED),
        ("rollout_is_masked_fraction > 0.5", REJECTED),
        ("rollout_rs_mean > 100", REJECTED),
        ("rollout_rs_masked_fraction > 0.5", BY_K1),
        ("rollout_rs_token_k1_mean < -19", BY_K1),
        ("surprise_gap > 1", NOTHING),
        ("dropped_records > 0", NOTHING),
        ("absent(n_tokens, 5)", NOTHING),
        ("silent(60)", NOTHING),
        ("ratio_std > 1e8", NOTHING),
        ("jump(prob_pearson_corr, 40) < -1e9", NOTHING),
        ("drift(ratio_std, 40) > 99", NOTHING),
        ("trend(ratio_std, 5) == 1 and saw(ratio_std, 5) == 1", NOTHING),
        # whatever is logged by others may be anything
        ("reward > 1e99", TRUNCATED),
        ("ratio_std@math > 1e8", TRUNCATED),
        ("rollout_is_std@math > 1", TRUNCATED),
        # and what is divided by a number around 0
        ("rollout_is_std / mismatch_kl > 1e9", TRUNCATED),
    ],
)
def test_of_a_rule_that_may_fire_nothing_is_said(when: str, config: CorrectionConfig) -> None:
    assert never(when, config) is None


def test_a_figure_that_came_all_the_same_may_be_anything() -> None:
    """Somebody else measures it, such as verl, whose figures are logged."""
    assert never("rollout_is_std > 1", NOTHING) is not None
    assert never("rollout_is_std > 1", NOTHING, "rollout_is_std") is None
    assert never("rollout_is_mean@math > 1", NOTHING, "rollout_is_mean@math") is None
    assert never("rollout_is_std > 1", TRUNCATED, "rollout_is_std") is not None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model": "7b"},
        {"rollout_is": "token", "rollout_is_threshold": "much"},
        {**NOTHING.as_dict(), "rollout_of_next_year": 3},
        {"rollout_is": 3},
    ],
)
def test_of_a_configuration_that_nobody_knows_nothing_is_said(config: dict[str, Any]) -> None:
    """As of runs that were imported."""
    rule = Rule(name="x", severity=Severity.WARNING, when=parse("rollout_is_mean > 2"))
    assert why_never(rule, config) is None


def test_without_a_correction_the_default_rules_about_one_are_dead() -> None:
    dead = [rule.name for rule in DEFAULT_RULES if why_never(rule, NOTHING.as_dict())]
    assert dead == [
        "mean_weight_far_from_one", "few_weighted_samples_count", "weights_spread", "sequences_vetoed",
        "too_many_vetoed", "too_much_discarded",
    ]  # fmt: skip
    dead = [rule.name for rule in DEFAULT_RULES if why_never(rule, TRUNCATED.as_dict())]
    assert dead == [
        "few_weighted_samples_count", "weights_spread", "sequences_vetoed", "too_many_vetoed", "too_much_discarded",
    ]  # fmt: skip


def test_every_figure_of_the_catalogue_comes_under_some_configuration() -> None:
    configs = [NORMALIZED, REJECTED, VETOED]
    configs += [CorrectionConfig(rollout_rs=name, rollout_rs_threshold=2.0) for name in (
        "token_k1", "token_k2", "token_k3", "seq_sum_k1", "seq_sum_k2", "seq_sum_k3",
        "seq_mean_k1", "seq_mean_k2", "seq_mean_k3", "seq_max_k2", "seq_max_k3",
    )]  # fmt: skip
    assert set().union(*map(figures_under, configs)) == set(METRICS)


ENDS = st.sampled_from(
    [-math.inf, -1e308, -2.0, -1.0, -0.5, -0.0, 0.0, 1e-300, 0.5, 1.0, 3.0, 1e308, math.inf]
)
INTERVALS = st.tuples(ENDS, ENDS).map(lambda ends: Interval(min(ends), max(ends)))


@given(st.data(), INTERVALS, INTERVALS, st.sampled_from("+-*/"))
def test_arithmetic_stays_within_what_intervals_allow(
    data: st.DataObject, left: Interval, right: Interval, operator: str
) -> None:
    a, b = (data.draw(st.floats(*interval, allow_nan=False)) for interval in (left, right))
    low, high = arithmetic(operator, left, right)
    if operator == "/" and b == 0:
        assert (low, high) == (-math.inf, math.inf)
        return
    came = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[operator]()
    assert math.isnan(came) or low <= came <= high
    assert absolute(left).low <= abs(a) <= absolute(left).high
