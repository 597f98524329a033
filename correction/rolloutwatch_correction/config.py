"""What to correct, checked once where it is made and believed everywhere after."""

import difflib
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any, Literal

from rolloutwatch_contract import presets

Level = Literal["token", "sequence", "geometric", "seq_max"]
Statistic = Literal["ratio", "k1", "k2", "k3"]

LEVELS = ("token", "sequence", "geometric")
MODES = ("truncate", "mask")
LOSS_TYPES = ("ppo_clip", "reinforce")

# What each option of `rollout_rs` compares with its bounds: a sum over the sequence is the sequence's, a mean the geometric one.
REJECTIONS: Mapping[str, tuple[Level, Statistic]] = {
    "token": ("token", "ratio"),
    "sequence": ("sequence", "ratio"),
    "geometric": ("geometric", "ratio"),
    "token_k1": ("token", "k1"),
    "token_k2": ("token", "k2"),
    "token_k3": ("token", "k3"),
    "seq_sum_k1": ("sequence", "k1"),
    "seq_sum_k2": ("sequence", "k2"),
    "seq_sum_k3": ("sequence", "k3"),
    "seq_mean_k1": ("geometric", "k1"),
    "seq_mean_k2": ("geometric", "k2"),
    "seq_mean_k3": ("geometric", "k3"),
    "seq_max_k2": ("seq_max", "k2"),
    "seq_max_k3": ("seq_max", "k3"),
}
_DIVERGENCES = ("k2", "k3")  # never negative, so that they have an upper bound alone


