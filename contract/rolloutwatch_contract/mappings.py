"""Where the correction's keys stand in verl's configurations, whole or in part, of every version, and what they are today."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from rolloutwatch_contract.values import (
    LEVELS,
    MODES,
    choice,
    did_you_mean,
    number,
    ratio_bounds,
    read_threshold,
    switch,
    with_lower,
)

_ALGORITHM = "algorithm"
_NODE = "rollout_correction"
_LOGPROBS = ("actor_rollout_ref", "rollout", "calculate_log_probs")

# `algorithm` is full of keys that are not ours; what begins like one of ours is, or was meant to be.
_OUR_PREFIXES = ("rollout_is", "rollout_rs", "rollout_token", "rollout_cor")
_HYDRA = "_target_"  # verl's own configuration objects have it beside their keys

# verl's keys until 4424616d7 that are there no more; beside them rollout_is is true or false.
_FLAT_ONLY = ("rollout_is_level", "rollout_is_veto_threshold")
_FLAT = ("rollout_is", "rollout_is_mode", "rollout_is_threshold", "rollout_is_threshold_lower", *_FLAT_ONLY)

# verl's spellings of two keys between 418f964ab and v0.6.1, and what their values mean today.
_LOSS_OF_SWITCH = {False: "ppo_clip", True: "reinforce"}
_RENAMED: Mapping[str, tuple[str, Mapping[bool, object]]] = {
    "bypass_old_logprob_for_rollout": ("bypass_mode", {False: False, True: True}),
    "use_pure_rollout_correction": ("loss_type", _LOSS_OF_SWITCH),
    "use_policy_gradient": ("loss_type", _LOSS_OF_SWITCH),
}


def find_keys(mapping: object, known: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the correction's keys as they are spelt today, and where they stood, in words."""
    whole = _mapping(mapping)
    _warn_of_missing_logprobs(whole)
    outer = _mapping(whole[_ALGORITHM]) if _ALGORITHM in whole else whole
    node = outer.get(_NODE)
    beside = {key: outer[key] for key in outer if str(key).startswith(_OUR_PREFIXES) and key != _NODE}
    if node is not None and beside:
        raise ValueError(
            f"{_NODE} stands beside {', '.join(map(str, beside))}: expected the one or the others. "
            f"Remove what is older than {_NODE}, or move it inside."
        )
    within = f" under {_ALGORITHM}" if _ALGORITHM in whole else ""
    if node is not None or (_NODE in outer and not beside):
        return _today(_mapping(node), known), f"{_ALGORITHM}.{_NODE}" if within else _NODE
    keys = beside if within or _NODE in outer else outer
    if within and not keys:
        return {}, f"nothing: {_ALGORITHM} has no {_NODE}"
    if _is_flat(keys):
        return _of_flat_keys(keys), f"older flat keys{within}"
    return _today(keys, known), f"the keys{within}" if within else "the mapping itself"


def _mapping(node: object) -> Mapping[str, Any]:
    if node is None:  # verl's own default
        return {}
    if not isinstance(node, Mapping):
        raise ValueError(
            f"the correction's configuration is a {type(node).__name__}: expected a mapping of its keys, "
            "such as {'rollout_is': 'token'}."
        )
    try:
        return dict(node)
    except Exception:  # noqa: BLE001 - a value somewhere in it that is missing, which need not be one of ours
        return node


def _warn_of_missing_logprobs(whole: Mapping[str, Any]) -> None:
    """Warn if this is verl's whole configuration and its rollout engine returns no log-probs."""
    if _LOGPROBS[0] not in whole:
        return
    said: Any = whole
    for key in _LOGPROBS:
        said = said[key] if isinstance(said, Mapping) and key in said else None
    if said is not True:
        warnings.warn(
            f"{'.'.join(_LOGPROBS)} is {said!r}: the rollout engine returns no log-probs then, "
            "and there is nothing to compare the training policy with. Set it to true.",
            UserWarning,
            stacklevel=4,
        )


def _today(node: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Return keys as they are spelt today; ValueError for one that never was."""
    _refuse_unknown(node, (*known, *_RENAMED))
    keys = {key: value for key, value in node.items() if key in known}
    for old, (new, meaning) in _RENAMED.items():
        if node.get(old) is None:
            continue
        value = meaning[switch(old, node[old], f"Today it is {new}.")]
        if keys.get(new) not in (None, value):
            raise ValueError(
                f"{old} is {node[old]!r} but {new}, which replaced it, is {keys[new]!r}. Remove {old}."
            )
        keys[new] = value
    return keys


def _refuse_unknown(node: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in node:
        if key not in known and key != _HYDRA:
            hint = did_you_mean(key, (*known, _NODE)) or f" Known are {', '.join(sorted(known))}."
            raise ValueError(f"unknown key {key!r} in the correction's configuration.{hint}")


def _is_flat(keys: Mapping[str, Any]) -> bool:
    """Tell whether these are verl's older keys, of which some are still there, with another meaning."""
    return any(key in keys for key in _FLAT_ONLY) or (
        isinstance(keys.get("rollout_is"), bool) and set(keys) <= set(_FLAT)
    )


def _of_flat_keys(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return today's keys for the older ones, whose main switch was the threshold.

    `rollout_is: false` dropped the weights and still rejected in mode "mask".
    """
    _refuse_unknown(flat, _FLAT)
    said = {key: flat.get(key) for key in _FLAT}
    weighted = switch(
        "rollout_is", said["rollout_is"], "Beside the older flat keys the level is rollout_is_level."
    )
    level = choice("rollout_is_level", said["rollout_is_level"], LEVELS) or LEVELS[0]
    mode = choice("rollout_is_mode", said["rollout_is_mode"], MODES) or MODES[0]
    veto = number("rollout_is_veto_threshold", said["rollout_is_veto_threshold"])
    upper, lower = said["rollout_is_threshold"], said["rollout_is_threshold_lower"]
    if upper is None:
        _refuse_missing_switch(flat, weighted or mode == "mask" or veto is not None)
        return {}
    # here, so that what is wrong is told by the key it was written under
    ratio_bounds(
        with_lower(read_threshold("rollout_is_threshold", upper), "rollout_is_threshold_lower", lower)
    )
    keys: dict[str, Any] = {"rollout_token_veto_threshold": veto}
    if weighted:
        keys |= {"rollout_is": level, "rollout_is_mode": mode}
    elif mode == "mask":
        return keys | {
            "rollout_rs": level,
            "rollout_rs_threshold": upper,
            "rollout_rs_threshold_lower": lower,
        }
    return keys | {"rollout_is_threshold": upper, "rollout_is_threshold_lower": lower}


def _refuse_missing_switch(flat: Mapping[str, Any], asked_for: bool) -> None:
    # null is how the older keys say "off"; leaving it out is how people forget it
    if asked_for and "rollout_is_threshold" not in flat:
        raise ValueError(
            f"rollout_is_threshold is missing beside {', '.join(flat)}: it is the main switch of the older flat keys. "
            "Give an upper bound such as 2.0, or null for no correction at all; "
            "with today's keys rollout_is is a level, such as token."
        )
