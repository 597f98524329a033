"""Configurations of the correction that have a name: the examples of verl's README, and the presets of its versions.

They are data, so that the server can print them without knowing the correction.
The names are verl's newest; its earlier ones are understood too.
"""

import difflib
import json
import re
from collections.abc import Mapping

import msgspec

Value = str | float | bool | None


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration by name: keys and values of `algorithm.rollout_correction`, and in a sentence what they do."""

    name: str
    summary: str
    keys: Mapping[str, Value]
    earlier_names: tuple[str, ...] = ()


# --- what presets are put together from ---

_TOKEN_WEIGHTS: dict[str, Value] = {"rollout_is": "token", "rollout_is_threshold": 2.0}
_SEQUENCE_WEIGHTS: dict[str, Value] = {"rollout_is": "sequence", "rollout_is_threshold": 2.0}
_ICEPOP: dict[str, Value] = {"rollout_is": "token", "rollout_is_threshold": "0.5_5.0"}
_GEOMETRIC: dict[str, Value] = {"rollout_rs": "seq_mean_k1", "rollout_rs_threshold": "0.999_1.001"}
_K3: dict[str, Value] = {"rollout_rs": "seq_mean_k3", "rollout_rs_threshold": 0.01}
_GEOMETRIC_AND_VETO: dict[str, Value] = {
    "rollout_rs": "geometric",
    "rollout_rs_threshold": 1.001,
    "rollout_token_veto_threshold": 1e-4,
}
_CLIP: dict[str, Value] = {"bypass_mode": True, "loss_type": "ppo_clip"}
_REINFORCE: dict[str, Value] = {"bypass_mode": True, "loss_type": "reinforce"}

_EXAMPLES = (
    Preset(
        name="example_1_token_is",
        summary="Weights of tokens, truncated at 2 (example 1 of verl's README).",
        keys=_TOKEN_WEIGHTS | {"rollout_rs": None},
    ),
    Preset(
        name="example_2_sequence_rs",
        summary="Rejects sequences whose ratio is outside 1/3 to 3, without weights (example 2 of verl's README).",
        keys={"rollout_is": None, "rollout_rs": "sequence", "rollout_rs_threshold": 3.0},
    ),
    Preset(
        name="example_3_token_is_token_rs",
        summary="Weights of tokens, truncated at 2, and tokens rejected outside 1/2 to 2 (example 3 of verl's README).",
        keys=_TOKEN_WEIGHTS | {"rollout_rs": "token", "rollout_rs_threshold": 2.0},
    ),
    Preset(
        name="example_4_geometric_rs_veto",
        summary="Rejects sequences whose mean ratio is off by more than 0.02 %, and vetoes catastrophic tokens "
        "(example 4 of verl's README).",
        keys={
            "rollout_is": None,
            "rollout_rs": "geometric",
            "rollout_rs_threshold": 1.0002,
            "rollout_rs_threshold_lower": 0.9998,
            "rollout_token_veto_threshold": 1e-4,
        },
    ),
    Preset(
        name="example_5_sequence_is_token_rs_veto",
        summary="Weights of sequences, truncated at 5, tokens rejected outside 0.5 to 3, and the veto "
        "(example 5 of verl's README).",
        keys={
            "rollout_is": "sequence",
            "rollout_is_threshold": 5.0,
            "rollout_rs": "token",
            "rollout_rs_threshold": 3.0,
            "rollout_rs_threshold_lower": 0.5,
            "rollout_token_veto_threshold": 1e-4,
        },
    ),
)

_DECOUPLED = (
    Preset(
        name="decoupled_token_is",
        summary="Weights of tokens, truncated at 2.",
        keys=_TOKEN_WEIGHTS,
        earlier_names=("token_is", "token_tis"),
    ),
    Preset(
        name="decoupled_seq_is",
        summary="Weights of sequences, truncated at 2: unbiased up to the truncation, and noisy.",
        keys=_SEQUENCE_WEIGHTS,
        earlier_names=("seq_is",),
    ),
    Preset(
        name="decoupled_token_icepop",
        summary="Weights of tokens, and 0 outside 0.5 to 5 (IcePop).",
        keys=_ICEPOP,
    ),
    Preset(
        name="decoupled_seq_is_rs",
        summary="Weights of sequences, truncated at 2, and sequences rejected outside 0.5 to 2.",
        keys=_SEQUENCE_WEIGHTS | {"rollout_rs": "seq_sum_k1", "rollout_rs_threshold": "0.5_2.0"},
        earlier_names=("seq_is_rs",),
    ),
    Preset(
        name="decoupled_geo_rs",
        summary="Rejects sequences whose geometric mean ratio is outside 0.999 to 1.001.",
        keys=_GEOMETRIC,
    ),
    Preset(
        name="decoupled_geo_rs_seq_tis",
        summary="Rejects by geometric mean ratio outside 0.999 to 1.001, and weights of sequences, truncated at 2.",
        keys=_SEQUENCE_WEIGHTS | _GEOMETRIC,
    ),
    Preset(
        name="decoupled_geo_rs_token_tis",
        summary="Rejects by geometric mean ratio outside 0.999 to 1.001, and weights of tokens, truncated at 2.",
        keys=_TOKEN_WEIGHTS | _GEOMETRIC,
    ),
    Preset(
        name="decoupled_k3_rs",
        summary="Rejects sequences whose K3 estimate of the KL divergence is above 0.01 per token.",
        keys=_K3,
    ),
    Preset(
        name="decoupled_k3_rs_seq_tis",
        summary="Rejects by K3 above 0.01, and weights of sequences, truncated at 2.",
        keys=_SEQUENCE_WEIGHTS | _K3,
    ),
    Preset(
        name="decoupled_k3_rs_token_tis",
        summary="Rejects by K3 above 0.01, and weights of tokens, truncated at 2.",
        keys=_TOKEN_WEIGHTS | _K3,
    ),
)

_BYPASS = (
    Preset(
        name="bypass_ppo_clip",
        summary="PPO against the rollout policy itself, whose ratio is the correction; no weights.",
        keys=_CLIP,
    ),
    Preset(
        name="bypass_ppo_clip_geo_rs",
        summary="PPO against the rollout policy, and sequences rejected by geometric mean ratio outside 0.999 to 1.001.",
        keys=_GEOMETRIC | _CLIP,
    ),
    Preset(
        name="bypass_ppo_clip_k3_rs",
        summary="PPO against the rollout policy, and sequences rejected by K3 above 0.01.",
        keys=_K3 | _CLIP,
    ),
    Preset(
        name="bypass_pg_is",
        summary="REINFORCE with weights of sequences, truncated at 2.",
        keys=_SEQUENCE_WEIGHTS | _REINFORCE,
        earlier_names=("pg_is", "pure_is"),
    ),
    Preset(
        name="bypass_pg_token_icepop",
        summary="REINFORCE with weights of tokens that are 0 outside 0.5 to 5 (IcePop).",
        keys=_ICEPOP | _REINFORCE,
    ),
    Preset(
        name="bypass_pg_geo_rs",
        summary="REINFORCE, and sequences rejected by geometric mean ratio outside 0.999 to 1.001.",
        keys=_GEOMETRIC | _REINFORCE,
    ),
    Preset(
        name="bypass_pg_geo_rs_seq_tis",
        summary="REINFORCE with weights of sequences, truncated at 2, and rejection by geometric mean ratio.",
        keys=_SEQUENCE_WEIGHTS | _GEOMETRIC | _REINFORCE,
    ),
    Preset(
        name="bypass_pg_geo_rs_token_tis",
        summary="REINFORCE with weights of tokens, truncated at 2, and rejection by geometric mean ratio.",
        keys=_TOKEN_WEIGHTS | _GEOMETRIC | _REINFORCE,
    ),
    Preset(
        name="disabled",
        summary="Measures, and changes nothing.",
        keys={"rollout_is": None, "rollout_rs": None},
    ),
)

# verl dropped the veto in v0.7.1, and the names that came with it now mean something else.
_OLDER = (
    Preset(
        name="decoupled_geo_rs_veto",
        summary="Rejects by geometric mean ratio off by more than 0.1 %, and vetoes catastrophic tokens "
        "(decoupled_geo_rs of verl v0.6.1).",
        keys=_GEOMETRIC_AND_VETO,
        earlier_names=("geo_rs",),
    ),
    Preset(
        name="decoupled_geo_rs_seq_tis_veto",
        summary="The geometric rejection with veto, and weights of sequences, truncated at 2 "
        "(geo_rs_seq_tis of verl v0.7.0).",
        keys=_SEQUENCE_WEIGHTS | _GEOMETRIC_AND_VETO,
        earlier_names=("geo_rs_seq_tis",),
    ),
    Preset(
        name="bypass_ppo_clip_geo_rs_veto",
        summary="PPO against the rollout policy, and the geometric rejection with veto "
        "(bypass_ppo_clip_geo_rs of verl v0.7.0).",
        keys=_GEOMETRIC_AND_VETO | _CLIP,
    ),
    Preset(
        name="bypass_pg_geo_rs_veto",
        summary="REINFORCE, and the geometric rejection with veto (pg_rs of verl v0.6.1).",
        keys=_GEOMETRIC_AND_VETO | _REINFORCE,
        earlier_names=("bypass_pg_rs", "pg_rs"),
    ),
    Preset(
        name="bypass_pg_geo_rs_seq_tis_veto",
        summary="REINFORCE with weights of sequences, truncated at 2, and the geometric rejection with veto "
        "(bypass_pg_geo_rs_seq_tis of verl v0.7.0).",
        keys=_SEQUENCE_WEIGHTS | _GEOMETRIC_AND_VETO | _REINFORCE,
    ),
    Preset(
        name="geo_mis",
        summary="Rejects by geometric mean ratio outside 0.999 to 1.001, and vetoes catastrophic tokens "
        "(among verl's first presets).",
        keys=_GEOMETRIC_AND_VETO | {"rollout_rs_threshold_lower": 0.999},
    ),
    Preset(
        name="seq_mis",
        summary="Weights of sequences, truncated at 2, and sequences rejected above it but never below "
        "(among verl's first presets).",
        # verl wrote 0: ratios end at exp(-20), which is above this
        keys=_SEQUENCE_WEIGHTS
        | {"rollout_rs": "sequence", "rollout_rs_threshold": 2.0, "rollout_rs_threshold_lower": 1e-9},
    ),
    Preset(
        name="ppo_is_bypass",
        summary="PPO against the rollout policy, and weights of tokens, truncated at 2 (verl until v0.6.1).",
        keys=_TOKEN_WEIGHTS | _CLIP,
    ),
)

PRESETS: Mapping[str, Preset] = {
    preset.name: preset for preset in (*_EXAMPLES, *_DECOUPLED, *_BYPASS, *_OLDER)
}
_BY_ANY_NAME = {**PRESETS} | {
    earlier: preset for preset in PRESETS.values() for earlier in preset.earlier_names
}


def preset(name: str) -> Preset:
    """Return a preset by its name or an earlier one; ValueError with the nearest name if there is none."""
    try:
        return _BY_ANY_NAME[name]
    except (KeyError, TypeError):
        near = difflib.get_close_matches(str(name), _BY_ANY_NAME, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`rolloutwatch presets` lists all."
        raise ValueError(f"no preset is called {name!r}. {hint}") from None


def as_yaml(preset: Preset) -> str:
    """Return a preset as YAML that can be copied into verl's configuration, its name and meaning above it as comments."""
    earlier = f"# Earlier: {', '.join(preset.earlier_names)}.\n" if preset.earlier_names else ""
    keys = "".join(f"    {key}: {yaml_value(value)}\n" for key, value in preset.keys.items())
    return f"# {preset.name}: {preset.summary}\n{earlier}algorithm:\n  rollout_correction:\n{keys}"


def yaml_value(value: Value) -> str:
    """Return a value as every reader of YAML reads it back."""
    if isinstance(value, str) and re.fullmatch("[a-z][a-z0-9_]*", value):
        return value
    if isinstance(value, float):
        # without the dot, PyYAML reads 1e-09 as text
        return repr(value) if "." in repr(value) else repr(value).replace("e", ".0e")
    return json.dumps(value)
