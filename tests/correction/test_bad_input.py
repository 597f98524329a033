"""What cannot be is refused at once, with the thing's name, what was expected, what came, and the cure."""

from typing import Any

import pytest
import torch

from rolloutwatch_correction import CorrectionConfig, correct

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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rollout_is": "geometric"}, r"rollout_is is 'geometric': expected one of token, sequence, or null"),
        ({"rollout_is": True}, r"rollout_is is True: expected one of token, sequence, or null"),
        (
            {"rollout_is_treshold": 2.0},
            r"unknown key 'rollout_is_treshold'.*Did you mean 'rollout_is_threshold'",
        ),
        ({"zzz": 1}, r"unknown key 'zzz'.*Known are .*rollout_token_veto_threshold"),
        (
            {"rollout_is": "token", "rollout_is_threshold": None},
            r"threshold is null: expected an upper bound such as",
        ),
        ({"rollout_is_threshold": 0}, r"rollout_is_threshold is 0: expected a positive number"),
        ({"rollout_is_threshold": -2.0}, r"rollout_is_threshold is -2.0: expected a positive number"),
        ({"rollout_is_threshold": float("nan")}, r"rollout_is_threshold is nan: expected a positive number"),
        ({"rollout_is_threshold": float("inf")}, r"rollout_is_threshold is inf: expected a positive number"),
        ({"rollout_is_threshold": True}, r"rollout_is_threshold is True: expected a positive number"),
        ({"rollout_is_threshold": "2,0"}, r"rollout_is_threshold is '2,0': expected one number such as 2.0"),
        ({"rollout_is_threshold": "0.5_5.0"}, r"rollout_is_threshold is '0.5_5.0': expected one number"),
        ({"rollout_is_threshold": "1_2"}, r"rollout_is_threshold is '1_2': expected one number"),
        (
            {"rollout_is_threshold": 0.52},
            r"rollout_is_threshold is 0.52: its reciprocal.*Use a threshold of 1 or more",
        ),
        (
            {"rollout_is_threshold_lower": 3.0},
            r"lower is 3.0 but rollout_is_threshold is 2.0.*lower <= upper. Swap",
        ),
        (
            {"rollout_is_threshold_lower": 0.0},
            r"rollout_is_threshold_lower is 0.0: expected a positive number",
        ),
        (
            {"rollout_token_veto_threshold": -1e-4},
            r"rollout_token_veto_threshold is -0.0001: expected a positive",
        ),
        (
            {"rollout_rs": "token"},
            r"rollout_rs is 'token': only importance weights and veto are built. Leave",
        ),
        (
            {"rollout_rs_threshold": 2.0},
            r"rollout_rs_threshold is 2.0: only importance weights and veto are built",
        ),
        (
            {"rollout_is_mode": "mask"},
            r"rollout_is_mode is 'mask': only importance weights and veto are built",
        ),
        ({"rollout_is_batch_normalize": True}, r"rollout_is_batch_normalize is True: only .* are built"),
        ({"bypass_mode": True}, r"bypass_mode is True: only importance weights and veto are built"),
        ({"rollout_correction": [1]}, r"configuration is a list: expected a mapping"),
    ],
)
def test_configurations_that_cannot_be(config: dict[str, Any], message: str) -> None:
    """verl switches the feature off in several of these cases, without a word."""
    with pytest.raises(ValueError, match=message):
        CorrectionConfig.from_mapping(config)


@pytest.mark.parametrize(
    "mapping",
    [
        {"rollout_is": "token", "rollout_is_threshold": 2, "rollout_token_veto_threshold": "1e-4"},
        {
            "rollout_correction": {
                "rollout_is": "token",
                "rollout_token_veto_threshold": 1e-4,
                "rollout_rs": None,
            }
        },
        {"algorithm": {"rollout_correction": {"rollout_is": "token", "rollout_token_veto_threshold": 1e-4}}},
    ],
)
def test_verls_keys_are_read_where_verl_has_them(mapping: dict[str, Any]) -> None:
    """PyYAML leaves 1e-4 as text, and a value that means "off" asks for nothing."""
    expected = CorrectionConfig(rollout_is="token", rollout_token_veto_threshold=1e-4)
    config = CorrectionConfig.from_mapping(mapping)
    assert expected == config
    assert config == CorrectionConfig.from_mapping(config.as_dict())


@pytest.mark.parametrize(
    "mapping", [{}, {"rollout_correction": None}, {"algorithm": {"rollout_correction": None}}]
)
def test_nothing_asked_for_is_nothing_corrected(mapping: dict[str, Any]) -> None:
    assert CorrectionConfig() == CorrectionConfig.from_mapping(mapping)


def test_the_lower_bound_is_the_reciprocal_unless_given() -> None:
    assert CorrectionConfig(rollout_is_threshold=4.0).lower == 0.25
    assert CorrectionConfig(rollout_is_threshold=4.0, rollout_is_threshold_lower=0.5).lower == 0.5
