"""However the tokens lie in memory, and however many are looked at together, the outcome is the same."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rolloutwatch_correction import Correction, CorrectionConfig, Groups, correct
from rolloutwatch_correction.portions import TOKENS_AT_ONCE
from tests.correction.batches import LAYOUTS, Batch
from tests.correction.families import FAMILIES, entropy_of, sample

PORTION = TOKENS_AT_ONCE["cpu"]


def assert_same(expected: Correction, actual: Correction, *, rel: float) -> None:
    """The same figures and table, though numbers are added up in another order."""
    assert expected.metrics.as_dict() == pytest.approx(actual.metrics.as_dict(), rel=rel, abs=rel)
    torch.testing.assert_close(actual.sequences, expected.sequences, rtol=rel, atol=rel)


def assert_same_tokens(b: Batch, expected: Correction, actual: Correction, layout: str) -> None:
    assert torch.equal(expected.response_mask, b.padded(actual.response_mask, layout))
    assert (expected.weights is None) == (actual.weights is None)
    if expected.weights is not None:
        weights = b.padded(actual.weights, layout)
        torch.testing.assert_close(weights, expected.weights, rtol=1e-6, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS[1:])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_the_same_in_every_layout(name: str, layout: str) -> None:
    """With holes, empty responses at the end, groups, entropies, and log-probs that are no numbers."""
    b = sample()
    padded, other = (b.correct(FAMILIES[name], layout=of, entropy=entropy_of(b)) for of in ("padded", layout))
    assert_same(padded, other, rel=1e-12)
    assert_same_tokens(b, padded, other, layout)


LONG = {"many rows": (75, 900), "a row is longer": (2, PORTION + 7)}


@pytest.mark.parametrize("shape", LONG.values(), ids=LONG)
@pytest.mark.parametrize("name", ["sequence masked, normalized", "everything"])
def test_a_batch_of_several_portions_is_that_of_one(name: str, shape: tuple[int, int]) -> None:
    """What is packed is looked at all together: the same tokens, the other way."""
    b = sample(*shape, torch.float64)
    assert b.mask.numel() > PORTION
    padded, other = (
        b.correct(FAMILIES[name], layout=of, entropy=entropy_of(b)) for of in ("padded", "packed")
    )
    assert_same(padded, other, rel=1e-9)
    assert_same_tokens(b, padded, other, "packed")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_portions_agree_in_less_precision_too(dtype: torch.dtype) -> None:
    b = sample(75, 900, dtype)
    padded, other = (b.correct(FAMILIES["everything"], layout=of) for of in ("padded", "packed"))
    assert_same(padded, other, rel=1e-5)
    assert_same_tokens(b, padded, other, "packed")


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32])
def test_portions_leave_the_mask_its_values(kind: torch.dtype) -> None:
    """With and without something that takes tokens out."""
    b = sample(75, 900, torch.float32)
    mask = b.mask.to(kind)
    observed = correct(b.training, b.rollout, mask)
    assert torch.equal(mask, observed.response_mask)
    rejected = correct(b.training, b.rollout, mask, FAMILIES["rejects token"]).response_mask
    assert rejected.dtype == kind
    assert torch.equal(b.kept(FAMILIES["rejects token"]).to(kind), rejected)


def one_row(*rows: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor([x for row in rows for x in row], dtype=dtype)


PACKED = CorrectionConfig(
    rollout_is="sequence", rollout_is_threshold=100.0, rollout_token_veto_threshold=0.05
)


def in_one_row(cu_seqlens: list[int], *, kind: torch.dtype = torch.int32) -> Correction:
    """Correct seven tokens, of which the fourth is catastrophic."""
    training, rollout = one_row([0.1, 0.2, 0.3], [-9.0, 0.5], [0.6, 0.7]) - 1, one_row([-1.0] * 7)
    return correct(training, rollout, torch.ones(7), PACKED, cu_seqlens=torch.tensor(cu_seqlens, dtype=kind))


@pytest.mark.parametrize("kind", [torch.int32, torch.int64, torch.int16, torch.uint8])
def test_a_row_of_three_sequences_worked_by_hand(kind: torch.dtype) -> None:
    """Each token has the weight of its sequence; the veto removes one of them and leaves its neighbours."""
    correction = in_one_row([0, 3, 5, 7], kind=kind)
    expected = [math.exp(0.6)] * 3 + [math.exp(-8.5)] * 2 + [math.exp(1.3)] * 2
    assert correction.weights.tolist() == pytest.approx(expected)
    assert correction.response_mask.tolist() == [1, 1, 1, 0, 0, 1, 1]
    assert correction.sequences[:, 0].tolist() == [3, 2, 2]
    assert correction.sequences[:, 5].tolist() == [0, 0, 0]
    assert correction.sequences[:, 6].tolist() == [2, 1, 1]


def test_sequences_without_tokens_stand_anywhere_in_a_row() -> None:
    """First, last, and two in the middle: they are empty, and the others are as they were."""
    correction, plain = in_one_row([0, 0, 3, 3, 3, 5, 7, 7]), in_one_row([0, 3, 5, 7])
    assert torch.equal(plain.weights, correction.weights)
    assert torch.equal(plain.response_mask, correction.response_mask)
    assert correction.sequences[:, 0].tolist() == [0, 3, 0, 0, 2, 2, 0]
    assert torch.equal(plain.sequences[:, :13], correction.sequences[[1, 4, 5], :13])
    metrics, expected = correction.metrics.as_dict(), plain.metrics.as_dict()
    assert metrics.pop("n_sequences") == expected.pop("n_sequences") + 4
    assert metrics.pop("n_empty_sequences") == 4
    expected.pop("n_empty_sequences")
    assert metrics == expected


def test_tokens_of_no_sequence_are_padding() -> None:
    """Before the first or after the last, as where a row is filled up to a multiple of some length."""
    correction = in_one_row([3, 5])
    assert correction.weights.tolist() == pytest.approx([0, 0, 0, *[math.exp(-8.5)] * 2, 0, 0])
    assert not correction.response_mask.any()
    assert correction.metrics.as_dict()["n_tokens"] == 2
    tail = in_one_row([0, 3])
    assert tail.response_mask.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert tail.metrics.as_dict()["n_tokens"] == 3


def test_a_row_without_a_sequence_is_a_batch_without_one() -> None:
    nothing = torch.zeros(0)
    correction = correct(nothing, nothing, nothing, PACKED, cu_seqlens=torch.tensor([0]))
    assert correction.metrics.as_dict() == {"n_tokens": 0, "n_sequences": 0, "n_empty_sequences": 0}
    assert correction.sequences.shape[0] == 0


def test_lists_come_back_as_lists_of_what_came() -> None:
    """Whether they came as lists or as tuples, with the length of each, an empty one too."""
    rows = [torch.zeros(3), torch.zeros(0), torch.zeros(1)]
    for kind in (list, tuple):
        correction = correct(
            kind(rows), kind(rows), kind([row.bool() for row in rows]), FAMILIES["everything"]
        )
        for values, dtype in ((correction.weights, torch.float32), (correction.response_mask, torch.bool)):
            assert [row.shape for row in values] == [(3,), (0,), (1,)]
            assert {row.dtype for row in values} == {dtype}


def test_an_empty_list_is_a_batch_without_sequences() -> None:
    correction = correct([], [], [], FAMILIES["everything"])
    assert (correction.weights, correction.response_mask) == ([], [])
    assert correction.metrics.as_dict()["n_sequences"] == 0


def strided(tensor: Tensor, how: str) -> Tensor:
    """Return the same numbers, further apart or the other way round in memory."""
    if how == "transposed":
        return tensor.t().contiguous().t()
    wide = torch.full((tensor.shape[0], 2 * tensor.shape[1] + 3), 7, dtype=tensor.dtype)
    view = wide[:, 3::2]
    return view.copy_(tensor)


@pytest.mark.parametrize("how", ["transposed", "every other"])
@pytest.mark.parametrize("name", ["observe", "everything"])
def test_memory_may_have_any_order(name: str, how: str) -> None:
    """Views of other tensors, as a trainer cuts the response out of the whole sequence."""
    b = sample()
    views = dataclasses.replace(
        b, **{x: strided(getattr(b, x), how) for x in ("training", "rollout", "mask")}
    )
    assert not views.training.is_contiguous()
    expected, actual = b.correct(FAMILIES[name]), views.correct(FAMILIES[name])
    assert_same(expected, actual, rel=1e-12)
    assert_same_tokens(b, expected, actual, "padded")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_entropy_for_all_is_that_of_each(layout: str) -> None:
    """Its mean is all that surprise is held against."""
    b: Any = sample()
    one = b.correct(layout=layout, entropy=torch.tensor(0.7)).metrics.as_dict()
    each = b.correct(layout=layout, entropy=torch.full(b.mask.shape, 0.7)).metrics.as_dict()
    assert one["surprise_gap"] == pytest.approx(each["surprise_gap"], rel=1e-9)


def test_a_rank_without_sequences_may_make_its_numbers_of_an_empty_list() -> None:
    """Which torch takes for floats."""
    nothing = torch.zeros(0, 3)
    correction = correct(
        nothing, nothing, nothing, groups=Groups(torch.tensor([]), ("math",)), sample_ids=torch.tensor([])
    )
    assert correction.metrics.as_dict()["n_tokens@math"] == 0
    assert correction.sequences.shape[0] == 0
