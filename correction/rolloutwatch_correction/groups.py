"""Groups of sequences, such as environments or data sources, that have figures of their own.

Axes: B sequences, G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """The group of each sequence.

    Attributes:
        ids: [B] integers, places in `names`; a sequence with another number belongs to no group.
        names: What the groups are called.
        declared: Whether these are all groups there are, and not just those of one batch;
            otherwise what another batch or rank calls its groups need not be the same.

    Raises:
        ValueError: `ids` is no tensor of integers, or a name stands twice.
    """

    ids: Tensor
    names: tuple[str, ...]
    declared: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked without looking at values."""
        ids: object = self.ids
        if not isinstance(ids, Tensor) or ids.ndim != 1 or not is_of_integers(ids):
            raise ValueError(
                f"ids of groups are {_told(ids)}: expected a tensor of integers, one for each sequence. "
                "Groups.of(labels) makes one."
            )
        names: object = self.names
        if not isinstance(names, tuple) or len(set(names)) != len(names):
            raise ValueError(f"names of groups are {names!r:.200}: expected each once, in a tuple.")

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        *,
        names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ) -> "Groups":
        """Return the groups of sequences by their labels, one for each sequence.

        Args:
            labels: The name of each sequence's group.
            names: All groups there are; None means those that occur, in alphabetical order.
                Statistics of several batches or ranks can only be merged if they name the same groups.
            device: Where the log-probs are.
        """
        known = tuple(sorted(set(labels))) if names is None else tuple(names)
        places = {name: place for place, name in enumerate(known)}
        ids = torch.tensor([places.get(label, -1) for label in labels], dtype=torch.int64)
        return cls(brought(ids, device), known, names is not None)

    def reduce(self, sums_BS: Tensor, maxima_BM: Tensor) -> Tensor:
        """Return sums and maxima of each group, float64 [G, S + M]."""
        count = len(self.names)
        ids = self.ids.long()
        nobody = (ids < 0) | (ids >= count)
        ids = torch.where(nobody, count, ids)
        sums = sums_BS.new_zeros((count + 1, sums_BS.shape[1])).index_add_(0, ids, sums_BS)
        maxima = maxima_BM.new_full((count + 1, maxima_BM.shape[1]), -torch.inf)
        maxima = maxima.scatter_reduce(0, ids[:, None].expand_as(maxima_BM), maxima_BM, "amax")
        return torch.cat([sums, maxima], dim=1)[:count]


def brought(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    """Return a tensor of the host on a device, for which the host does not wait."""
    if device is not None and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def is_of_integers(tensor: Tensor) -> bool:
    """Tell whether a tensor is of integers, which flags are not; an empty list makes an empty tensor of floats."""
    of_others = tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool
    return tensor.numel() == 0 or not of_others


def _told(value: object) -> str:
    if isinstance(value, Tensor):
        return f"of {value.dtype} and shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
