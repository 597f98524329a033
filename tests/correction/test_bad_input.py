"""What cannot be is refused at once, with the thing's name, what was expected, what came, and the cure."""

from typing import Any

import pytest
import torch

from rolloutwatch_correction import Groups, correct

LOGPROBS = torch.zeros(8, 512)
MASK = torch.ones(8, 512)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rollout_logprobs": torch.zeros(8, 513)},
            r"rollout_logprobs has shape \(8, 513\) but training_logprobs has \(8, 512\): expected the same.*drop",
        ),
        ({"response_mask": torch.ones(8, 1)}, r"response_mask has shape \(8, 1\).*expected the same"),
        (
            {"training_logprobs": torch.zeros(512)},
            r"training_logprobs has shape \(512,\): expected two dimensions",
        ),
        ({"rollout_logprobs": [[0.0]]}, r"rollout_logprobs is a list: expected a torch.Tensor"),
        (
            {"rollout_logprobs": LOGPROBS.long()},
            r"rollout_logprobs is of torch.int64: expected .* floating-point",
        ),
        (
            {"training_logprobs": LOGPROBS.bool()},
            r"training_logprobs is of torch.bool: expected .* floating-point",
        ),
        (
            {"response_mask": MASK.cfloat()},
            r"response_mask is of torch.complex64: expected bool, integers or floats",
        ),
        (
            {"response_mask": torch.empty(8, 512, dtype=torch.int4)},
            r"response_mask is of torch.int4: expected bool, integers or floats",
        ),
        (
            {"response_mask": MASK.to("meta")},
            r"response_mask is on meta but .* on cpu: .*move it with \.to\('cpu'\)",
        ),
        (
            {"training_entropy": MASK.cfloat()},
            r"training_entropy is of torch.complex64: expected a floating-",
        ),
        ({"training_entropy": 0.7}, r"training_entropy is a float: expected a torch.Tensor"),
        (
            {"training_entropy": torch.zeros(8)},
            r"training_entropy has shape \(8,\) but .* \(8, 512\): expected the same, or one number",
        ),
    ],
)
def test_tensors_that_cannot_be(change: dict[str, Any], message: str) -> None:
    good = {"training_logprobs": LOGPROBS, "rollout_logprobs": LOGPROBS, "response_mask": MASK}
    with pytest.raises(ValueError, match=message):
        correct(**(good | change))


ROW = torch.zeros(5)
ROWS = [torch.zeros(3), torch.zeros(2)]
IDS = torch.zeros(8, dtype=torch.int64)


