"""Figures from the device to the host without making the trainer wait.

On a GPU one copy takes all of a step into pinned memory, on a stream of its own, and an event tells when it has arrived;
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
        self._sources: list[Tensor] = []
        self._packed: Tensor | None = None
        self.arrived = torch.cuda.Event()

    def fill(self, tensors: list[Tensor], stream: torch.cuda.Stream) -> None:
        packed = pack(tensors)
        if self._buffer.numel() < packed.numel():
            self._buffer = torch.empty(packed.numel(), dtype=torch.uint8, pin_memory=True)
        self._sources, self._packed = tensors, packed  # kept until they have been read
        stream.wait_stream(torch.cuda.current_stream(packed.device))
        with torch.cuda.stream(stream):
            self._buffer[: packed.numel()].copy_(packed, non_blocking=True)
            self.arrived.record(stream)

    def read(self) -> Arrays:
        arrays = unpack(self._buffer, self._sources)
        self._sources, self._packed = [], None
        return arrays


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """Return the bytes of tensors in one, so that one copy takes them all."""
    parts = [tensor.reshape(-1).view(torch.uint8) for tensor in _by_alignment(tensors)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def unpack(buffer: Tensor, like: Sequence[Tensor]) -> Arrays:
    """Return arrays of the caller's own, of the kinds and shapes that were packed, in their order."""
    found: dict[int, npt.NDArray[Any]] = {}
    offset = 0
    for tensor in _by_alignment(like):
        part = buffer[offset : offset + tensor.nbytes]
        found[id(tensor)] = np.array(part.view(tensor.dtype).view(tensor.shape).numpy())
        offset += tensor.nbytes
    return [found[id(tensor)] for tensor in like]


def _by_alignment(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors with the largest elements first: so each begins where its elements can."""
    return sorted(tensors, key=lambda tensor: -tensor.element_size())


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
