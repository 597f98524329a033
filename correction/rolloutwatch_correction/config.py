"""What to correct, checked once where it is made and believed everywhere after."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LEVELS = ("token", "sequence")

_NODE = "rollout_correction"

# Keys of verl's that have a value meaning "off"; any other value asks for something that is not built.
_ONLY_OFF: dict[str, tuple[object, ...]] = {
    "rollout_is_mode": ("truncate", None),
    "rollout_is_batch_normalize": (False, None),
    "rollout_rs": (None,),
    "rollout_rs_threshold": (None,),
    "rollout_rs_threshold_lower": (None,),
    "bypass_mode": (False, None),
    "loss_type": ("ppo_clip", None),
}


@dataclass(frozen=True)
class CorrectionConfig:
    """Weights and veto. The default measures and changes nothing.

    Args:
        rollout_is: Level of the importance weights: "token", "sequence", or None for none.
        rollout_is_threshold: Upper bound of a weight, above which it is truncated.
        rollout_is_threshold_lower: Lower bound, which figures use; None means 1 / upper.
        rollout_token_veto_threshold: A token whose ratio is below it removes its sequence; None means no veto.

    Raises:
        ValueError: A value cannot be what it is; the message names key, value and cure.
    """

    rollout_is: str | None = None
    rollout_is_threshold: float = 2.0
    rollout_is_threshold_lower: float | None = None
    rollout_token_veto_threshold: float | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if self.rollout_is is not None and self.rollout_is not in LEVELS:
            raise ValueError(
                f"rollout_is is {self.rollout_is!r}: expected one of {', '.join(LEVELS)}, or null for no weights."
            )
        upper = _bound("rollout_is_threshold", self.rollout_is_threshold)
        lower = self.rollout_is_threshold_lower
        if lower is not None and _bound("rollout_is_threshold_lower", lower) > upper:
            raise ValueError(
                f"rollout_is_threshold_lower is {lower} but rollout_is_threshold is {upper}: "
                "expected lower <= upper. Swap them, or leave the lower one null for 1/upper."
            )
        if lower is None and upper < 1:
            raise ValueError(
                f"rollout_is_threshold is {upper}: its reciprocal, the lower bound, would be above it. "
                "Use a threshold of 1 or more, or give rollout_is_threshold_lower."
            )
        if self.rollout_token_veto_threshold is not None:
            _bound("rollout_token_veto_threshold", self.rollout_token_veto_threshold)

    @property
    def lower(self) -> float:
        """Return the lower bound in force."""
        if self.rollout_is_threshold_lower is not None:
            return self.rollout_is_threshold_lower
        return 1.0 / self.rollout_is_threshold

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "CorrectionConfig":
        """Read verl's keys: the `rollout_correction` node, or a mapping that contains it, also under `algorithm`.

        A number may be text, as PyYAML leaves `1e-4`.
        """
        node = _node(mapping)
        known = {*cls.__dataclass_fields__, *_ONLY_OFF}
        for key, value in node.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(sorted(known))}."
                raise ValueError(f"unknown key {key!r} in the correction's configuration.{hint}")
            if key in _ONLY_OFF and value not in _ONLY_OFF[key]:
                raise ValueError(
                    f"{key} is {value!r}: only importance weights and veto are built. Leave {key} out, or set it to null."
                )
        values = {key: _read(key, node[key]) for key in cls.__dataclass_fields__ if key in node}
        if (
            node.get("rollout_is") is not None
            and "rollout_is_threshold" in node
            and values["rollout_is_threshold"] is None
        ):
            raise ValueError(
                f"rollout_is is {node['rollout_is']!r} but rollout_is_threshold is null: expected an upper bound such as 2.0."
            )
        return cls(**{key: value for key, value in values.items() if value is not None})

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the values by key."""
        return asdict(self)


def _node(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = mapping
    for key in ("algorithm", _NODE):
        if isinstance(node, Mapping) and key in node:
            node = node[key]
    if node is None:  # verl's own default
        return {}
    if not isinstance(node, Mapping):
        raise ValueError(
            f"the correction's configuration is a {type(node).__name__}: expected a mapping of its keys."
        )
    return node


def _read(key: str, value: object) -> Any:
    if key == "rollout_is" or value is None:
        return value
    if isinstance(value, str):
        try:
            # Python reads "1_2" as 12; whoever writes it means a lower and an upper bound
            return float(value.replace("_", "to"))
        except ValueError:
            raise ValueError(f"{key} is {value!r}: expected one number such as 2.0.") from None
    return value


def _bound(key: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise ValueError(f"{key} is {value!r}: expected a positive number.")
    return float(value)
