"""What trainers hand over, in the form in which it can be computed with."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rolloutwatch_correction import CorrectionConfig, Groups, brought

MAX_GROUPS = 24  # with twelve figures each, and all others, a record of at most 512
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
        raise ValueError(f"group_names is {names!r:.100}: expected a list of names, or None.")
    known = tuple(_named(name) for name in names)
    if len(known) > MAX_GROUPS or len(set(known)) < len(known):
        raise ValueError(
            f"group_names is {names!r:.200}: expected at most {MAX_GROUPS} names that differ in their first "
            f"{_MAX_LETTERS} letters, of letters, digits, '_', '.', '/' and '-'."
        )
    return known


def groups_of(groups: Groups | Sequence[str], names: tuple[str, ...] | None, device: torch.device) -> Groups:
    """Return groups of labels, by names that a metric can have; of more than a record holds the rarest become one.

    Args:
        groups: The label of each sequence; or groups, which stay as they are.
        names: All groups there are, where that is known; a sequence with another label belongs to none.
        device: Where the log-probs are.
    """
    if isinstance(groups, Groups):
        return groups
    labels = [_named(label) for label in groups]
    if names is None and len(set(labels)) > MAX_GROUPS:
        most = {label for label, _ in Counter(labels).most_common(MAX_GROUPS - 1)}
        labels = [label if label in most else "others" for label in labels]
    return Groups.of(labels, names=names, device=device)


def sample_ids_of(sample_ids: Any, device: torch.device) -> Tensor:
    """Return the trainer's numbers of sequences, integers, as a tensor on the device of the log-probs."""
    if isinstance(sample_ids, Tensor):
        return sample_ids
    return brought(torch.as_tensor(sample_ids, dtype=torch.int64), device)


def _named(label: object) -> str:
    return _NOT_IN_A_NAME.sub("_", str(label))[:_MAX_LETTERS] or "_"
