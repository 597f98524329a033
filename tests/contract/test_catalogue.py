"""The catalogue says enough about every figure, and the rules speak of figures that exist."""

import re
from pathlib import Path

import pytest

from rolloutwatch_contract import METRICS, Better, describe
from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit, worst
from rolloutwatch_contract.severity import Severity

MISSION_METRICS = """
rollout_is_mean rollout_is_eff_sample_size rollout_is_veto_fraction rollout_is_max rollout_is_min rollout_is_std
rollout_is_ratio_fraction_high rollout_is_ratio_fraction_low rollout_is_catastrophic_token_fraction
mismatch_training_ppl mismatch_rollout_ppl mismatch_ppl_ratio mismatch_log_ppl_diff mismatch_kl mismatch_k3_kl
rollout_is_masked_fraction
""".split()


@pytest.mark.parametrize("name", MISSION_METRICS)
def test_the_figures_people_know_from_verl_keep_their_names(name: str) -> None:
    assert describe(name).name == name


def test_an_unknown_figure_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(KeyError, match="Did you mean 'rollout_is_veto_fraction'"):
        describe("rollout_is_veto_fration")


def test_every_figure_says_what_it_is() -> None:
    """Meaning is a sentence, fractions are called so, and a figure with a best value says which."""
    for metric in METRICS.values():
        assert metric.meaning.endswith("."), metric.name
        assert metric.formula, metric.name
        assert (metric.ideal is None) == (metric.better is Better.NEITHER), metric.name
        if metric.name.endswith("_fraction"):
            assert metric.unit == "fraction", metric.name


def test_titles_are_unique() -> None:
    titles = [metric.title for metric in METRICS.values()]
    assert len(titles) == len(set(titles))


def test_every_default_rule_watches_a_figure_of_the_catalogue() -> None:
    assert {rule.metric for rule in DEFAULT_LIMITS} <= set(METRICS)
    assert len({rule.name for rule in DEFAULT_LIMITS}) == len(DEFAULT_LIMITS)


def test_a_figure_at_its_ideal_breaks_no_default_rule() -> None:
    for rule in DEFAULT_LIMITS:
        assert not rule.broken_by(describe(rule.metric).ideal or 0.0), rule.name


def test_a_limit_is_still_good_and_nan_says_nothing() -> None:
    rule = Limit(name="x", metric="kl", severity=Severity.WARNING, above=0.1, below=-0.1, summary="", cure="")
    assert [rule.broken_by(v) for v in (0.1, 0.11, -0.1, -0.11, float("nan"))] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_the_worst_broken_rule_speaks() -> None:
    broken = worst(DEFAULT_LIMITS, "rollout_is_veto_fraction", 0.5)
    assert broken is not None
    assert (broken.name, broken.severity) == ("too_many_vetoed", Severity.CRITICAL)
    assert worst(DEFAULT_LIMITS, "rollout_is_veto_fraction", 0.0) is None


def test_the_distributions_carry_one_version() -> None:
    """What is released together is numbered together, in code and in metadata, and pins its siblings to it."""
    root = Path(__file__).parents[2]
    found = {
        path.parent.name: re.findall(
            r'(?:version|__version__) = "([0-9][^"]*)"|"rolloutwatch[a-z-]*==([^"]+)"', path.read_text()
        )
        for path in [*root.glob("*/pyproject.toml"), *root.glob("*/rolloutwatch*/__init__.py")]
    }
    assert len(found) == 10
    assert {one or other for pairs in found.values() for one, other in pairs} == {"0.1.0"}