@pytest.mark.parametrize(
    ("cu_seqlens", "message"),
    [
        ([0, 5], r"cu_seqlens is a list: expected a tensor of integers \[sequences \+ 1\]"),
        (torch.tensor([0.0, 5.0]), r"cu_seqlens is of torch.float32 and shape \(2,\): expected .* integers"),
        (torch.tensor([[0, 5]]), r"cu_seqlens is of torch.int64 and shape \(1, 2\): expected"),
        (torch.tensor(5), r"cu_seqlens is of torch.int64 and shape \(\): expected"),
        (torch.tensor([], dtype=torch.int64), r"cu_seqlens is of torch.int64 and shape \(0,\): expected"),
        (torch.tensor([0]), r"cu_seqlens is of no sequence, but there are 5 tokens: expected"),
        (
            torch.tensor([0, 5], device="meta"),
            r"cu_seqlens is on meta, but the log-probs are on cpu: expected",
        ),
        (torch.tensor([0, 5]).bool(), r"cu_seqlens is of torch.bool"),
        (torch.tensor([0, 5]).cfloat(), r"cu_seqlens is of torch.complex64"),
    ],
)
def test_cumulative_lengths_that_cannot_be(cu_seqlens: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correct(ROW, ROW, ROW, cu_seqlens=cu_seqlens)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cu_seqlens": None}, r"training_logprobs has shape \(5,\): expected two dimensions.*or cu_seqlens"),
        (
            {"training_logprobs": ROW[None]},
            r"training_logprobs has shape \(1, 5\): expected one dimension, \[tokens\]",
        ),
        ({"response_mask": ROW[:4]}, r"response_mask has shape \(4,\) but training_logprobs has \(5,\)"),
        ({"training_entropy": ROW[:4]}, r"training_entropy has shape \(4,\).*or one number"),
        ({"sample_ids": IDS[:5]}, r"sample_ids has shape \(5,\): expected \(2,\), one for each sequence"),
        (
            {"groups": Groups(IDS[:5], ("a",))},
            r"groups has shape \(5,\): expected \(2,\), one for each sequence",
        ),
    ],
)
def test_packed_tensors_that_cannot_be(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"training_logprobs": ROW, "rollout_logprobs": ROW, "response_mask": ROW}
    with pytest.raises(ValueError, match=message):
        correct(**(good | {"cu_seqlens": torch.tensor([0, 3, 5])} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"rollout_logprobs": ROWS[:1]},
            r"training_logprobs is a list of 2 tensors but rollout_logprobs is a list of 1: expected as many",
        ),
        ({"response_mask": torch.ones(2, 3)}, r"a list of 2 tensors but response_mask is a Tensor: expected as many"),
        ({"training_logprobs": torch.ones(2, 3)}, r"rollout_logprobs is a list: expected a torch.Tensor"),
        ({"training_entropy": torch.ones(2, 3)}, r"training_entropy is a Tensor: expected as many tensors"),
        ({"training_entropy": ROWS[:1]}, r"training_entropy is a list of 1: expected as many tensors"),
        (
            {"rollout_logprobs": [ROWS[0], torch.zeros(4)]},
            r"rollout_logprobs\[1\] has shape \(4,\) but training_logprobs\[1\] has \(2,\): expected the same",
        ),
        ({"response_mask": [ROWS[0], None]}, r"response_mask\[1\] is a NoneType: expected a torch.Tensor"),
        ({"response_mask": [ROWS[0], [1, 1]]}, r"response_mask\[1\] is a list: expected a torch.Tensor"),
        (
            {"training_logprobs": [ROWS[0][None], ROWS[1]]},
            r"training_logprobs\[0\] has shape \(1, 3\): expected one dimension",
        ),
        (
            {"rollout_logprobs": [ROWS[0], ROWS[1].long()]},
            r"rollout_logprobs\[1\] is of torch.int64: expected a floating-point type",
        ),
        ({"cu_seqlens": torch.tensor([0, 3, 5])}, r"cu_seqlens came with lists of tensors: .*Leave cu_seqlens out"),
        ({"sample_ids": IDS}, r"sample_ids has shape \(8,\): expected \(2,\), one for each sequence"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"training_logprobs": ROWS, "rollout_logprobs": ROWS, "response_mask": ROWS}
    with pytest.raises(ValueError, match=message):
        correct(**(good | change))


def test_rows_on_several_devices_are_refused() -> None:
    elsewhere = [ROWS[0], ROWS[1].to("meta")]
    with pytest.raises(ValueError, match=r"\[1\] is on meta but .*\[0\] is on cpu: expected the same device"):
        correct(elsewhere, elsewhere, elsewhere)


def test_rows_of_several_precisions_are_refused_or_the_best_counts() -> None:
    """That of the first must not decide how much is left of the others."""
    mine = [torch.tensor([-1.0]).bfloat16(), torch.tensor([-1.0 + 1e-4])]
    theirs = [torch.tensor([-1.0]), torch.tensor([-1.0])]
    try:
        metrics = correct(mine, theirs, theirs).metrics.as_dict()
    except ValueError:
        return
    assert metrics["logprob_abs_diff_max"] == pytest.approx(1e-4, rel=1e-2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sample_ids": IDS[:7]}, r"sample_ids has shape \(7,\): expected \(8,\), one for each sequence"),
        ({"sample_ids": IDS[:, None]}, r"sample_ids has shape \(8, 1\): expected \(8,\)"),
        (
            {"groups": Groups(IDS[:7], ("a",))},
            r"groups has shape \(7,\): expected \(8,\), one for each sequence",
        ),
        ({"sample_ids": list(range(8))}, r"sample_ids is a list"),
        ({"sample_ids": IDS.float()}, r"sample_ids is of torch.float32"),
        ({"sample_ids": IDS.to("meta")}, r"sample_ids is on meta"),
        ({"groups": ["a"] * 8}, r"groups is a list: expected .*Groups\.of"),
        ({"groups": Groups(IDS.to("meta"), ("a",))}, r"groups .*on meta"),
        ({"config": {"rollout_is": "token"}}, r"config is a dict.*from_mapping"),
    ],
)
def test_what_comes_beside_the_tokens_must_fit(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correct(LOGPROBS, LOGPROBS, MASK, **more)


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (IDS.bool(), ("a",)),
        (IDS.cfloat(), ("a",)),
        (IDS, "ab"),
    ],
)
def test_groups_that_cannot_be(ids: Any, names: Any) -> None:
    """Flags are no numbers of groups, and a text is not several names."""
    with pytest.raises(ValueError, match="of groups"):
        Groups(ids, names)
