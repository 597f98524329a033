"""A configuration of the correction as it is written into verl's."""

from collections.abc import Mapping

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.presets import Value, yaml_value


def as_verl_yaml(config: CorrectionConfig) -> str:
    """Return the keys of `algorithm.rollout_correction` that make this correction; what is off, or as by default, is left out."""
    keys = {**_weights(config), **_rejection(config), **_rest(config)}
    lines = "".join(f"    {key}: {yaml_value(value)}\n" for key, value in keys.items())
    return f"algorithm:\n  rollout_correction:\n{lines}"


def _weights(config: CorrectionConfig) -> Mapping[str, Value]:
    if config.rollout_is is None:
        return {"rollout_is": None}
    bounds = config.bounds
    # verl knows no key for the mode: two bounds are how it says that weights out of bounds are 0
    masks = config.rollout_is_mode == "mask"
    threshold = f"{bounds.lower}_{bounds.upper}" if masks else bounds.upper
    lower = None if masks else config.rollout_is_threshold_lower
    return {
        "rollout_is": config.rollout_is,
        "rollout_is_threshold": threshold,
        **({} if lower is None else {"rollout_is_threshold_lower": lower}),
        **({"rollout_is_batch_normalize": True} if config.rollout_is_batch_normalize else {}),
    }


def _rejection(config: CorrectionConfig) -> Mapping[str, Value]:
    if config.rollout_rs is None:
        return {"rollout_rs": None}
    lower = config.rollout_rs_threshold_lower
    return {
        "rollout_rs": config.rollout_rs,
        "rollout_rs_threshold": config.rollout_rs_threshold,
        **({} if lower is None else {"rollout_rs_threshold_lower": lower}),
    }


def _rest(config: CorrectionConfig) -> Mapping[str, Value]:
    veto = config.rollout_token_veto_threshold
    return {
        **({} if veto is None else {"rollout_token_veto_threshold": veto}),
        **({"bypass_mode": True} if config.bypass_mode else {}),
        **({} if config.loss_type == "ppo_clip" else {"loss_type": config.loss_type}),
    }
