"""Trains examples/tiny_rl.py with every fault, and healthy, and writes down what is measured.

    python -m benchmarks.detection.record            # what is not there yet; all of it takes an hour and a half on one core
    python -m benchmarks.detection.record NAME ...   # recordings whose names begin so, anew

A run with a fault is trained without one up to where that begins, once for each seed, and goes on from there in a process
for each fault.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import tiny_rl

from benchmarks.detection.cases import (
    BEGINS,
    HEALTHY,
    LASTS,
    OTHER_SEEDS,
    STEPS,
    TUNED_SEEDS,
    Case,
    faulty,
)
from benchmarks.detection.recording import FOLDER, looked_at, rounded, write
from rolloutwatch_contract import Mark, StepRecord
from rolloutwatch_contract.catalogue import WEIGHT_AGE
from rolloutwatch_correction import Correction, CorrectionConfig, correct, metrics_of
from tiny.faults import FAULTS


class Everything(Exception):
    """All faults of a seed are recorded."""


class Recorder:
    """Stands where tiny_rl has its monitor, and keeps what that would send, as of a trainer that marks its syncs."""

    def __init__(self) -> None:
        self.records: list[StepRecord | Mark] = []
        self._config = CorrectionConfig(**tiny_rl.CORRECTION)
        self._metrics = looked_at()
        self._synced_at: int | None = None

    def mark(self, kind: str, step: int, **fields: int) -> None:
        """Keep a mark."""
        self._synced_at = step
        self.records.append(Mark(step, float(step), kind, dict(fields)))

    def correct(self, *, step: int, **tensors: object) -> Correction:
        """Correct, and keep the figures."""
        correction = correct(config=self._config, **tensors)  # type: ignore[arg-type] - as tiny_rl gives them
        figures = metrics_of(correction.statistics.vector.numpy(), self._config)
        if self._synced_at is not None:
            figures[WEIGHT_AGE] = float(step - self._synced_at)
        kept = {name: rounded(value) for name, value in sorted(figures.items()) if name in self._metrics}
        self.records.append(StepRecord(step, float(step), kept))
        return correction

    def log(self, step: int, values: Mapping[str, object]) -> None:
        """Reward and the like are not looked at."""


class Forking(Recorder):
    """Goes on, from where faults begin, in a process for each of them, one after the other."""

    def __init__(self, args: argparse.Namespace, cases: Sequence[Case]) -> None:
        super().__init__()
        self.name: str | None = None
        self._args, self._cases = args, cases

    def log(self, step: int, values: Mapping[str, object]) -> None:
        """Fork, before the first step that has a fault."""
        if step != BEGINS - 1:
            return
        for case in self._cases:
            process = os.fork()
            if not process:
                self.name = case.name
                self._args.fault, self._args.fault_strength = case.fault, case.strength
                return
            os.waitpid(process, 0)
            print(case.name, flush=True)
        raise Everything


def record_faults(seed: int, cases: Sequence[Case]) -> None:
    """Record the runs with faults of one seed."""
    options = ["--steps", STEPS, "--seed", seed, "--rollout", cases[0].precision]
    args = tiny_rl.parse_arguments(
        [str(one) for one in [*options, "--fault-from", BEGINS, "--fault-steps", LASTS]]
    )
    recorder = Forking(args, cases)
    try:
        tiny_rl.train(args, recorder, [])  # type: ignore[arg-type] - of a monitor's verbs it has those that are used
    except Everything:
        return
    write(str(recorder.name), recorder.records)
    os._exit(0)  # a child of a fork, which must not go on as its parent would


def record_healthy(case: Case) -> None:
    """Record a run without a fault."""
    options = ["--steps", case.steps, "--seed", case.seed]
    if case.precision == "async":
        options += [
            "--rollout",
            "bf16",
            "--fault",
            "late",
            "--fault-strength",
            2,
            "--fault-from",
            0,
            "--fault-steps",
            case.steps,
        ]
    else:
        options += ["--rollout", case.precision]
    recorder = Recorder()
    tiny_rl.train(tiny_rl.parse_arguments([str(one) for one in options]), recorder, [])  # type: ignore[arg-type]
    write(case.name, recorder.records)
    print(case.name, flush=True)


def wanted(case: Case, names: Sequence[str]) -> bool:
    """Tell whether a run is to be recorded."""
    if names:
        return case.name.startswith(tuple(names))
    return not (FOLDER / f"{case.name}.rwz").exists()


def main() -> None:
    """Record what is asked for, or what is not there yet."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.record", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    every = {name: fault.strengths for name, fault in FAULTS.items()}
    for seed in (*TUNED_SEEDS, *OTHER_SEEDS):
        cases = [case for case in faulty(seed, every) if wanted(case, names)]
        if cases:
            record_faults(seed, cases)
    for case in HEALTHY:
        if wanted(case, names):
            record_healthy(case)


if __name__ == "__main__":
    main()