@dataclass(frozen=True)
class Bounds:
    """A closed interval of ratios, or of divergences, whose lower bound is 0."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        """Check that there is something between them."""
        if not 0 <= self.lower <= self.upper < math.inf:
            raise ValueError(
                f"bounds are {self.lower} and {self.upper}: expected 0 <= lower <= upper, finite."
            )


@dataclass(frozen=True)
class Rejection:
    """One reason to take tokens or whole sequences out of the loss: what lies outside the bounds.

    For "ratio" and for "k1", which is minus the log of the ratio, the bounds are those of the ratio.
    """

    name: str
    level: Level
    statistic: Statistic
    bounds: Bounds


@dataclass(frozen=True)
class CorrectionConfig:
    """Weights, rejection and veto, by verl's keys. The default measures and changes nothing.

    Numbers may be text, as PyYAML leaves `1e-4`; what is kept is plain: a float, or text that YAML leaves alone.

    Args:
        rollout_is: Level of the importance weights: "token", "sequence", "geometric", or None for none.
        rollout_is_mode: What happens to a weight out of bounds: "truncate" cuts it to the upper one, "mask" makes it 0.
            None means "truncate", or "mask" where rollout_is_threshold has two bounds.
        rollout_is_threshold: Upper bound of a weight; or both bounds, as "0.5_5.0" (IcePop).
        rollout_is_threshold_lower: Lower bound, used by mode "mask" and by figures; None means 1 / upper.
        rollout_is_batch_normalize: Divide the weights by their mean, over the ranks of the process group that `correct` is given.
        rollout_rs: What is compared to reject: "token", "sequence" or "geometric"; or one or several of token_k1, _k2, _k3,
            seq_sum_k1, _k2, _k3, seq_mean_k1, _k2, _k3, seq_max_k2, _k3, divided by commas or as a list; None for nothing.
        rollout_rs_threshold: Upper bound, or both as "0.5_2.0"; for several options one for all, or one for each.
            The bounds of k1 are those of the ratio; k2 and k3 have an upper one alone.
        rollout_rs_threshold_lower: Lower bound of a single option; None means 1 / upper.
        rollout_token_veto_threshold: A token whose ratio is below it removes its sequence; None means no veto.
        bypass_mode: The rollout policy stands for the old policy, so that two policies are left.
        loss_type: The loss of bypass mode: "ppo_clip", or "reinforce", which takes the weights.

    Attributes:
        bounds: Bounds of the weights.
        rejections: What `rollout_rs` asks for, empty for nothing.
        origin: Where the values come from, in words.

    Raises:
        ValueError: A value cannot be what it is; the message names key, value and cure.
    """

    rollout_is: str | None = None
    rollout_is_mode: str | None = None
    rollout_is_threshold: float = 2.0
    rollout_is_threshold_lower: float | None = None
    rollout_is_batch_normalize: bool = False
    rollout_rs: str | None = None
    rollout_rs_threshold: float | str | None = None
    rollout_rs_threshold_lower: float | None = None
    rollout_token_veto_threshold: float | None = None
    bypass_mode: bool = False
    loss_type: str = "ppo_clip"

    # made here and not when they are asked for, so that torch.compile finds plain values
    bounds: Bounds = field(init=False, compare=False, repr=False)
    rejections: tuple[Rejection, ...] = field(init=False, compare=False, repr=False)
    origin: str = field(default="arguments", init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read and check every value, keep it in its plain form, and derive bounds and rejections."""
        self._keep(
            **_read_weights(
                self.rollout_is,
                self.rollout_is_mode,
                self.rollout_is_threshold,
                self.rollout_is_threshold_lower,
            ),
            **_read_rejection(self.rollout_rs, self.rollout_rs_threshold, self.rollout_rs_threshold_lower),
            rollout_token_veto_threshold=_number(
                "rollout_token_veto_threshold", self.rollout_token_veto_threshold
            ),
            rollout_is_batch_normalize=_switch("rollout_is_batch_normalize", self.rollout_is_batch_normalize),
            bypass_mode=_switch("bypass_mode", self.bypass_mode),
            loss_type=_choice("loss_type", self.loss_type, LOSS_TYPES) or LOSS_TYPES[0],
        )

    @property
    def lower(self) -> float:
        """Return the lower bound of the weights that is in force."""
        return self.bounds.lower

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "CorrectionConfig":
        """Read verl's configuration, the whole of it or the part about the correction; `origin` says what was found.

        That is the keys of `rollout_correction` alone, or a mapping that has them under this name, also under `algorithm`;
        or the flat keys of older versions, alone or under `algorithm`.

        Warns:
            UserWarning: A whole configuration lets the rollout engine return no log-probs.
        """
        keys, origin = _find(mapping)
        return cls._of(keys, origin)

    @classmethod
    def preset(cls, name: str) -> "CorrectionConfig":
        """Return one of the configurations that `rolloutwatch presets` lists; ValueError with the nearest name if it is none."""
        preset = presets.preset(name)
        return cls._of(preset.keys, f"preset {preset.name}")

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the values by key; `from_mapping` makes the same configuration of them."""
        return {key: getattr(self, key) for key in _KEYS}

    @classmethod
    def _of(cls, keys: Mapping[str, Any], origin: str) -> "CorrectionConfig":
        config = cls(**keys)
        config._keep(origin=origin)
        return config

    def _keep(self, **values: object) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)


_KEYS = tuple(each.name for each in fields(CorrectionConfig) if each.init)


# --- values ---


@dataclass(frozen=True)
class _Threshold:
    """What was said about one pair of bounds: an upper one, and perhaps a lower one."""

    told: str  # keys and values, as messages begin
    said: object
    upper: float
    lower: float | None

    @property
    def plain(self) -> float | str:
        return self.upper if self.lower is None else f"{self.lower}_{self.upper}"


def _read_weights(level: object, mode: object, threshold: object, lower: object) -> dict[str, object]:
    """Return the keys of the weights in plain form, and their bounds."""
    level = _choice("rollout_is", level, LEVELS, "null for no weights")
    mode = _choice("rollout_is_mode", mode, MODES)
    if threshold is None and level is not None:
        raise ValueError(
            f"rollout_is is {level!r} but rollout_is_threshold is null: expected an upper bound such as 2.0. "
            "Give one, or set rollout_is to null for no weights."
        )
    threshold = CorrectionConfig.rollout_is_threshold if threshold is None else threshold
    read = _threshold("rollout_is_threshold", threshold)
    if read.lower is not None and mode == "truncate":
        raise ValueError(
            f"{read.told}, which means mode mask, but rollout_is_mode is 'truncate'. "
            f"Give {read.upper} alone to truncate, or leave rollout_is_mode out."
        )
    both = _with_lower(read, "rollout_is_threshold_lower", lower)
    return {
        "rollout_is": level,
        "rollout_is_mode": mode or ("truncate" if read.lower is None else "mask"),
        "rollout_is_threshold": both.upper,
        "rollout_is_threshold_lower": both.lower,
        "bounds": _ratio_bounds(both),
    }


def _read_rejection(options: object, threshold: object, lower: object) -> dict[str, object]:
    """Return the keys of the rejection in plain form, and what they ask for."""
    names = _options(options)
    entries = [] if threshold is None else _entries(threshold)
    thresholds = [_threshold("rollout_rs_threshold", entry) for entry in entries]
    plain = [each.plain for each in thresholds]
    return {
        "rollout_rs": ",".join(names) or None,
        "rollout_rs_threshold": plain[0] if len(plain) == 1 else ",".join(map(str, plain)) or None,
        "rollout_rs_threshold_lower": _number("rollout_rs_threshold_lower", lower),
        "rejections": tuple(map(_rejection, names, _one_for_each(names, thresholds, lower))),
    }


def _one_for_each(
    names: tuple[str, ...], thresholds: list[_Threshold], lower: object
) -> Iterable[_Threshold]:
    """Return the threshold of each option, which may be one for all."""
    if not names:
        return ()
    options = f"rollout_rs is {','.join(names)!r}"
    if not thresholds:
        raise ValueError(
            f"{options} but rollout_rs_threshold is null: expected an upper bound such as 2.0. "
            "Give one, or set rollout_rs to null for no rejection."
        )
    if len(thresholds) not in (1, len(names)):
        raise ValueError(
            f"{options} but rollout_rs_threshold has {len(thresholds)} entries: expected one for all, "
            f"or one for each of the {len(names)}."
        )
    if len(names) == 1:
        return (_with_lower(thresholds[0], "rollout_rs_threshold_lower", lower),)
    if lower is not None:
        raise ValueError(
            f"{options} but rollout_rs_threshold_lower is {lower!r}: expected null, as it is for a single option. "
            'Write both bounds into rollout_rs_threshold, such as "0.5_2.0,0.01".'
        )
    return thresholds * len(names) if len(thresholds) == 1 else thresholds


def _rejection(name: str, threshold: _Threshold) -> Rejection:
    level, statistic = REJECTIONS[name]
    if statistic not in _DIVERGENCES:
        return Rejection(name, level, statistic, _ratio_bounds(threshold))
    if threshold.lower is not None:
        raise ValueError(
            f"{threshold.told}, but {name} is never negative and has no lower bound: "
            f"expected one number. Write {threshold.upper} alone."
        )
    return Rejection(name, level, statistic, Bounds(0.0, threshold.upper))


def _options(said: object) -> tuple[str, ...]:
    """Return the options of `rollout_rs`, each once."""
    if said is None:
        return ()
    names = list(dict.fromkeys(str(entry) for entry in _entries(said)))
    alone = [name for name, (_, statistic) in REJECTIONS.items() if statistic == "ratio"]
    unknown = [name for name in names if name not in REJECTIONS]
    if unknown or not names:
        raise ValueError(
            f"rollout_rs is {said!r}: expected one of {', '.join(alone)}, or one or several of "
            f"{', '.join(name for name in REJECTIONS if name not in alone)}, or null for no rejection."
            f"{_did_you_mean(unknown[0], REJECTIONS) if unknown else ''}"
        )
    if len(names) > 1 and not set(alone).isdisjoint(names):
        raise ValueError(
            f"rollout_rs is {said!r}: expected {', '.join(alone)} to stand alone. To combine, write token_k1 for token, "
            "seq_sum_k1 for sequence, seq_mean_k1 for geometric."
        )
    return tuple(names)


def _threshold(key: str, said: object) -> _Threshold:
    """Read a number, or "lower_upper"."""
    parts = said.split("_") if isinstance(said, str) else [said]
    numbers = [number for number in map(_positive, parts) if number is not None]
    if len(numbers) != len(parts) or len(parts) > 2:
        raise ValueError(
            f'{key} is {said!r}: expected a positive number such as 2.0, or two as "0.5_2.0" (lower_upper).'
        )
    *lower, upper = numbers
    return _Threshold(f"{key} is {said!r}", said, upper, lower[0] if lower else None)


def _with_lower(threshold: _Threshold, key: str, said: object) -> _Threshold:
    """Add the lower bound from its own key, if it has a value."""
    lower = _number(key, said)
    if lower is None:
        return threshold
    told = f"{threshold.told} and {key} is {said!r}"
    if threshold.lower is not None:
        raise ValueError(f"{told}: expected one lower bound. Leave {key} out.")
    return replace(threshold, told=told, lower=lower)


def _ratio_bounds(threshold: _Threshold) -> Bounds:
    """Return the bounds of a ratio; the lower one is the reciprocal unless it was given."""
    upper = threshold.upper
    if threshold.lower is None and upper < 1:
        raise ValueError(
            f"{threshold.told}: its reciprocal, the lower bound, would be above it. "
            f'Use a threshold of 1 or more, or give both bounds, such as "0.1_0.5".{_digits_hint(threshold.said)}'
        )
    lower = 1 / upper if threshold.lower is None else threshold.lower
    if lower > upper:
        raise ValueError(f"{threshold.told}: expected lower <= upper. Swap them.")
    return Bounds(lower, upper)


def _digits_hint(said: object) -> str:
    """Say what has become of two bounds, if that is how a number came to be."""
    if isinstance(said, str):
        return ""
    return ' Two bounds need quotes: YAML reads 0.5_2 as 0.52 and 1_2 as 12, but "0.5_2" as text.'


def _number(key: str, said: object) -> float | None:
    if said is None:
        return None
    number = _positive(said)
    if number is None:
        raise ValueError(f"{key} is {said!r}: expected a positive number such as 0.5 or 1e-4, or null.")
    return number


def _positive(said: object) -> float | None:
    """Return a positive, finite number, also from text; None if it is none."""
    # Python reads "1_2" as 12; whoever writes it means a lower and an upper bound
    if isinstance(said, bool) or (isinstance(said, str) and "_" in said):
        return None
    if not isinstance(said, str | Real):
        return None
    try:
        number = float(said)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _entries(said: object) -> list[object]:
    """Return the entries of a list, or of text divided by commas; anything else is the one entry."""
    if isinstance(said, str):
        return [entry.strip() for entry in said.split(",")]
    if isinstance(said, Sequence):
        return [entry.strip() if isinstance(entry, str) else entry for entry in said]
    return [said]


def _choice(key: str, said: object, choices: Sequence[str], otherwise: str = "") -> str | None:
    if said is None:
        return None
    if isinstance(said, str) and said in choices:
        return said
    raise ValueError(
        f"{key} is {said!r}: expected one of {', '.join(choices)}{otherwise and ', or ' + otherwise}."
        f"{_did_you_mean(said, choices)}"
    )


def _switch(key: str, said: object, otherwise: str = "") -> bool:
    if said is None:
        return False
    if isinstance(said, bool):
        return said
    raise ValueError(
        f"{key} is {said!r}: expected true or false, without quotes.{otherwise and ' ' + otherwise}"
    )


def _did_you_mean(said: object, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(said), names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


# --- mappings ---

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


def _find(mapping: object) -> tuple[dict[str, Any], str]:
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
        return _today(_mapping(node)), f"{_ALGORITHM}.{_NODE}" if within else _NODE
    keys = beside if within or _NODE in outer else outer
    if within and not keys:
        return {}, f"nothing: {_ALGORITHM} has no {_NODE}"
    if _is_flat(keys):
        return _of_flat_keys(keys), f"older flat keys{within}"
    return _today(keys), f"the keys{within}" if within else "the mapping itself"


def _mapping(node: object) -> Mapping[str, Any]:
    if node is None:  # verl's own default
        return {}
    if not isinstance(node, Mapping):
        raise ValueError(
            f"the correction's configuration is a {type(node).__name__}: expected a mapping of its keys, "
            "such as {'rollout_is': 'token'}."
        )
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


def _today(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys as they are spelt today; ValueError for one that never was."""
    known = (*_KEYS, *_RENAMED)
    _refuse_unknown(node, known)
    keys = {key: value for key, value in node.items() if key in _KEYS}
    for old, (new, meaning) in _RENAMED.items():
        if node.get(old) is None:
            continue
        value = meaning[_switch(old, node[old], f"Today it is {new}.")]
        if keys.get(new) not in (None, value):
            raise ValueError(
                f"{old} is {node[old]!r} but {new}, which replaced it, is {keys[new]!r}. Remove {old}."
            )
        keys[new] = value
    return keys


