"""A configuration is read as it was meant, from wherever verl has it, or refused with the cure."""

import copy
import dataclasses
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.presets import PRESETS
from rolloutwatch_contract.values import LEVELS, REJECTIONS, Bounds, Rejection
from rolloutwatch_correction import CorrectionConfig

# The configurations of verl's documentation, verbatim.
QUICK_START = """
algorithm:
  rollout_correction:
    rollout_is: token  # IS weights: token/sequence/null
    rollout_is_threshold: 2.0  # Upper threshold
    rollout_rs: null  # Rejection sampling: token/sequence/geometric/null
    rollout_rs_threshold: null
    rollout_rs_threshold_lower: null
    rollout_token_veto_threshold: null  # Veto threshold

# IMPORTANT: Must enable log prob calculation
actor_rollout_ref:
  rollout:
    calculate_log_probs: true
"""
EXAMPLES = {
    "example_1_token_is": """
algorithm:
  rollout_correction:
    rollout_is: token
    rollout_is_threshold: 2.0
    rollout_rs: null  # No rejection sampling
""",
    "example_2_sequence_rs": """
algorithm:
  rollout_correction:
    rollout_is: null  # No IS weights
    rollout_rs: sequence
    rollout_rs_threshold: 3.0
""",
    "example_3_token_is_token_rs": """
algorithm:
  rollout_correction:
    rollout_is: token
    rollout_is_threshold: 2.0
    rollout_rs: token
    rollout_rs_threshold: 2.0
""",
    "example_4_geometric_rs_veto": """
algorithm:
  rollout_correction:
    rollout_is: null
    rollout_rs: geometric
    rollout_rs_threshold: 1.0002
    rollout_rs_threshold_lower: 0.9998
    rollout_token_veto_threshold: 1e-4
""",
    "example_5_sequence_is_token_rs_veto": """
algorithm:
  rollout_correction:
    rollout_is: sequence
    rollout_is_threshold: 5.0
    rollout_rs: token
    rollout_rs_threshold: 3.0
    rollout_rs_threshold_lower: 0.5
    rollout_token_veto_threshold: 1e-4
""",
}
EXPECTED_OF_EXAMPLES: dict[str, tuple[Bounds, tuple[Rejection, ...], float | None]] = {
    "example_1_token_is": (Bounds(0.5, 2.0), (), None),
    "example_2_sequence_rs": (
        Bounds(0.5, 2.0),
        (Rejection("sequence", "sequence", "ratio", Bounds(1 / 3, 3.0)),),
        None,
    ),
    "example_3_token_is_token_rs": (
        Bounds(0.5, 2.0),
        (Rejection("token", "token", "ratio", Bounds(0.5, 2.0)),),
        None,
    ),
    "example_4_geometric_rs_veto": (
        Bounds(0.5, 2.0),
        (Rejection("geometric", "geometric", "ratio", Bounds(0.9998, 1.0002)),),
        1e-4,
    ),
    "example_5_sequence_is_token_rs_veto": (
        Bounds(0.2, 5.0),
        (Rejection("token", "token", "ratio", Bounds(0.5, 3.0)),),
        1e-4,
    ),
}


# --- what is read ---


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_missions_examples_mean_what_they_say(name: str) -> None:
    """From the YAML as it is printed there; the preset of that name is the same."""
    config = CorrectionConfig.from_mapping(yaml.safe_load(EXAMPLES[name]))
    bounds, rejections, veto = EXPECTED_OF_EXAMPLES[name]
    assert (bounds, rejections, veto) == (
        config.bounds,
        config.rejections,
        config.rollout_token_veto_threshold,
    )
    assert config.origin == "algorithm.rollout_correction"
    assert config == CorrectionConfig.preset(name)


def test_pyyaml_leaves_some_numbers_as_text() -> None:
    """The trap that the examples stand in: 1e-4 without a dot is no number to YAML 1.1."""
    node = yaml.safe_load(EXAMPLES["example_4_geometric_rs_veto"])["algorithm"]["rollout_correction"]
    assert node["rollout_token_veto_threshold"] == "1e-4"
    assert CorrectionConfig.from_mapping(node).rollout_token_veto_threshold == 1e-4


def test_the_quick_start_is_read_without_a_warning() -> None:
    config = CorrectionConfig.from_mapping(yaml.safe_load(QUICK_START))
    assert config == CorrectionConfig(rollout_is="token")


def test_nothing_said_is_nothing_corrected() -> None:
    config = CorrectionConfig()
    assert config.as_dict() == {
        "rollout_is": None,
        "rollout_is_mode": "truncate",
        "rollout_is_threshold": 2.0,
        "rollout_is_threshold_lower": None,
        "rollout_is_batch_normalize": False,
        "rollout_rs": None,
        "rollout_rs_threshold": None,
        "rollout_rs_threshold_lower": None,
        "rollout_token_veto_threshold": None,
        "bypass_mode": False,
        "loss_type": "ppo_clip",
    }
    assert (config.bounds, config.rejections, config.origin) == (Bounds(0.5, 2.0), (), "arguments")


def test_null_is_the_default_of_every_key() -> None:
    """verl's YAML names every key, and gives those that are off no value."""
    assert CorrectionConfig() == CorrectionConfig.from_mapping(dict.fromkeys(CorrectionConfig().as_dict()))


