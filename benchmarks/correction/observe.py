"""What a single call does besides taking time: how often it waits for the device, how much memory it holds at most.

Both are read from a trace of PyTorch's profiler, which sees into compiled code as a dispatch mode does not.
"""

import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler tells of every start and stop otherwise

from torch.profiler import ProfilerActivity, profile

Event = dict[str, Any]

# Operators whose result, or its shape, depends on values, so that the host has to wait for the device:
# `item`, `tolist`, `bool` and `float` end in the first, indexing with a mask in the second.
WAITING = frozenset({
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal",
    "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
})  # fmt: skip
# On the CPU this one reads its own result, which it does not do on a device.
SHORTCUTS = frozenset({"aten::std"})


@dataclass(frozen=True)
class Observation:
    """Waits for the device, and the most bytes that tensors made within the call held at once, results included."""

    host_syncs: int
    peak_bytes: int


def observe(call: Callable[[], object]) -> Observation:
    """Run a call once under the profiler, on the CPU."""
    events = trace(call, ProfilerActivity.CPU)
    return Observation(_syncs(events), _peak(events))


def trace(call: Callable[[], object], *activities: ProfilerActivity) -> list[Event]:
    """Return the events of a call, in the order they began; its result lives until the trace ends."""
    with profile(activities=activities, profile_memory=True) as profiler:
        result = call()
    del result
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    return sorted(events, key=lambda event: (event.get("ts", 0), -event.get("dur", 0)))


def _syncs(events: list[Event]) -> int:
    """Count operators that wait, unless another one calls them for a shortcut."""
    count, shortcut_ends = 0, -math.inf
    for event in events:
        if event["name"] in SHORTCUTS:
            shortcut_ends = event["ts"] + event["dur"]
        count += event["name"] in WAITING and event["ts"] >= shortcut_ends
    return count


def _peak(events: list[Event]) -> int:
    """Return the highest sum of what was allocated and freed."""
    changes: list[int] = [event["args"]["Bytes"] for event in events if event["name"] == "[memory]"]
    return max(itertools.accumulate(changes, initial=0))
