"""Figures from the device to the host without making the trainer wait.

On a GPU the copy goes into pinned memory on a stream of its own, and an event tells when it has arrived;
on a CPU there is nothing to copy, and the same calls answer at once.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SLOTS = 8  # copies that may be under way; a step that finds none free is not measured, and that is counted

Arrays = list[npt.NDArray[Any]]


class Arrival(Protocol):
    """Tensors on their way to the host."""

    def ready(self) -> bool:
        """Tell, without waiting, whether they have arrived."""

    def take(self) -> Arrays:
        """Return them as arrays of the caller's own; call once, and only when they are ready."""


class Transfer:
    """Starts copies, at most SLOTS at a time on a GPU."""

    def __init__(self) -> None:
        self._rings: dict[torch.device, _Ring] = {}

    def start(self, tensors: Sequence[Tensor]) -> Arrival | None:
        """Begin to copy tensors of one device; None if too many copies are under way.

        The tensors must not be written to afterwards.
        """
        if not tensors[0].is_cuda:
            return _Here(tensors)
        device = tensors[0].device
        if device not in self._rings:
            self._rings[device] = _Ring(device)
        return self._rings[device].start(tensors)


class _Here:
    """Tensors that are on the host already."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        # as they came: to free a tensor is to let go of the interpreter's lock, and the background keeps it for long
        self._tensors = tensors

    def ready(self) -> bool:
        return True

    def take(self) -> Arrays:
        return [tensor.detach().cpu().numpy() for tensor in self._tensors]


class _Ring:
    """Pinned buffers of one GPU, and the stream that fills them."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._free = [_Slot() for _ in range(SLOTS)]

    def start(self, tensors: Sequence[Tensor]) -> Arrival | None:
        if not self._free:
            return None
        underway = _Underway(
            self._free.pop(), self._free
        )  # gives its slot back, also if the copy cannot begin
        underway.begin([tensor.detach().contiguous() for tensor in tensors], self._stream)
        return underway


class _Slot:
    """One pinned buffer, grown to what it has to hold."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0, dtype=torch.uint8)
        self._views: list[Tensor] = []
        self._sources: list[Tensor] = []
        self.arrived = torch.cuda.Event()

    def fill(self, tensors: list[Tensor], stream: torch.cuda.Stream) -> None:
        sizes = [_aligned(tensor.numel() * tensor.element_size()) for tensor in tensors]
        if self._buffer.numel() < sum(sizes):
            self._buffer = torch.empty(sum(sizes), dtype=torch.uint8, pin_memory=True)
        self._views, offset = [], 0
        for tensor, size in zip(tensors, sizes, strict=True):
            used = self._buffer[offset : offset + tensor.numel() * tensor.element_size()]
            self._views.append(used.view(tensor.dtype).view(tensor.shape))
            offset += size
        self._sources = tensors  # kept until they have been read
        stream.wait_stream(torch.cuda.current_stream(tensors[0].device))
        with torch.cuda.stream(stream):
            for view, tensor in zip(self._views, tensors, strict=True):
                view.copy_(tensor, non_blocking=True)
            self.arrived.record(stream)

    def read(self) -> Arrays:
        arrays = [np.array(view.numpy()) for view in self._views]
        self._views, self._sources = [], []
        return arrays


class _Underway:
    """A copy into a slot; the slot is free again when the arrays have been taken, or nobody wants them any more."""

    def __init__(self, slot: _Slot, free: list[_Slot]) -> None:
        self._slot: _Slot | None = slot
        self._free = free

    def begin(self, tensors: list[Tensor], stream: torch.cuda.Stream) -> None:
        assert self._slot is not None
        self._slot.fill(tensors, stream)

    def ready(self) -> bool:
        return self._slot is not None and bool(self._slot.arrived.query())

    def take(self) -> Arrays:
        assert self._slot is not None, "taken twice"
        arrays = self._slot.read()
        self._release()
        return arrays

    def _release(self) -> None:
        if self._slot is not None:
            self._free.append(self._slot)
            self._slot = None

    def __del__(self) -> None:
        self._release()


def _aligned(size: int) -> int:
    return -(-size // 16) * 16