@pytest.mark.parametrize(
    "mapping",
    [
        {"rollout_is": None, "rollout_is_threshold": 3.0, "rollout_is_threshold_lower": 0.5},
        {"rollout_rs": None, "rollout_rs_threshold": 2.0, "rollout_rs_threshold_lower": 0.5},
        {"rollout_rs_threshold": 0.01},
        {"rollout_rs_threshold": "0.999_1.001,0.01"},
    ],
)
def test_thresholds_of_what_is_off_are_no_mistake(mapping: dict[str, Any]) -> None:
    config = CorrectionConfig.from_mapping(mapping)
    assert config.rollout_is is None
    assert config.rejections == ()


@pytest.mark.parametrize("level", LEVELS)
def test_weights_exist_at_every_level(level: str) -> None:
    assert CorrectionConfig(rollout_is=level).rollout_is == level


@pytest.mark.parametrize(
    ("threshold", "lower", "bounds"),
    [
        (4.0, None, Bounds(0.25, 4.0)),
        (4.0, 0.5, Bounds(0.5, 4.0)),
        (0.5, 0.1, Bounds(0.1, 0.5)),
        (1, None, Bounds(1.0, 1.0)),
        ("2.0", "5e-1", Bounds(0.5, 2.0)),
        (" 2 ", None, Bounds(0.5, 2.0)),
    ],
)
def test_the_lower_bound_is_the_reciprocal_unless_given(threshold: Any, lower: Any, bounds: Bounds) -> None:
    config = CorrectionConfig(rollout_is_threshold=threshold, rollout_is_threshold_lower=lower)
    assert bounds == config.bounds
    assert config.rollout_is_mode == "truncate"


@pytest.mark.parametrize(
    ("said", "lower", "upper"), [("0.5_5.0", 0.5, 5.0), ("0.5_5", 0.5, 5.0), ("1_2", 1.0, 2.0)]
)
def test_two_bounds_of_weights_mean_icepop(said: str, lower: float, upper: float) -> None:
    """As in newest verl. "1_2" is a lower and an upper bound, though Python and YAML read it as 12."""
    config = CorrectionConfig.from_mapping({"rollout_is": "token", "rollout_is_threshold": said})
    spelt_out = CorrectionConfig(
        rollout_is="token",
        rollout_is_mode="mask",
        rollout_is_threshold=upper,
        rollout_is_threshold_lower=lower,
    )
    assert config == spelt_out
    assert config.bounds == Bounds(lower, upper)


def test_two_bounds_may_be_truncated_too_if_each_has_its_key() -> None:
    config = CorrectionConfig(rollout_is="token", rollout_is_threshold=5.0, rollout_is_threshold_lower=0.5)
    assert (config.rollout_is_mode, config.bounds) == ("truncate", Bounds(0.5, 5.0))


@pytest.mark.parametrize(
    ("rollout_rs", "threshold", "lower", "expected"),
    [
        ("token", 2.0, None, [("token", "token", "ratio", 0.5, 2.0)]),
        ("sequence", "4", None, [("sequence", "sequence", "ratio", 0.25, 4.0)]),
        ("geometric", 1.001, 0.999, [("geometric", "geometric", "ratio", 0.999, 1.001)]),
        ("geometric", "0.999_1.001", None, [("geometric", "geometric", "ratio", 0.999, 1.001)]),
        ("token_k1", 2.0, None, [("token_k1", "token", "k1", 0.5, 2.0)]),
        ("token_k1", "0.3_2.0", None, [("token_k1", "token", "k1", 0.3, 2.0)]),
        ("token_k1", 2.0, 0.3, [("token_k1", "token", "k1", 0.3, 2.0)]),
        ("token_k1", "0.3_0.5", None, [("token_k1", "token", "k1", 0.3, 0.5)]),
        ("token_k2", 0.5, None, [("token_k2", "token", "k2", 0.0, 0.5)]),
        ("seq_sum_k1", "0.5_2.0", None, [("seq_sum_k1", "sequence", "k1", 0.5, 2.0)]),
        ("seq_mean_k3", 0.01, None, [("seq_mean_k3", "geometric", "k3", 0.0, 0.01)]),
        ("seq_max_k2", "42.4", None, [("seq_max_k2", "seq_max", "k2", 0.0, 42.4)]),
        (
            "seq_mean_k1, seq_max_k2",
            "0.95_1.05, 0.02",
            None,
            [("seq_mean_k1", "geometric", "k1", 0.95, 1.05), ("seq_max_k2", "seq_max", "k2", 0.0, 0.02)],
        ),
        (
            ["token_k1", "seq_sum_k3"],
            [2, "3.0"],
            None,
            [("token_k1", "token", "k1", 0.5, 2.0), ("seq_sum_k3", "sequence", "k3", 0.0, 3.0)],
        ),
        (
            "token_k1,seq_max_k3",
            2.0,
            None,
            [("token_k1", "token", "k1", 0.5, 2.0), ("seq_max_k3", "seq_max", "k3", 0.0, 2.0)],
        ),
        ("token_k2,token_k2", 0.5, None, [("token_k2", "token", "k2", 0.0, 0.5)]),
    ],
)  # fmt: skip
def test_rejections_are_level_statistic_and_bounds(
    rollout_rs: Any, threshold: Any, lower: Any, expected: list[tuple[Any, ...]]
) -> None:
    """A single bound of a ratio brings its reciprocal, a divergence begins at 0, and k1 has the bounds of the ratio."""
    config = CorrectionConfig.from_mapping(
        {"rollout_rs": rollout_rs, "rollout_rs_threshold": threshold, "rollout_rs_threshold_lower": lower}
    )
    assert config.rejections == tuple(
        Rejection(name, level, statistic, Bounds(*bounds)) for name, level, statistic, *bounds in expected
    )


