"""Where the correction's thresholds are on the axis of log ratios."""

import math

import pytest

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_dashboard.thresholds import correction_of, token_thresholds


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"rollout_is": "token", "rollout_is_threshold": 2.0}, [(math.log(2), "weight cut above 2")]),
        (
            {"rollout_is": "token", "rollout_is_threshold": "0.5_5.0"},
            [(math.log(0.5), "weight 0 below 0.5"), (math.log(5), "weight 0 above 5")],
        ),
        # of sequences nothing can be said on an axis of tokens
        ({"rollout_is": "sequence", "rollout_rs": "geometric", "rollout_rs_threshold": 1.1}, []),
        (
            {"rollout_rs": "token_k1", "rollout_rs_threshold": "0.5_2.0"},
            [(math.log(0.5), "token rejected below 0.5"), (math.log(2), "token rejected above 2")],
        ),
        ({"rollout_token_veto_threshold": 1e-4}, [(math.log(1e-4), "sequence vetoed below 1.00e-4")]),
        (
            {"rollout_rs": "seq_max_k2", "rollout_rs_threshold": 0.5},
            [(-1.0, "sequence rejected below 0.3679"), (1.0, "sequence rejected above 2.718")],
        ),
    ],
)  # fmt: skip
def test_a_threshold_stands_at_the_log_of_its_ratio(
    keys: dict[str, str | float], expected: list[tuple[float, str]]
) -> None:
    found = token_thresholds(CorrectionConfig.from_mapping(keys))
    assert [one.words for one in found] == [words for _, words in expected]
    assert [one.at for one in found] == pytest.approx([at for at, _ in expected])


@pytest.mark.parametrize("bound", [1e-6, 0.01, 0.5, 3.0])
def test_the_thresholds_of_k3_are_where_k3_is_the_bound(bound: float) -> None:
    """exp(x) - 1 - x is not even: on the left it takes a larger step."""
    low, high = token_thresholds(CorrectionConfig(rollout_rs="token_k3", rollout_rs_threshold=bound))
    assert [math.expm1(x) - x for x in (low.at, high.at)] == pytest.approx([bound, bound], rel=1e-9)
    assert low.at < 0 < high.at < -low.at


def test_thresholds_stand_in_the_order_of_the_axis() -> None:
    config = CorrectionConfig(
        rollout_is="token", rollout_token_veto_threshold=1e-4, rollout_rs="token", rollout_rs_threshold=3.0
    )
    assert [one.label for one in token_thresholds(config)] == ["veto", "reject", "cut", "reject"]


def test_a_configuration_that_is_none_says_why() -> None:
    assert "unknown key 'lr'" in str(correction_of({"lr": 1e-6}))
    assert isinstance(correction_of({"rollout_is": None}), CorrectionConfig)