def _refuse_unknown(node: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in node:
        if key not in known and key != _HYDRA:
            hint = _did_you_mean(key, (*known, _NODE)) or f" Known are {', '.join(sorted(known))}."
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
    weighted = _switch(
        "rollout_is", said["rollout_is"], "Beside the older flat keys the level is rollout_is_level."
    )
    level = _choice("rollout_is_level", said["rollout_is_level"], LEVELS) or LEVELS[0]
    mode = _choice("rollout_is_mode", said["rollout_is_mode"], MODES) or MODES[0]
    veto = _number("rollout_is_veto_threshold", said["rollout_is_veto_threshold"])
    threshold, lower = said["rollout_is_threshold"], said["rollout_is_threshold_lower"]
    if threshold is None:
        _refuse_missing_switch(flat, weighted or mode == "mask" or veto is not None)
        return {}
    # here, so that what is wrong is told by the key it was written under
    _ratio_bounds(
        _with_lower(_threshold("rollout_is_threshold", threshold), "rollout_is_threshold_lower", lower)
    )
    keys: dict[str, Any] = {"rollout_token_veto_threshold": veto}
    if weighted:
        keys |= {"rollout_is": level, "rollout_is_mode": mode}
    elif mode == "mask":
        return keys | {
            "rollout_rs": level,
            "rollout_rs_threshold": threshold,
            "rollout_rs_threshold_lower": lower,
        }
    return keys | {"rollout_is_threshold": threshold, "rollout_is_threshold_lower": lower}


def _refuse_missing_switch(flat: Mapping[str, Any], asked_for: bool) -> None:
    # null is how the older keys say "off"; leaving it out is how people forget it
    if asked_for and "rollout_is_threshold" not in flat:
        raise ValueError(
            f"rollout_is_threshold is missing beside {', '.join(flat)}: it is the main switch of the older flat keys. "
            "Give an upper bound such as 2.0, or null for no correction at all; "
            "with today's keys rollout_is is a level, such as token."
        )