@pytest.mark.parametrize(
    ("rollout_rs", "threshold", "kept"),
    [
        ("token", "2.0", ("token", 2.0)),
        (["token_k2"], [0.5], ("token_k2", 0.5)),
        (" seq_mean_k1 ,seq_max_k2, seq_mean_k1", ["0.95_1.05", 2], ("seq_mean_k1,seq_max_k2", "0.95_1.05,2.0")),
        ("token_k1", "1_2", ("token_k1", "1.0_2.0")),
        (("token_k2", "token_k3"), "0.5", ("token_k2,token_k3", 0.5)),
        (None, [0.5, "1_2"], (None, "0.5,1.0_2.0")),
    ],
)  # fmt: skip
def test_what_is_kept_is_plain(rollout_rs: Any, threshold: Any, kept: tuple[Any, Any]) -> None:
    """One number, or text that YAML leaves alone; however it was written, the same is kept."""
    config = CorrectionConfig(rollout_rs=rollout_rs, rollout_rs_threshold=threshold)
    assert kept == (config.rollout_rs, config.rollout_rs_threshold)
    assert yaml.safe_load(yaml.safe_dump(config.as_dict())) == config.as_dict()


# --- where it is found ---


@pytest.mark.parametrize(
    ("mapping", "origin"),
    [
        ({"rollout_is": "token"}, "the mapping itself"),
        ({"rollout_correction": {"rollout_is": "token"}}, "rollout_correction"),
        ({"adv_estimator": "grpo", "rollout_correction": {"rollout_is": "token"}}, "rollout_correction"),
        ({"algorithm": {"rollout_correction": {"rollout_is": "token"}}}, "algorithm.rollout_correction"),
        (
            {"data": {}, "algorithm": {"gamma": 1.0, "rollout_correction": {"rollout_is": "token"}}},
            "algorithm.rollout_correction",
        ),
        ({"algorithm": {"gamma": 1.0, "rollout_is": "token"}}, "the keys under algorithm"),
        ({"rollout_is": True, "rollout_is_threshold": 2.0}, "older flat keys"),
        (
            {"algorithm": {"gamma": 1.0, "rollout_is": True, "rollout_is_threshold": 2.0}},
            "older flat keys under algorithm",
        ),
        ({"rollout_correction": {"rollout_is": "token", "_target_": "verl"}}, "rollout_correction"),
    ],
)
def test_verls_keys_are_read_where_verl_has_them(mapping: dict[str, Any], origin: str) -> None:
    config = CorrectionConfig.from_mapping(mapping)
    assert origin == config.origin
    assert config == CorrectionConfig(rollout_is="token")


@pytest.mark.parametrize(
    ("mapping", "origin"),
    [
        ({}, "the mapping itself"),
        (None, "the mapping itself"),
        ({"rollout_correction": None}, "rollout_correction"),
        ({"algorithm": {"rollout_correction": None}}, "algorithm.rollout_correction"),
        ({"algorithm": {"gamma": 1.0}}, "nothing: algorithm has no rollout_correction"),
        ({"algorithm": None}, "nothing: algorithm has no rollout_correction"),
    ],
)
def test_nothing_asked_for_is_nothing_corrected(mapping: Any, origin: str) -> None:
    config = CorrectionConfig.from_mapping(mapping)
    assert config == CorrectionConfig()
    assert origin == config.origin


class Foreign(Mapping[str, Any]):
    """A mapping that is no dict, as OmegaConf's and verl's own are."""

    def __init__(self, **values: Any) -> None:
        self.values_by_key = values

    def __getitem__(self, key: str) -> Any:
        return self.values_by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)


