"""What the correction costs: ours against verl's own helper, the formulas written down plainly, and the memory bound.

    python -m benchmarks.correction [--quick] [--json FILE]

Times are process CPU time on one thread, medians of interleaved rounds: other processes disturb them least.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch._dynamo.utils import counters

from benchmarks.correction import accelerator, bound
from benchmarks.correction.contenders import (
    COMPILED,
    EAGER,
    LITERAL,
    Contender,
    batch_of,
    compiled,
    literally,
    ours,
    verl,
)
from benchmarks.correction.observe import observe
from benchmarks.correction.report import (
    LARGEST,
    OURS,
    SHAPES,
    Compilation,
    Outcome,
    figures_of,
    show,
    show_accelerator,
)
from benchmarks.measure import environment, interleaved
from rolloutwatch_correction import correct


@dataclass(frozen=True)
class Effort:
    """How much to measure: rounds for each shape, fewer where the seconds for everything run out, and whether to run
    the slow ones, which are not ours, at the largest shape too.
    """

    rounds: tuple[int, int, int]
    seconds: float
    slow_at_largest: bool


FULL = Effort(rounds=(15, 9, 5), seconds=150, slow_at_largest=True)
QUICK = Effort(rounds=(7, 5, 5), seconds=36, slow_at_largest=False)


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    arguments = _arguments()
    torch.set_num_threads(1)
    outcome = measure(QUICK if arguments.quick else FULL)
    gpu = accelerator.measured()
    show(outcome)
    show_accelerator(gpu)
    if arguments.json:
        on = environment() | {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "baseline": outcome.baseline,
            "accelerator": torch.cuda.get_device_name() if accelerator.available() else None,
            "quick": arguments.quick,
        }
        report = {"figures": figures_of(outcome) | gpu, "environment": on}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(effort: Effort) -> Outcome:
    """Compile, look at one call of each contender, then time all of them shape by shape."""
    deadline = time.perf_counter() + effort.seconds
    found = verl()
    contenders: dict[str, Contender] = {} if isinstance(found, str) else {found[0]: found[1]}
    contenders |= {LITERAL: literally, EAGER: ours(correct)}
    _progress("compiling")
    fast, compilation = _compile()
    if fast is not None:
        contenders[COMPILED] = fast
    _progress("counting host syncs and memory")
    middle = batch_of(*SHAPES[1])
    observations = {name: observe(partial(run, middle)) for name, run in contenders.items()}
    return Outcome(
        baseline=next(iter(contenders)),
        absent=found if isinstance(found, str) else "",
        seconds=_seconds(contenders, effort, deadline),
        observations=observations,
        compilation=compilation,
    )


def _compile() -> tuple[Contender | None, Compilation | None]:
    """Return the compiled contender, compiled for every shape, and what that took; None without a compiler."""
    function = compiled()
    if function is None:
        return None, None
    contender, batches = ours(function), [batch_of(*shape) for shape in SHAPES]
    began = time.perf_counter()
    for batch in batches:
        contender(batch)
    return contender, Compilation(time.perf_counter() - began, counters["stats"]["unique_graphs"])


def _seconds(
    contenders: dict[str, Contender], effort: Effort, deadline: float
) -> dict[str, dict[str, float]]:
    """Return median seconds by shape and name, of the bounds too; the shapes share what time is left."""
    seconds: dict[str, dict[str, float]] = {}
    for shape, rounds in zip(SHAPES, effort.rounds, strict=True):
        name = f"{shape[0]}x{shape[1]}"
        _progress(f"timing {name}")
        batch = batch_of(*shape)
        everyone = effort.slow_at_largest or name != LARGEST
        cases = {who: run for who, run in contenders.items() if everyone or who in OURS.values()}
        cases |= {bound.MEMORY: bound.memory(batch), bound.FRESH: bound.fresh}
        calls = {who: partial(run, batch) for who, run in cases.items()}
        share = (deadline - time.perf_counter()) / (len(SHAPES) - len(seconds))
        seconds[name] = interleaved(calls, rounds, clock=time.process_time, seconds=share)
    return seconds


def _progress(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.correction", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, and only ours at the largest shape"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
