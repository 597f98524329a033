"""What to correct, checked once where it is made and believed everywhere after."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rolloutwatch_contract import presets
from rolloutwatch_contract.mappings import find_keys
from rolloutwatch_contract.values import (
    DEFAULT_THRESHOLD,
    LOSS_TYPES,
    Bounds,
    Rejection,
    choice,
    number,
    read_rejection,
    read_weights,
    switch,
)


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
    rollout_is_threshold: float = DEFAULT_THRESHOLD
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
            **read_weights(
                self.rollout_is,
                self.rollout_is_mode,
                self.rollout_is_threshold,
                self.rollout_is_threshold_lower,
            ),
            **read_rejection(self.rollout_rs, self.rollout_rs_threshold, self.rollout_rs_threshold_lower),
            rollout_token_veto_threshold=number(
                "rollout_token_veto_threshold", self.rollout_token_veto_threshold
            ),
            rollout_is_batch_normalize=switch("rollout_is_batch_normalize", self.rollout_is_batch_normalize),
            bypass_mode=switch("bypass_mode", self.bypass_mode),
            loss_type=choice("loss_type", self.loss_type, LOSS_TYPES) or LOSS_TYPES[0],
        )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "CorrectionConfig":
        """Read verl's configuration, the whole of it or the part about the correction; `origin` says what was found.

        That is the keys of `rollout_correction` alone, or a mapping that has them under this name, also under `algorithm`;
        or the flat keys of older versions, alone or under `algorithm`.

        Warns:
            UserWarning: A whole configuration lets the rollout engine return no log-probs.
        """
        keys, origin = find_keys(mapping, _KEYS)
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