@pytest.mark.parametrize("kind", [dict, OrderedDict, Foreign, lambda **x: MappingProxyType(x)])
def test_any_kind_of_mapping_is_read(kind: Any) -> None:
    whole = kind(algorithm=kind(rollout_correction=kind(rollout_is="token", rollout_is_threshold=3)))
    assert CorrectionConfig.from_mapping(whole) == CorrectionConfig(
        rollout_is="token", rollout_is_threshold=3.0
    )


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        (
            {
                "rollout_is": True, "rollout_is_level": "geometric", "rollout_is_mode": "mask",
                "rollout_is_threshold": 2.0, "rollout_is_threshold_lower": 0.3, "rollout_is_veto_threshold": "1e-4",
            },
            CorrectionConfig(
                rollout_is="geometric", rollout_is_mode="mask", rollout_is_threshold=2.0,
                rollout_is_threshold_lower=0.3, rollout_token_veto_threshold=1e-4,
            ),
        ),
        (
            {"rollout_is": True, "rollout_is_level": "sequence", "rollout_is_threshold": 5},
            CorrectionConfig(rollout_is="sequence", rollout_is_threshold=5.0),
        ),
        (
            {
                "rollout_is": False, "rollout_is_level": "geometric", "rollout_is_mode": "mask",
                "rollout_is_threshold": 1.001, "rollout_is_threshold_lower": 0.999, "rollout_is_veto_threshold": 1e-4,
            },
            CorrectionConfig(
                rollout_rs="geometric", rollout_rs_threshold=1.001, rollout_rs_threshold_lower=0.999,
                rollout_token_veto_threshold=1e-4,
            ),
        ),
        (
            {"rollout_is_level": "token", "rollout_is_threshold": 3.0, "rollout_is_veto_threshold": 1e-4},
            CorrectionConfig(rollout_is_threshold=3.0, rollout_token_veto_threshold=1e-4),
        ),
        (
            {
                "rollout_is": True, "rollout_is_level": "token", "rollout_is_mode": "mask",
                "rollout_is_threshold": None, "rollout_is_veto_threshold": 1e-4,
            },
            CorrectionConfig(),
        ),
        ({"rollout_is": False}, CorrectionConfig()),
        ({"rollout_is_level": "token", "rollout_is_veto_threshold": None}, CorrectionConfig()),
    ],
)  # fmt: skip
def test_older_flat_keys_mean_what_they_meant(flat: dict[str, Any], expected: CorrectionConfig) -> None:
    """Their threshold is the main switch; rollout_is: false drops the weights and leaves the rejection of mode mask."""
    assert expected == CorrectionConfig.from_mapping(flat)
    assert expected == CorrectionConfig.from_mapping({"algorithm": {"rollout_correction": None} | flat})


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"bypass_old_logprob_for_rollout": True}, {"bypass_mode": True}),
        ({"bypass_old_logprob_for_rollout": False}, {"bypass_mode": False}),
        ({"use_policy_gradient": True}, {"loss_type": "reinforce"}),
        ({"use_pure_rollout_correction": True}, {"loss_type": "reinforce"}),
        ({"use_pure_rollout_correction": False}, {"loss_type": "ppo_clip"}),
        ({"use_policy_gradient": None, "loss_type": "reinforce"}, {"loss_type": "reinforce"}),
        ({"use_policy_gradient": True, "loss_type": "reinforce"}, {"loss_type": "reinforce"}),
    ],
)
def test_older_spellings_of_bypass_mode_are_read(older: dict[str, Any], newer: dict[str, Any]) -> None:
    assert CorrectionConfig.from_mapping(older) == CorrectionConfig.from_mapping(newer)


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        ({"rollout": {"calculate_log_probs": False}}, "False"),
        ({"rollout": {"calculate_log_probs": "true"}}, "'true'"),
        ({"rollout": {}}, "None"),
        ({"actor": {}}, "None"),
        (None, "None"),
    ],
)
def test_a_whole_configuration_without_logprobs_is_warned_of(actor: Any, said: str) -> None:
    """verl skips the correction then, without a word; the warning points at whoever handed it over."""
    whole = {"algorithm": {"rollout_correction": {"rollout_is": "token"}}, "actor_rollout_ref": actor}
    message = rf"actor_rollout_ref.rollout.calculate_log_probs is {said}: .*no log-probs.* Set it to true"
    with pytest.warns(UserWarning, match=message) as told:
        config = CorrectionConfig.from_mapping(whole)
    assert config.rollout_is == "token"
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    "mapping",
    [
        {"algorithm": {"rollout_correction": {"rollout_is": "token"}}},
        {"algorithm": {}, "actor_rollout_ref": {"rollout": {"calculate_log_probs": True}}},
    ],
)
def test_a_part_of_a_configuration_is_not_warned_of(mapping: dict[str, Any]) -> None:
    """What says nothing of the rollout engine does not say that it is wrong."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        CorrectionConfig.from_mapping(mapping)
    assert told == []


# --- presets ---


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_configuration(name: str) -> None:
    preset = CorrectionConfig.preset(name)
    assert preset.origin == f"preset {name}"
    assert preset == CorrectionConfig.from_mapping(PRESETS[name].keys)


def test_presets_have_the_values_of_verls_newest_version() -> None:
    assert CorrectionConfig.preset("decoupled_geo_rs").rejections == (
        Rejection("seq_mean_k1", "geometric", "k1", Bounds(0.999, 1.001)),
    )
    assert CorrectionConfig.preset("bypass_pg_token_icepop") == CorrectionConfig(
        rollout_is="token", rollout_is_mode="mask", rollout_is_threshold=5.0, rollout_is_threshold_lower=0.5,
        bypass_mode=True, loss_type="reinforce",
    )  # fmt: skip
    assert CorrectionConfig.preset("decoupled_k3_rs_seq_tis") == CorrectionConfig(
        rollout_is="sequence", rollout_rs="seq_mean_k3", rollout_rs_threshold=0.01
    )
    assert CorrectionConfig.preset("disabled") == CorrectionConfig()


def test_an_earlier_name_is_the_preset_of_today() -> None:
    preset = CorrectionConfig.preset("pg_rs")
    assert preset.origin == "preset bypass_pg_geo_rs_veto"
    assert preset.rollout_token_veto_threshold == 1e-4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("decoupled_geo", r"no preset is called 'decoupled_geo'. Did you mean 'decoupled_geo_rs'"),
        ("xyz", r"no preset is called 'xyz'. `rolloutwatch presets` lists all"),
        (["disabled"], r"no preset is called \['disabled'\]"),
    ],
)
def test_a_preset_that_is_none_is_refused(name: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorrectionConfig.preset(name)


# --- what is refused ---

REFUSED: list[tuple[dict[str, Any], str]] = [
    # weights
    ({"rollout_is": "geometrics"}, r"rollout_is is 'geometrics': expected one of token, sequence, geometric, or null for "
     r"no weights. Did you mean 'geometric'"),
    ({"rollout_is": ["token"]}, r"rollout_is is \['token'\]: expected one of token"),
    ({"rollout_is": 1}, r"rollout_is is 1: expected one of token"),
    ({"rollout_is_mode": "clip"}, r"rollout_is_mode is 'clip': expected one of truncate, mask"),
    ({"rollout_is": "token", "rollout_is_threshold": None}, r"rollout_is is 'token' but rollout_is_threshold is null: "
     r"expected an upper bound such as 2.0. Give one, or set rollout_is to null"),
    ({"rollout_is_threshold": 0}, r"rollout_is_threshold is 0: expected a positive number such as 2.0, or two"),
    ({"rollout_is_threshold": -2.0}, r"rollout_is_threshold is -2.0: expected a positive number"),
    ({"rollout_is_threshold": float("nan")}, r"rollout_is_threshold is nan: expected a positive number"),
    ({"rollout_is_threshold": float("inf")}, r"rollout_is_threshold is inf: expected a positive number"),
    ({"rollout_is_threshold": "inf"}, r"rollout_is_threshold is 'inf': expected a positive number"),
    ({"rollout_is_threshold": 10**400}, r"rollout_is_threshold is 10+: expected a positive number"),
    ({"rollout_is_threshold": True}, r"rollout_is_threshold is True: expected a positive number"),
    ({"rollout_is_threshold": "2,0"}, r"rollout_is_threshold is '2,0': expected a positive number such as 2.0"),
    ({"rollout_is_threshold": ""}, r"rollout_is_threshold is '': expected a positive number"),
    ({"rollout_is_threshold": [2.0]}, r"rollout_is_threshold is \[2.0\]: expected a positive number"),
    ({"rollout_is_threshold": "1_2_3"}, r"rollout_is_threshold is '1_2_3': expected .* two as \"0.5_2.0\""),
    ({"rollout_is_threshold": "0.5_"}, r"rollout_is_threshold is '0.5_': expected a positive number"),
    ({"rollout_is_threshold": "0_2"}, r"rollout_is_threshold is '0_2': expected a positive number"),
    ({"rollout_is_threshold": "5.0_0.5"}, r"rollout_is_threshold is '5.0_0.5': expected lower <= upper. Swap them"),
    ({"rollout_is_threshold": 0.52}, r"rollout_is_threshold is 0.52: its reciprocal.*Use a threshold of 1 or more, or give "
     r"both.*need quotes: YAML reads 0.5_2 as 0.52 and 1_2 as 12"),
    ({"rollout_is_threshold": "0.52"}, r"rollout_is_threshold is '0.52': its reciprocal.*\"0.1_0.5\".$"),
    ({"rollout_is_threshold_lower": 3.0, "rollout_is_threshold": 2.0}, r"rollout_is_threshold is 2.0 and "
     r"rollout_is_threshold_lower is 3.0: expected lower <= upper. Swap"),
    ({"rollout_is_threshold_lower": 0.0}, r"rollout_is_threshold_lower is 0.0: expected a positive number .* or null"),
    ({"rollout_is_threshold_lower": "1_2"}, r"rollout_is_threshold_lower is '1_2': expected a positive number"),
    ({"rollout_is_threshold": "0.5_5.0", "rollout_is_mode": "truncate"}, r"rollout_is_threshold is '0.5_5.0', which means "
     r"mode mask, but rollout_is_mode is 'truncate'. Give 5.0 alone to truncate, or leave rollout_is_mode out"),
    ({"rollout_is_threshold": "0.5_5.0", "rollout_is_threshold_lower": 0.5}, r"rollout_is_threshold is '0.5_5.0' and "
     r"rollout_is_threshold_lower is 0.5: expected one lower bound. Leave rollout_is_threshold_lower out"),
    ({"rollout_is_batch_normalize": 1}, r"rollout_is_batch_normalize is 1: expected true or false, without quotes"),
    # rejection
    ({"rollout_rs": "token"}, r"rollout_rs is 'token' but rollout_rs_threshold is null: expected an upper bound such as 2.0. "
     r"Give one, or set rollout_rs to null"),
    ({"rollout_rs": "token", "rollout_rs_threshold": []}, r"rollout_rs is 'token' but rollout_rs_threshold is null"),
    ({"rollout_rs": "seq_mean_k4"}, r"rollout_rs is 'seq_mean_k4': expected one of token, sequence, geometric, or one or "
     r"several of token_k1, .*seq_max_k3, or null for no rejection. Did you mean 'seq_mean_k"),
    ({"rollout_rs": "seq_max_k1"}, r"rollout_rs is 'seq_max_k1': expected one of.*Did you mean 'seq_max_k"),
    ({"rollout_rs": ""}, r"rollout_rs is '': expected one of token"),
    ({"rollout_rs": []}, r"rollout_rs is \[\]: expected one of token"),
    ({"rollout_rs": False}, r"rollout_rs is False: expected one of token"),
    ({"rollout_rs": [["token_k1"]]}, r"rollout_rs is \[\['token_k1'\]\]: expected one of token"),
    ({"rollout_rs": "token_k1,"}, r"rollout_rs is 'token_k1,': expected one of token"),
    ({"rollout_rs": "token,seq_mean_k1", "rollout_rs_threshold": 2.0}, r"rollout_rs is 'token,seq_mean_k1': expected token, "
     r"sequence, geometric to stand alone. To combine, write token_k1 for token"),
    ({"rollout_rs": "token,geometric", "rollout_rs_threshold": 2.0}, r"to stand alone"),
    ({"rollout_rs": "token", "rollout_rs_threshold": 0}, r"rollout_rs_threshold is 0: expected a positive number"),
    ({"rollout_rs": "token", "rollout_rs_threshold": "nan"}, r"rollout_rs_threshold is 'nan': expected a positive number"),
    ({"rollout_rs_threshold": -1.0}, r"rollout_rs_threshold is -1.0: expected a positive number"),
    ({"rollout_rs": "token_k2,token_k3", "rollout_rs_threshold": "0.5,x"}, r"rollout_rs_threshold is 'x': expected a pos"),
    ({"rollout_rs": "token", "rollout_rs_threshold": 0.52}, r"rollout_rs_threshold is 0.52: its reciprocal.*YAML reads"),
    ({"rollout_rs": "token_k1", "rollout_rs_threshold": 0.52}, r"rollout_rs_threshold is 0.52: its reciprocal.*YAML reads"),
    ({"rollout_rs": "token_k1", "rollout_rs_threshold": "2_1"}, r"rollout_rs_threshold is '2_1': expected lower <= upper"),
    ({"rollout_rs": "token", "rollout_rs_threshold": 2.0, "rollout_rs_threshold_lower": 3.0}, r"rollout_rs_threshold is 2.0 "
     r"and rollout_rs_threshold_lower is 3.0: expected lower <= upper. Swap them"),
    ({"rollout_rs": "token", "rollout_rs_threshold": "0.5_2", "rollout_rs_threshold_lower": 0.4}, r"expected one lower bound"),
    ({"rollout_rs": "token_k2", "rollout_rs_threshold": "0.5_2.0"}, r"rollout_rs_threshold is '0.5_2.0', but token_k2 is "
     r"never negative and has no lower bound: expected one number. Write 2.0 alone"),
    ({"rollout_rs": "seq_max_k3", "rollout_rs_threshold": 1.0, "rollout_rs_threshold_lower": 0.5}, r"rollout_rs_threshold is "
     r"1.0 and rollout_rs_threshold_lower is 0.5, but seq_max_k3 is never negative"),
    ({"rollout_rs": "token_k1,seq_mean_k1", "rollout_rs_threshold": 2.0, "rollout_rs_threshold_lower": 0.5}, r"rollout_rs is "
     r"'token_k1,seq_mean_k1' but rollout_rs_threshold_lower is 0.5: expected null.*Write both bounds into"),
    ({"rollout_rs": "token_k2,token_k3", "rollout_rs_threshold": "1,2,3"}, r"rollout_rs is 'token_k2,token_k3' but "
     r"rollout_rs_threshold has 3 entries: expected one for all, or one for each of the 2"),
    ({"rollout_rs": "token_k2,token_k2", "rollout_rs_threshold": "1,1"}, r"rollout_rs_threshold has 2 entries"),
    # the rest
    ({"rollout_token_veto_threshold": -1e-4}, r"rollout_token_veto_threshold is -0.0001: expected a positive number"),
    ({"rollout_token_veto_threshold": "off"}, r"rollout_token_veto_threshold is 'off': expected a positive .* or null"),
    ({"bypass_mode": "true"}, r"bypass_mode is 'true': expected true or false, without quotes"),
    ({"loss_type": "ppo-clip"}, r"loss_type is 'ppo-clip': expected one of ppo_clip, reinforce. Did you mean 'ppo_clip'"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "message"), REFUSED)
@pytest.mark.parametrize("make", [CorrectionConfig.from_mapping, lambda x: CorrectionConfig(**x)])
def test_values_that_cannot_be_are_refused(make: Any, values: dict[str, Any], message: str) -> None:
    """Whoever makes it and however; verl switches the feature off in several of these cases, without a word."""
    with pytest.raises(ValueError, match=message):
        make(values)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"rollout_is_treshold": 2.0}, r"unknown key 'rollout_is_treshold'.*Did you mean 'rollout_is_threshold'"),
        ({"rollout_is": True, "rollout_is_treshold": 2.0}, r"unknown key 'rollout_is_treshold'.*Did you mean"),
        ({"rollout_corection": {}}, r"unknown key 'rollout_corection'.*Did you mean 'rollout_correction'"),
        ({"algorithm": {"rollout_corection": {}}}, r"unknown key 'rollout_corection'.*Did you mean 'rollout_correction'"),
        ({"algorithm": {"rollout_rs_treshold": 1}}, r"unknown key 'rollout_rs_treshold'.*Did you mean 'rollout_rs_thr"),
        ({"zzz": 1}, r"unknown key 'zzz'.*Known are .*rollout_token_veto_threshold"),
        ({7: 1}, r"unknown key 7 in"),
        ({"rollout_is_level": "token", "rollout_rs": "token"}, r"unknown key 'rollout_rs'"),
        ({"rollout_correction": [1]}, r"configuration is a list: expected a mapping of its keys, such as"),
        ({"algorithm": "grpo"}, r"configuration is a str: expected a mapping"),
        (
            {"rollout_is_level": "token", "rollout_correction": {"rollout_is": "token"}},
            r"rollout_correction stands beside rollout_is_level: expected the one or the others. Remove what is older",
        ),
        # within the node, today's keys alone are meant
        ({"rollout_correction": {"rollout_is": True}}, r"rollout_is is True: expected one of token, sequence"),
        ({"rollout_is": False, "rollout_rs": "token"}, r"rollout_is is False: expected one of .* or null for no weights"),
        # older flat keys
        ({"rollout_is": True}, r"rollout_is_threshold is missing beside rollout_is: it is the main switch.*such as 2.0, or "
         r"null for no correction at all; with today's keys rollout_is is a level, such as token"),
        ({"rollout_is_veto_threshold": 1e-4}, r"rollout_is_threshold is missing beside rollout_is_veto_threshold"),
        ({"rollout_is_level": "token", "rollout_is_mode": "mask"}, r"rollout_is_threshold is missing"),
        ({"rollout_is": "token", "rollout_is_level": "token"}, r"rollout_is is 'token': expected true or false.*Beside the "
         r"older flat keys the level is rollout_is_level"),
        ({"rollout_is_level": "seq"}, r"rollout_is_level is 'seq': expected one of token, sequence, geometric"),
        ({"rollout_is": True, "rollout_is_mode": "clip"}, r"rollout_is_mode is 'clip': expected one of truncate, mask"),
        ({"rollout_is_veto_threshold": 0}, r"rollout_is_veto_threshold is 0: expected a positive number"),
        ({"rollout_is": False, "rollout_is_mode": "mask", "rollout_is_threshold": 0.52}, r"rollout_is_threshold is 0.52: its"),
        # older spellings
        ({"use_policy_gradient": "yes"}, r"use_policy_gradient is 'yes': expected true or false.*Today it is loss_type"),
        ({"use_policy_gradient": True, "loss_type": "ppo_clip"}, r"use_policy_gradient is True but loss_type, which replaced "
         r"it, is 'ppo_clip'. Remove use_policy_gradient"),
        ({"bypass_old_logprob_for_rollout": False, "bypass_mode": True}, r"Remove bypass_old_logprob_for_rollout"),
    ],
)  # fmt: skip
def test_mappings_that_cannot_be_are_refused(mapping: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CorrectionConfig.from_mapping(mapping)


@pytest.mark.parametrize(
    ("lower", "upper"), [(2.0, 1.0), (-1.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)]
)
def test_bounds_have_something_between_them(lower: float, upper: float) -> None:
    with pytest.raises(ValueError, match=r"bounds are .* expected 0 <= lower <= upper, finite"):
        Bounds(lower, upper)


# --- a value among values ---

RATIO_BOUND = st.floats(1, 1e6)
ANY_BOUND = st.floats(1e-9, 1e6)
TWO_BOUNDS = st.tuples(ANY_BOUND, ANY_BOUND).map(sorted).map(lambda pair: f"{pair[0]}_{pair[1]}")
DIVERGENCES = [name for name, (_, statistic) in REJECTIONS.items() if statistic in ("k2", "k3")]
OF_RATIOS = [name for name in REJECTIONS if name not in DIVERGENCES]
OPTIONS = [name for name in REJECTIONS if name not in LEVELS]


@st.composite
def rejections(draw: st.DrawFn) -> dict[str, Any]:
    """Keys of a rejection: none, one with or without a lower bound, or several with a threshold for each."""
    kind = draw(st.sampled_from(["none", "one", "dual", "several"]))
    if kind == "none":
        return {"rollout_rs": None, "rollout_rs_threshold": draw(st.none() | ANY_BOUND | TWO_BOUNDS)}
    if kind == "one":
        return {"rollout_rs": draw(st.sampled_from([*REJECTIONS])), "rollout_rs_threshold": draw(RATIO_BOUND)}
    if kind == "dual":
        return {
            "rollout_rs": draw(st.sampled_from(OF_RATIOS)),
            "rollout_rs_threshold": draw(RATIO_BOUND),
            "rollout_rs_threshold_lower": draw(st.none() | st.floats(1e-9, 1)),
        }
    names = draw(st.lists(st.sampled_from(OPTIONS), min_size=1, unique=True))
    thresholds = [
        draw(ANY_BOUND if name in DIVERGENCES else st.one_of(RATIO_BOUND, TWO_BOUNDS)) for name in names
    ]
    as_text = draw(st.booleans())
    return {
        "rollout_rs": " , ".join(names) if as_text else names,
        "rollout_rs_threshold": ",".join(map(str, thresholds)) if as_text else thresholds,
    }


@st.composite
def keys(draw: st.DrawFn) -> dict[str, Any]:
    """What can be said, as numbers and as text."""
    level = draw(st.sampled_from([None, *LEVELS]))
    threshold = draw(RATIO_BOUND | RATIO_BOUND.map(str) | TWO_BOUNDS)
    two = isinstance(threshold, str) and "_" in threshold
    return {
        "rollout_is": level,
        "rollout_is_mode": draw(st.sampled_from([None, "mask"] if two else [None, "mask", "truncate"])),
        "rollout_is_threshold": threshold,
        "rollout_is_threshold_lower": None if two else draw(st.none() | st.floats(1e-9, 1)),
        "rollout_is_batch_normalize": draw(st.booleans()),
        "rollout_token_veto_threshold": draw(st.none() | st.floats(1e-9, 1) | st.just("1e-4")),
        "bypass_mode": draw(st.booleans()),
        "loss_type": draw(st.sampled_from(["ppo_clip", "reinforce"])),
        **draw(rejections()),
    }


@given(keys())
def test_what_is_kept_makes_the_same_configuration(said: dict[str, Any]) -> None:
    """Also by way of YAML, and with the same bounds, so that a run's configuration can be used again."""
    config = CorrectionConfig.from_mapping(said)
    kept = config.as_dict()
    assert all(isinstance(value, str | int | float | bool | None) for value in kept.values())
    for mapping in (kept, yaml.safe_load(yaml.safe_dump(kept)), {"algorithm": {"rollout_correction": kept}}):
        again = CorrectionConfig.from_mapping(mapping)
        assert again == config
        assert hash(again) == hash(config)
        assert (again.bounds, again.rejections) == (config.bounds, config.rejections)
    assert config == CorrectionConfig(**said) == dataclasses.replace(config)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["token", "1_2", "0.5_2.0", "token_k1", "mask", *OPTIONS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
NAMES = [
    *CorrectionConfig().as_dict(),
    "rollout_is_level",
    "rollout_is_veto_threshold",
    "use_policy_gradient",
]


@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4))
def test_whatever_comes_is_read_or_refused(mapping: dict[str, Any]) -> None:
    """Never an error of another kind, and a refusal names a key that came or is missing."""
    try:
        config = CorrectionConfig.from_mapping(mapping)
    except ValueError as refusal:
        told = str(refusal)
    else:
        told = next(iter(NAMES))
        assert CorrectionConfig.from_mapping(config.as_dict()) == config
    assert any(key in told for key in NAMES)


