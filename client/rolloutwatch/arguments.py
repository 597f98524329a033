"""What trainers hand over, in the form in which it can be computed with."""

import functools
import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rolloutwatch.shown import shown
from rolloutwatch_correction import CorrectionConfig, Groups, brought
from rolloutwatch_correction.groups import is_of_integers

MAX_GROUPS = 24  # with twelve figures each, and all others, a record of at most 512
OTHERS = "others"
LONGEST_SECONDS = 86_400.0
_MAX_LETTERS = 40  # of a group's name
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_./-]")


@dataclass(frozen=True)
class Given:
    """The tensors of a step, as a trainer has handed them over."""

    training_logprobs: Any
    rollout_logprobs: Any
    response_mask: Any
    cu_seqlens: Tensor | None = None
    training_entropy: Any = None
    groups: Any = None
    sample_ids: Any = None
    token_ids: Any = None

    @property
    def tensors(self) -> tuple[Any, Any, Any]:
        """Return what has to be there."""
        return self.training_logprobs, self.rollout_logprobs, self.response_mask

    @property
    def device(self) -> torch.device:
        """Return where the log-probs are."""
        logprobs = self.training_logprobs
        first = logprobs if isinstance(logprobs, Tensor) else next(iter(logprobs), torch.zeros(()))
        return first.device


def config_of(config: Mapping[str, Any] | CorrectionConfig | None) -> CorrectionConfig:
    """Return the configuration that was asked for; ValueError if there is none."""
    if isinstance(config, CorrectionConfig):
        return config
    if config is None:
        return CorrectionConfig()
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is a {type(config).__name__}: expected a mapping such as {{'rollout_is': 'token'}}, "
            "a CorrectionConfig, or None."
        )
    return CorrectionConfig.from_mapping(config)


def group_names_of(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return all groups there are as figures can be named; ValueError if there are too many, or two of one name."""
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"group_names is {shown(names)}: expected a list of names, or None.")
    known = tuple(_named(name) for name in names)
    if len(known) > MAX_GROUPS or len(set(known)) < len(known):
        raise ValueError(
            f"group_names is {shown(names, 200)}: expected at most {MAX_GROUPS} names, each once."
        )
    return known


def groups_of(groups: Groups | Sequence[str], names: tuple[str, ...] | None, device: torch.device) -> Groups:
    """Return groups by names that a metric can have; of more than a record holds some become one, "others".

    Args:
        groups: The label of each sequence, of which the rarest become one; or groups, of which those named last do,
            since to count them would be to wait for the device.
        names: All groups there are, where that is known; a sequence with another label belongs to none.
        device: Where the log-probs are.
    """
    if isinstance(groups, Groups):
        return _within_bounds(groups)
    labels = [_named(label) for label in groups]
    if names is None and len(set(labels)) > MAX_GROUPS:
        most = {label for label, _ in Counter(labels).most_common(MAX_GROUPS - 1)}
        labels = [label if label in most else OTHERS for label in labels]
    return Groups.of(labels, names=names, device=device)


def sample_ids_of(sample_ids: Any, device: torch.device) -> Tensor:
    """Return the trainer's numbers of sequences as int64 on the device of the log-probs, without waiting for it.

    Raises:
        ValueError: They are no integers, flags among them, or none that int64 holds.
    """
    if isinstance(sample_ids, Tensor) and (
        sample_ids.dtype == torch.int64 or sample_ids.device.type != "cpu"
    ):
        ids = _known_to_fit(sample_ids)
    else:
        ids = torch.from_numpy(_exact(sample_ids))
    return brought(ids, device) if ids.device.type == "cpu" else ids


def seconds_of(timeout: object, usual: float) -> float:
    """Return how long to wait, from 0 to a day; what is no number of seconds counts as the usual."""
    try:
        seconds = usual if isinstance(timeout, str | bytes) else float(timeout)  # type: ignore[arg-type]
    except OverflowError:  # an integer that no float can hold
        seconds = LONGEST_SECONDS if timeout > 0 else 0.0  # type: ignore[operator]
    except Exception:  # noqa: BLE001 - it is somebody's own
        seconds = usual
    return min(max(usual if math.isnan(seconds) else seconds, 0.0), LONGEST_SECONDS)


def _within_bounds(groups: Groups) -> Groups:
    """Return groups with names that a metric can have, the last of them as one where there are too many."""
    names, ids = tuple(_named(name) for name in groups.names), groups.ids
    if len(names) > MAX_GROUPS:
        kept = names[: MAX_GROUPS - 1]
        place = kept.index(OTHERS) if OTHERS in kept else len(kept)
        beyond = (ids >= len(kept)) & (ids < len(names))
        # what is in none of them must not get into one of those that are left
        ids = ids.long().masked_fill(ids >= len(names), -1).masked_fill(beyond, place)
        names = kept if OTHERS in kept else (*kept, OTHERS)
    return Groups(ids, names, groups.declared)


def _known_to_fit(ids: Tensor) -> Tensor:
    if ids.dtype == torch.uint64:
        raise ValueError(
            "they are of torch.uint64 on a device: expected int64, without a look at what they are."
        )
    if not is_of_integers(ids):
        raise ValueError(f"they are of {ids.dtype}: expected integers.")
    return ids.long()


def _exact(ids: Any) -> Any:
    """Return integers of a list, an array or a tensor of the host as an array of int64; ValueError if they are none."""
    numbers = ids.detach().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    is_flagged = isinstance(ids, list | tuple) and bool in set(map(type, ids))
    if numbers.size and (numbers.dtype.kind not in "iu" or is_flagged):
        came = "there are flags among them" if is_flagged else f"they are of {numbers.dtype}"
        raise ValueError(f"{came}: expected integers that int64 can hold.")
    if numbers.size and numbers.dtype.kind == "u" and numbers.max() >= 2**63:
        raise ValueError("some are beyond int64: expected integers below 2^63.")
    # not what came itself, which may be an array that cannot be written to
    return numbers.astype(np.int64)


@functools.lru_cache(maxsize=4096)
def _as_name(label: str) -> str:
    """Return a label as the end of a metric's name; one that had to be changed ends in a digest of what it was."""
    name = _NOT_IN_A_NAME.sub("_", label)[:_MAX_LETTERS] or "_"
    if name == label:
        return name
    digest = hashlib.blake2s(label.encode(errors="backslashreplace"), digest_size=3).hexdigest()
    return f"{name[: _MAX_LETTERS - len(digest) - 1]}-{digest}"


def _named(label: object) -> str:
    return _as_name(label if type(label) is str else str(label))
