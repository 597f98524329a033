"""What was measured, as figures by name and as a table that a person can read."""

import math
from dataclasses import dataclass

import torch

from benchmarks.correction import accelerator, bound
from benchmarks.correction.contenders import COMPILED, EAGER, LITERAL, VERL_PATH
from benchmarks.correction.observe import Observation
from benchmarks.measure import where

SHAPES = ((64, 2048), (256, 4096), (512, 8192))
SMALLEST, MIDDLE, LARGEST = (f"{sequences}x{length}" for sequences, length in SHAPES)
FLOAT32_BYTES = 4
OURS = {"eager": EAGER, "compiled": COMPILED}

LEGEND = """
time     ms of process CPU time, medians of interleaved rounds
growth   from the smallest shape to the largest, which has {tokens} times the tokens
speed    times as fast as {baseline}, at {middle}
bounds   times as long as the memory bound, at {largest}
syncs    times that the host waits for the device within a call
memory   most that tensors made within a call held at once, results included, in float32 tensors, at {middle}
"""
COLUMNS = f"{'':26}{SMALLEST:>10}{MIDDLE:>10}{LARGEST:>10}{'growth':>9}{'speed':>9}{'bounds':>9}{'syncs':>7}{'memory':>9}"


@dataclass(frozen=True)
class Compilation:
    """How long the first compiled calls took, one at each shape, and how often they compiled."""

    seconds: float
    times: int


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        baseline: Name of whom speedups are against.
        absent: Why verl was not measured, empty if it was.
        seconds: Median seconds by shape and by name.
        observations: What a call at the middle shape was seen to do, by name.
        compilation: What compiling took, None without a compiler.
    """

    baseline: str
    absent: str
    seconds: dict[str, dict[str, float]]
    observations: dict[str, Observation]
    compilation: Compilation | None

    def ms(self, name: str, shape: str) -> float | None:
        """Return the median time, None if it was not measured."""
        return 1e3 * self.seconds[shape][name] if name in self.seconds[shape] else None

    def ratio(self, slow: str, fast: str, shape: str) -> float | None:
        """Return how many times as long one took as the other."""
        return _ratio(self.ms(slow, shape), self.ms(fast, shape))

    def growth(self, name: str) -> float | None:
        """Return how many times as long the largest shape takes as the smallest."""
        return _ratio(self.ms(name, LARGEST), self.ms(name, SMALLEST))

    def syncs(self, name: str) -> int | None:
        """Return how often a call waits for the device."""
        return self.observations[name].host_syncs if name in self.observations else None

    def memory(self, name: str) -> float | None:
        """Return the peak memory of a call, in float32 tensors of its batch's shape."""
        one = math.prod(SHAPES[1]) * FLOAT32_BYTES
        return self.observations[name].peak_bytes / one if name in self.observations else None


def figures_of(outcome: Outcome) -> dict[str, float | None]:
    """Return every figure by name; None for what was not measured."""
    made = outcome.compilation
    numbers: dict[str, float | None] = {
        "compile_seconds": made and made.seconds,
        "compilations": made and made.times,
    }
    rivals = {"baseline": outcome.baseline, "literal": LITERAL}
    bounds = {"bound": bound.MEMORY, "bound_fresh": bound.FRESH}
    for short, name in OURS.items():
        for shape in outcome.seconds:
            numbers[f"speedup_{short}_{shape}"] = outcome.ratio(outcome.baseline, name, shape)
            numbers[f"speedup_over_literal_{short}_{shape}"] = outcome.ratio(LITERAL, name, shape)
            numbers |= {
                f"{a}_ratio_{short}_{shape}": outcome.ratio(name, b, shape) for a, b in bounds.items()
            }
    for short, name in (OURS | rivals | bounds).items():
        numbers |= {f"ms_{short}_{shape}": outcome.ms(name, shape) for shape in outcome.seconds}
        numbers[f"growth_{short}"] = outcome.growth(name)
    for short, name in (OURS | rivals).items():
        numbers[f"host_syncs_{short}"] = outcome.syncs(name)
        numbers[f"extra_memory_x_{short}"] = outcome.memory(name)
    for both in ("host_syncs", "extra_memory_x"):  # the worse one of eager and compiled
        known = (numbers[f"{both}_{short}"] for short in OURS)
        numbers[both] = max(number for number in known if number is not None)
    return numbers


def show(outcome: Outcome) -> None:
    """Print the table, and what has to be known to read it."""
    print(f"{where()}, torch {torch.__version__} on the CPU, one thread\n")
    print(COLUMNS)
    for name in dict.fromkeys(name for times in outcome.seconds.values() for name in times):
        _show_row(outcome, name)
    print(
        LEGEND.format(
            tokens=math.prod(SHAPES[-1]) // math.prod(SHAPES[0]),
            baseline=outcome.baseline,
            middle=MIDDLE,
            largest=LARGEST,
        )
    )
    print("Everyone computes token weights, token rejection, veto and all metrics, and reads the metrics;")
    print("ours has its per-sequence table and histogram besides.")
    if outcome.absent:
        print(f"{outcome.absent}: speed is against the literal version.")
        print(f"{VERL_PATH} may name a folder that has verl, see benchmarks/README.md.")
    else:
        print(
            f"{outcome.baseline} has no veto: token weights and token_k1 rejection, its nearest, is less than ours does."
        )
    if outcome.compilation is None:
        print("There is no C++ compiler: nothing was compiled.")
    else:
        made = outcome.compilation
        print(f"Compiled {made.times}x for all shapes, in {made.seconds:.1f} s, which is in no figure.")


def _show_row(outcome: Outcome, name: str) -> None:
    contends = name in outcome.observations
    cells = [(outcome.ms(name, shape), 10) for shape in outcome.seconds]
    cells += [
        (outcome.growth(name), 9),
        (outcome.ratio(outcome.baseline, name, MIDDLE) if contends else None, 9),
        (outcome.ratio(name, bound.MEMORY, LARGEST) if contends else None, 9),
        (outcome.syncs(name), 7),
        (outcome.memory(name), 9),
    ]
    print(f"{name:26}" + "".join(_cell(number, width) for number, width in cells))


def show_accelerator(gpu: dict[str, float | None]) -> None:
    """Print what was measured on the GPU."""
    if not accelerator.available():
        print("There is no GPU: nothing was measured on one.")
        return
    print(f"\n{torch.cuda.get_device_name()}, {LARGEST}, metrics not read")
    for name, number in gpu.items():
        print(f"  {name:<32}{_cell(number, 10)}")


def _ratio(slow: float | None, fast: float | None) -> float | None:
    return None if slow is None or fast is None else slow / fast


def _cell(number: float | None, width: int) -> str:
    if number is None:
        return f"{'-':>{width}}"
    if isinstance(number, int):
        return f"{number:{width}d}"
    return f"{number:{width}.2f}" if number < 10 else f"{number:{width}.1f}"