def test_what_it_was_made_from_does_not_make_it_another() -> None:
    """Where it was found and what is derived from its keys take no part in equality."""
    here, there = (
        CorrectionConfig.from_mapping(x) for x in ({"rollout_is": "token"}, {"rollout_correction": {"rollout_is": "token"}})
    )  # fmt: skip
    assert here == there
    assert len({here, there}) == 1
    assert here.origin != there.origin
    assert here != CorrectionConfig(rollout_is="token", rollout_is_threshold=2.5)


def test_it_can_be_copied_sent_and_changed_in_part_but_not_written_to() -> None:
    config = CorrectionConfig.preset("decoupled_geo_rs")
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert (other.rejections, other.origin) == (config.rejections, config.origin)
    wider = dataclasses.replace(config, rollout_rs_threshold="0.99_1.01")
    assert wider.rejections == (Rejection("seq_mean_k1", "geometric", "k1", Bounds(0.99, 1.01)),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.rollout_is = "token"  # type: ignore[misc]


def test_a_compiled_function_takes_it_as_it_is() -> None:
    """Every value is there when it is asked for, so that nothing breaks the graph."""

    @torch.compile(fullgraph=True, backend="eager")
    def kept(ratios: torch.Tensor, config: CorrectionConfig) -> torch.Tensor:
        keep = torch.ones_like(ratios, dtype=torch.bool)
        for rejection in config.rejections:
            if rejection.statistic in ("ratio", "k1"):
                keep &= (ratios >= rejection.bounds.lower) & (ratios <= rejection.bounds.upper)
        if config.rollout_is_mode == "mask":
            keep &= ratios <= config.bounds.upper
        return keep

    ratios = torch.tensor([0.2, 0.5, 1.0, 2.0, 5.0])
    narrow = CorrectionConfig(rollout_rs="token", rollout_rs_threshold=2.0)
    assert kept(ratios, narrow).tolist() == [False, True, True, True, False]
    masked = CorrectionConfig(rollout_is="token", rollout_is_threshold="0.5_1.5", rollout_rs=None)
    assert kept(ratios, masked).tolist() == [True, True, True, False, False]


class AsAttributes(Mapping[str, Any]):
    """Keys that are attributes, and asked for one that is not there it says so as Python does of attributes; verl's are such."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise AttributeError(f"no attribute {key}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_verls_own_objects_are_read() -> None:
    config = CorrectionConfig.from_mapping(AsAttributes(rollout_is="token", rollout_is_threshold=3.0))
    assert (config.rollout_is, config.rollout_is_threshold) == ("token", 3.0)
