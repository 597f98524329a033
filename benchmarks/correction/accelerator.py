"""What the correction adds to a step on a GPU: time on the device, time of the trainer's thread, kernels launched.

The share of the memory's speed is the time of the bound, measured on the same device, over the time of `correct`.
Metrics are not read here: the trainer's thread does not read them either.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch.profiler import ProfilerActivity

from benchmarks.correction import bound
from benchmarks.correction.contenders import CONFIG, batch_of, compiled
from benchmarks.correction.observe import trace
from rolloutwatch_correction import CorrectionConfig, correct

SHAPE = (512, 8192)
ROUNDS = 20
KINDS = ("eager", "compiled")
FIGURES = ("gpu_bandwidth_share", "gpu_kernels", "gpu_device_ms", "gpu_thread_ms")


def available() -> bool:
    """Return whether there is a GPU."""
    return torch.cuda.is_available()


def measured() -> dict[str, float | None]:
    """Return the figures by name, of eager and of compiled code; None for what cannot be measured here."""
    figures: dict[str, float | None] = {f"{name}_{kind}": None for name in FIGURES for kind in KINDS}
    if not available():
        return figures
    batch = batch_of(*SHAPE, device="cuda")
    config = CorrectionConfig.from_mapping(CONFIG)
    fastest = _times(partial(bound.memory(batch), batch))[0]
    functions = {"eager": correct, "compiled": compiled() if importlib.util.find_spec("triton") else None}
    for kind, function in functions.items():
        if function is None:
            continue

        def call(function: Callable[..., object] = function) -> object:
            return function(batch.training, batch.rollout, batch.mask, config)

        device, thread = _times(call)
        numbers = (fastest / device, _kernels(call), 1e3 * device, 1e3 * thread)
        figures |= {f"{name}_{kind}": number for name, number in zip(FIGURES, numbers, strict=True)}
    return figures


def _times(call: Callable[[], object]) -> tuple[float, float]:
    """Return the median seconds that a call takes on the device, and keeps the thread that makes it."""
    device, thread = [], []
    for round_ in range(ROUNDS + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        began = time.perf_counter()
        start.record()
        call()
        end.record()
        elapsed = time.perf_counter() - began
        torch.cuda.synchronize()
        if round_:  # the first one warms up
            device.append(start.elapsed_time(end) / 1e3)
            thread.append(elapsed)
    return statistics.median(device), statistics.median(thread)


def _kernels(call: Callable[[], object]) -> int:
    events = trace(call, ProfilerActivity.CPU, ProfilerActivity.CUDA)
    return sum(event.get("cat") == "kernel" for event in events)
