"""What cannot be is refused at once, with the thing's name, what was expected, what came, and the cure."""

from typing import Any

import pytest
import torch

from rolloutwatch_correction import correct

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
