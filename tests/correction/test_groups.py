"""A group's figures are those of its sequences alone; whoever belongs to none is in no group's figures."""

from typing import Any

import pytest
import torch

from rolloutwatch_contract.catalogue import CORE_METRICS
from rolloutwatch_correction import CorrectionConfig, Groups, correct
from tests.correction.batches import LAYOUTS, Batch
from tests.correction.families import FAMILIES, sample

NAMES = ("math", "code", "chat")


def figures_of(metrics: dict[str, float], group: str) -> dict[str, float]:
    return {name.partition("@")[0]: x for name, x in metrics.items() if name.endswith(f"@{group}")}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_figures_of_a_group_are_those_of_its_sequences_alone(name: str, layout: str) -> None:
    """Every core figure that the configuration brings, and no other."""
    b, config = sample(17), FAMILIES[name]
    assert b.groups is not None
    metrics = b.correct(config, layout=layout).metrics.as_dict()
    for place, group in enumerate(b.groups.names):
        rows = Batch(*(tensor[b.groups.ids == place] for tensor in b.tensors))
        alone = rows.correct(config).metrics.as_dict()
        expected = {figure: alone[figure] for figure in CORE_METRICS if figure in alone}
        assert len(expected) >= 8
        assert figures_of(metrics, group) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_groups_add_up_to_the_batch() -> None:
    """If each sequence has one."""
    b = sample(17)
    grouped = Batch(*b.tensors, Groups(torch.arange(17) % 3, NAMES))
    metrics = grouped.correct(FAMILIES["everything"]).metrics.as_dict()
    for figure in ("n_tokens", "n_sequences"):
        assert sum(metrics[f"{figure}@{group}"] for group in NAMES) == metrics[figure]


def test_groups_change_no_other_figure() -> None:
    b = sample()
    for config in FAMILIES.values():
        metrics = b.correct(config).metrics.as_dict()
        plain = Batch(*b.tensors).correct(config).metrics.as_dict()
        assert {name: x for name, x in metrics.items() if "@" not in name} == plain


@pytest.mark.parametrize("stranger", [-1, -100, 3, 4, 2**40])
def test_a_number_without_a_name_is_no_group(stranger: int) -> None:
    """It is in the figures of the batch alone, and in the table with its number."""
    b = sample()
    ids = torch.tensor([0, 1, 2, stranger, 0, 1, 2, stranger, stranger])
    metrics = Batch(*b.tensors, Groups(ids, NAMES)).correct().metrics.as_dict()
    assert metrics["n_sequences"] == 9
    assert [metrics[f"n_sequences@{group}"] for group in NAMES] == [2, 2, 2]


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8])
def test_numbers_may_be_integers_of_any_size(dtype: torch.dtype) -> None:
    b = sample()
    ids = torch.arange(9) % 3
    expected = Batch(*b.tensors, Groups(ids, NAMES)).correct().metrics.as_dict()
    assert expected == Batch(*b.tensors, Groups(ids.to(dtype), NAMES)).correct().metrics.as_dict()


def test_a_group_without_sequences_has_counts_and_nothing_else() -> None:
    """As on a rank that got none of its samples."""
    b = sample()
    metrics = Batch(*b.tensors, Groups(torch.zeros(9, dtype=torch.int64), NAMES)).correct(
        FAMILIES["everything"]
    ).metrics.as_dict()  # fmt: skip
    assert figures_of(metrics, "code") == {"n_tokens": 0, "n_sequences": 0}
    assert len(figures_of(metrics, "math")) > 8


def test_a_group_of_sequences_without_tokens_has_counts_and_nothing_else() -> None:
    b = sample()
    ids = torch.tensor([0] * 7 + [1] * 2)
    metrics = Batch(*b.tensors, Groups(ids, NAMES)).correct(FAMILIES["everything"]).metrics.as_dict()
    assert figures_of(metrics, "code") == {"n_tokens": 0, "n_sequences": 2}


def test_a_batch_without_sequences_has_groups_too() -> None:
    """A rank may get no data."""
    nothing = torch.zeros(0, 5)
    groups = Groups.of([], names=NAMES)
    metrics = correct(nothing, nothing, nothing, FAMILIES["everything"], groups=groups).metrics.as_dict()
    assert {f"n_tokens@{group}": 0 for group in NAMES}.items() <= metrics.items()


def test_no_group_is_as_good_as_any() -> None:
    """Labels none of which is named leave the figures of the batch."""
    b = sample()
    correction = Batch(*b.tensors, Groups.of(["other"] * 9, names=())).correct()
    assert correction.statistics.by_group is not None
    assert correction.statistics.by_group.shape[0] == 0
    assert not any("@" in name for name in correction.metrics.as_dict())


def test_groups_are_made_of_labels() -> None:
    """Those that occur in alphabetical order, or those that are named in theirs."""
    groups = Groups.of(["math", "code", "math"])
    assert groups.names == ("code", "math")
    assert groups.ids.tolist() == [1, 0, 1]
    named = Groups.of(["math", "code", "poems"], names=["math", "code", "chat"])
    assert named.names == NAMES
    assert named.ids.tolist() == [0, 1, -1]
    assert Groups.of(["math"], device="meta").ids.device.type == "meta"
    assert Groups.of([]).ids.dtype == torch.int64


def test_the_order_of_names_does_not_matter() -> None:
    b = sample()
    labels = ["math", "code", "chat", "math", "code", "chat", "math", "code", "chat"]
    one, other = (
        Batch(*b.tensors, Groups.of(labels, names=names)).correct().metrics.as_dict()
        for names in (NAMES, NAMES[::-1])
    )
    assert one == other


def test_the_table_has_the_number_of_each_sequences_group() -> None:
    b = sample()
    ids = torch.tensor([0, 1, 2, -1, 7, 1, 2, 0, 0])
    table = Batch(*b.tensors, Groups(ids, NAMES)).correct(sample_ids=torch.arange(9) + 50).sequences
    assert table[:, -2].tolist() == ids.tolist()
    assert table[:, -1].tolist() == list(range(50, 59))
    assert Batch(*b.tensors).correct().sequences[:, -2].tolist() == [-1] * 9


def test_groups_of_micro_batches_add_up() -> None:
    """If all name the same groups, though one of them has only some."""
    b = sample(17)
    for config in (CorrectionConfig(), FAMILIES["everything"]):
        parts = [b.rows(slice(0, 4)), b.rows(slice(4, 4)), b.rows(slice(4, 17))]
        first, *others = (part.correct(config).statistics for part in parts)
        for other in others:
            first = first.merge(other)
        whole = b.correct(config)
        assert whole.statistics.by_group is not None
        assert first.by_group is not None
        torch.testing.assert_close(first.by_group, whole.statistics.by_group, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("ids", "names", "message"),
    [
        ([0, 1], NAMES, r"ids of groups are a list: expected a tensor of integers.*Groups\.of\(labels\) makes one"),
        (torch.zeros(2), NAMES, r"ids of groups are of torch.float32 and shape \(2,\): expected a tensor of integers"),
        (torch.zeros(2, 1, dtype=torch.int64), NAMES, r"shape \(2, 1\): expected a tensor of integers, one for each"),
        (torch.zeros(2, dtype=torch.int64), ("math", "math"), r"names of groups are .*: expected each once"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be(ids: Any, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Groups(ids, names)
