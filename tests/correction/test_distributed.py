"""Ranks that share a batch get the figures of the whole batch, by one collective, and the same to the last bit."""

import dataclasses
from functools import cache
from typing import Any

import pytest
import torch

from rolloutwatch_correction import all_reduce_statistics
from tests.correction.families import FAMILIES, entropy_of, sample
from tests.correction.ranks import CUTS, OTHER_NAMES, WORLD, take_part
from tests.ranks import needs_ranks, outcomes_of

pytestmark = needs_ranks

Outcomes = list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Four processes, once for all tests here."""
    return outcomes_of(take_part, WORLD, tmp_path_factory.mktemp("ranks"))


@cache
def alone(name: str) -> Any:
    """The correction of the whole batch in this process."""
    b = sample()
    return b.correct(FAMILIES[name], entropy=entropy_of(b))


def parts(outcomes: Outcomes, case: str, name: str) -> Outcomes:
    return [outcomes[rank][case][name] for rank in range(len(CUTS[case]) - 1)]


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_ranks_have_the_figures_of_the_whole_batch(outcomes: Outcomes, case: str, name: str) -> None:
    """As many on each rank, of groups too, to twelve digits; and the same on all of them to the last bit."""
    first, *others = parts(outcomes, case, name)
    expected = alone(name).metrics.as_dict()
    assert any("@" in metric for metric in expected)
    assert expected == pytest.approx(first["metrics"], rel=1e-12, abs=0)
    for other in others:
        assert other["metrics"] == first["metrics"]
        assert torch.equal(other["vector"], first["vector"])
        assert torch.equal(other["by_group"], first["by_group"])


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_ranks_have_the_weights_of_the_whole_batch(outcomes: Outcomes, case: str, name: str) -> None:
    """Divided by the mean over all ranks, if they are divided at all; and the mask."""
    together, whole = parts(outcomes, case, name), alone(name)
    assert torch.equal(torch.cat([part["response_mask"] for part in together]), whole.response_mask)
    assert {part["weights"] is None for part in together} == {whole.weights is None}
    if whole.weights is not None:
        weights = torch.cat([part["weights"] for part in together])
        torch.testing.assert_close(weights, whole.weights, rtol=1e-12, atol=0)


def test_normalization_needs_the_other_ranks() -> None:
    """Otherwise the test above proves nothing: the mean of a part is not that of the whole."""
    for name, config in FAMILIES.items():
        if config.rollout_is_batch_normalize:
            part = sample().rows(slice(0, 5)).correct(config).weights
            assert not torch.allclose(part, alone(name).weights[:5], rtol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_one_collective_is_all_it_takes(outcomes: Outcomes, name: str) -> None:
    """One for the figures, whatever they are; and one more within `correct` if weights are normalized."""
    for case in CUTS:
        for part in parts(outcomes, case, name):
            assert len(part["collectives of all_reduce_statistics"]) == 1
            assert len(part["collectives of correct"]) == FAMILIES[name].rollout_is_batch_normalize


def test_ranks_that_name_other_groups_are_told(outcomes: Outcomes) -> None:
    """On every rank, lest one of them waits for the others; figures of math must not become those of code."""
    for rank in range(2):
        assert "expected the same names" in outcomes[rank]["other names"]


def test_groups_that_were_named_by_one_batch_alone_are_not_reduced(outcomes: Outcomes) -> None:
    """Labels that happen to occur are others on other ranks; that is told before anything is sent."""
    for rank in range(2):
        assert (
            "expected the same names on every rank. Groups.of(labels, names="
            in outcomes[rank]["labels alone"]
        )


def test_ranks_that_have_other_sums_are_told_too(outcomes: Outcomes) -> None:
    """Rather than that one of them ends and the other waits."""
    for rank in range(2):
        assert "statistics of ranks cannot be added up" in outcomes[rank]["other sums"]


def test_ranks_are_not_warned(outcomes: Outcomes) -> None:
    assert [outcome["warnings"] for outcome in outcomes] == [[]] * WORLD


def test_without_other_processes_statistics_stay_as_they_are() -> None:
    """A trainer of one process calls it too."""
    statistics = alone("everything").statistics
    assert all_reduce_statistics(statistics) is statistics


def test_statistics_of_other_configurations_or_groups_do_not_add_up() -> None:
    """What is merged on ranks and over micro-batches is checked alike."""
    statistics = alone("everything").statistics
    with pytest.raises(ValueError, match=r"cannot be merged.*expected the same configuration"):
        statistics.merge(alone("token").statistics)
    renamed = dataclasses.replace(statistics, groups=OTHER_NAMES[1])
    with pytest.raises(ValueError, match=r"expected the same names in the same order; name all groups"):
        statistics.merge(renamed)
    ungrouped = dataclasses.replace(statistics, groups=(), by_group=None)
    with pytest.raises(ValueError, match=r"have groups \(\) and .*expected the same names"):
        statistics.merge(ungrouped)
