"""Time several things in one run, interleaved, so that a noisy machine disturbs all of them alike."""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = math.inf,
) -> dict[str, float]:
    """Return the median seconds of each case over so many rounds, after one round to warm up.

    Rounds end early, but not before the first, once so many seconds have gone by.
    With `time.process_time` as clock other processes are left out.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    started = time.perf_counter()
    for round_ in range(rounds + 1):
        if round_ > 1 and time.perf_counter() - started > seconds:
            break
        for name, case in cases.items():
            began = clock()
            case()
            if round_:
                times[name].append(clock() - began)
    return {name: statistics.median(all_) for name, all_ in times.items()}


def tell(heading: str, medians: Mapping[str, float]) -> None:
    """Print medians, and how each compares with the first."""
    first = next(iter(medians.values()))
    print(f"\n{heading}")
    for name, seconds in medians.items():
        print(f"  {name:<44} {1e3 * seconds:10.3f} ms   {seconds / first:8.2f} x")


def environment() -> dict[str, str | int | float | None]:
    """Return what this runs on, by name."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def where() -> str:
    """Return what this ran on, in a line."""
    on = environment()
    load = math.nan if on["load"] is None else on["load"]
    return f"{on['cpu']} ({platform.machine()}), {on['cores']} cores, load {load:.1f}, Python {on['python']}"


def _cpu() -> str:
    """Return the processor's name, as Linux tells it; elsewhere whatever Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
