"""The values of a configuration, read from what people write and what YAML makes of it."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Literal

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
DEFAULT_THRESHOLD = 2.0


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
class _Threshold:
    """What was said about one pair of bounds: an upper one, and perhaps a lower one."""

    told: str  # keys and values, as messages begin
    said: object
    upper: float
    lower: float | None

    @property
    def plain(self) -> float | str:
        return self.upper if self.lower is None else f"{self.lower}_{self.upper}"


def read_weights(level: object, mode: object, threshold: object, lower: object) -> dict[str, object]:
    """Return the keys of the weights in plain form, and their bounds."""
    level = choice("rollout_is", level, LEVELS, "null for no weights")
    mode = choice("rollout_is_mode", mode, MODES)
    if threshold is None and level is not None:
        raise ValueError(
            f"rollout_is is {level!r} but rollout_is_threshold is null: expected an upper bound such as 2.0. "
            "Give one, or set rollout_is to null for no weights."
        )
    threshold = DEFAULT_THRESHOLD if threshold is None else threshold
    read = read_threshold("rollout_is_threshold", threshold)
    if read.lower is not None and mode == "truncate":
        raise ValueError(
            f"{read.told}, which means mode mask, but rollout_is_mode is 'truncate'. "
            f"Give {read.upper} alone to truncate, or leave rollout_is_mode out."
        )
    both = with_lower(read, "rollout_is_threshold_lower", lower)
    return {
        "rollout_is": level,
        "rollout_is_mode": mode or ("truncate" if read.lower is None else "mask"),
        "rollout_is_threshold": both.upper,
        "rollout_is_threshold_lower": both.lower,
        "bounds": ratio_bounds(both),
    }


def read_rejection(options: object, threshold: object, lower: object) -> dict[str, object]:
    """Return the keys of the rejection in plain form, and what they ask for."""
    names = _options(options)
    entries = [] if threshold is None else _entries(threshold)
    thresholds = [read_threshold("rollout_rs_threshold", entry) for entry in entries]
    plain = [each.plain for each in thresholds]
    return {
        "rollout_rs": ",".join(names) or None,
        "rollout_rs_threshold": plain[0] if len(plain) == 1 else ",".join(map(str, plain)) or None,
        "rollout_rs_threshold_lower": number("rollout_rs_threshold_lower", lower),
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
        return (with_lower(thresholds[0], "rollout_rs_threshold_lower", lower),)
    if lower is not None:
        raise ValueError(
            f"{options} but rollout_rs_threshold_lower is {lower!r}: expected null, as it is for a single option. "
            'Write both bounds into rollout_rs_threshold, such as "0.5_2.0,0.01".'
        )
    return thresholds * len(names) if len(thresholds) == 1 else thresholds


def _rejection(name: str, threshold: _Threshold) -> Rejection:
    level, statistic = REJECTIONS[name]
    if statistic not in _DIVERGENCES:
        return Rejection(name, level, statistic, ratio_bounds(threshold))
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
            f"{did_you_mean(unknown[0], REJECTIONS) if unknown else ''}"
        )
    if len(names) > 1 and not set(alone).isdisjoint(names):
        raise ValueError(
            f"rollout_rs is {said!r}: expected {', '.join(alone)} to stand alone. To combine, write token_k1 for token, "
            "seq_sum_k1 for sequence, seq_mean_k1 for geometric."
        )
    return tuple(names)


def read_threshold(key: str, said: object) -> _Threshold:
    """Read a number, or "lower_upper"."""
    parts = said.split("_") if isinstance(said, str) else [said]
    numbers = [number for number in map(_positive, parts) if number is not None]
    if len(numbers) != len(parts) or len(parts) > 2:
        raise ValueError(
            f'{key} is {said!r}: expected a positive number such as 2.0, or two as "0.5_2.0" (lower_upper).'
        )
    *lower, upper = numbers
    return _Threshold(f"{key} is {said!r}", said, upper, lower[0] if lower else None)


def with_lower(threshold: _Threshold, key: str, said: object) -> _Threshold:
    """Add the lower bound from its own key, if it has a value."""
    lower = number(key, said)
    if lower is None:
        return threshold
    told = f"{threshold.told} and {key} is {said!r}"
    if threshold.lower is not None:
        raise ValueError(f"{told}: expected one lower bound. Leave {key} out.")
    return replace(threshold, told=told, lower=lower)


def ratio_bounds(threshold: _Threshold) -> Bounds:
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


def number(key: str, said: object) -> float | None:
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


def choice(key: str, said: object, choices: Sequence[str], otherwise: str = "") -> str | None:
    if said is None:
        return None
    if isinstance(said, str) and said in choices:
        return said
    raise ValueError(
        f"{key} is {said!r}: expected one of {', '.join(choices)}{otherwise and ', or ' + otherwise}."
        f"{did_you_mean(said, choices)}"
    )


def switch(key: str, said: object, otherwise: str = "") -> bool:
    if said is None:
        return False
    if isinstance(said, bool):
        return said
    raise ValueError(
        f"{key} is {said!r}: expected true or false, without quotes.{otherwise and ' ' + otherwise}"
    )


def did_you_mean(said: object, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(said), names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
