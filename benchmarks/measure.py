"""Time several things in one run, interleaved, so that a noisy machine disturbs all of them alike."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(cases: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each case over so many rounds, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(rounds + 1):
        for name, case in cases.items():
            began = time.perf_counter()
            case()
            if round_:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(all_) for name, all_ in times.items()}


def tell(heading: str, medians: Mapping[str, float]) -> None:
    """Print medians, and how each compares with the first."""
    first = next(iter(medians.values()))
    print(f"\n{heading}")
    for name, seconds in medians.items():
        print(f"  {name:<44} {1e3 * seconds:10.3f} ms   {seconds / first:8.2f} x")


def where() -> str:
    """Return what this ran on, in a line."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"
    )
