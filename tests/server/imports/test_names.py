"""An imported name becomes one of the catalogue where it means that figure, and nowhere else."""

import pytest

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_server.imports.mapping import ALIKE, SAME
from rolloutwatch_server.imports.names import MOST_NAMES, Names, TooManyNames, valid

HOSTILE = (
    "<script>alert(1)</script>", "../../etc/passwd", "=cmd|' /C calc'!A0", "\u202egnp.exe", "a\0b", "__proto__", "",
    "x" * 10_000, "-1", "@here", "é", "\ud800", "a\nb",
)  # fmt: skip


@pytest.mark.parametrize("one", SAME, ids=lambda one: one.name)
def test_a_name_that_means_a_figure_of_the_catalogue_becomes_it(one) -> None:
    assert one.metric in METRICS
    assert Names()(one.name) == one.metric


@pytest.mark.parametrize("one", ALIKE, ids=lambda one: one.name)
def test_a_name_that_only_looks_like_a_figure_keeps_its_own_and_that_is_told(one) -> None:
    """Another sign, another mean, before or after truncation."""
    names = Names()
    assert one.not_metric in METRICS
    assert names(one.name) == one.name
    assert one.why in names.alike[0]


def test_the_kl_of_the_opposite_sign_is_not_ours() -> None:
    """AReaL logs the mean of training minus rollout, everybody else the mean of rollout minus training."""
    names = Names()
    assert names("ppo_actor/update/behave_approx_kl/avg") == "ppo_actor/update/behave_approx_kl/avg"
    assert names("train/vllm_kl") == "mismatch_kl"


def test_prime_rls_mismatch_kl_is_k3() -> None:
    assert Names()("mismatch_kl/all/mean") == "mismatch_k3_kl"


def test_no_name_is_in_both_tables_or_twice_in_one() -> None:
    all_names = [one.name for one in (*SAME, *ALIKE)]
    assert len(all_names) == len(set(all_names))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_every_name_becomes_one_that_the_archive_can_have(name: str) -> None:
    own = Names()(name[:1000])
    assert is_metric_name(own)
    assert own == valid(own)


def test_two_names_never_become_one() -> None:
    names = Names()
    assert [names(name) for name in ("a b", "a_b", "a/b", "a?b", "a b")] == [
        "a_b",
        "a_b_2",
        "a/b",
        "a_b_3",
        "a_b",
    ]
    assert names.changed == {"a b": "a_b", "a_b": "a_b_2", "a?b": "a_b_3"}
    long = {names("x" * 200 + str(n)) for n in range(9)}
    assert len(long) == 9


def test_of_two_names_that_mean_one_figure_the_first_becomes_it() -> None:
    names = Names()
    assert [names(name) for name in ("train/vllm_kl", "rollout_correction/kl", "mismatch_kl")] == [
        "mismatch_kl", "rollout_correction/kl", "mismatch_kl_2",
    ]  # fmt: skip


def test_a_name_that_is_made_valid_never_becomes_one_of_the_catalogue() -> None:
    assert Names()("chi2 seq") == "chi2_seq_2"


def test_there_is_an_end_to_names() -> None:
    names = Names()
    for number in range(MOST_NAMES):
        names(f"m{number}")
    with pytest.raises(TooManyNames):
        names("one more")
