"""What logging a step costs the trainer: ours with a Redis that is up, hangs or is dead, and other loggers.

    python -m benchmarks.client_cost [--quick] [--json FILE]

Each logger has a training loop in a process of its own; the loops take turns, so that a noisy machine disturbs all alike.
The correction is computed beforehand: what it costs is for `benchmarks.correction` to say.
"""

import argparse
import contextlib
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.client_cost.content import FEW, MANY, NONE
from benchmarks.client_cost.loggers import OTHERS
from benchmarks.client_cost.report import DEAD, HUNG, RIVALS, UP, Outcome, figures_of, show
from benchmarks.client_cost.servers import Redis, archive_of
from benchmarks.client_cost.trainer import Phase, Trainer
from benchmarks.measure import environment
from rolloutwatch_server.transport import find_binary

SECONDS_OF_REST = 0.6  # at the end, for what goes on in the background; trackio writes every half second
SECONDS_TO_DELIVER = 5.0


@dataclass(frozen=True)
class Turns:
    """How many turns each trainer has, how many steps it takes in each, and how many seconds these are apart."""

    turns: int
    steps: int
    pace: float


@dataclass(frozen=True)
class Effort:
    """The turns for each number of sequences; fewer where the seconds for everything run out."""

    turns: Mapping[int, Turns]
    seconds: float


FULL = Effort({MANY: Turns(5, 100, 0.020), NONE: Turns(5, 200, 0.010), FEW: Turns(6, 300, 0.010)}, 240)
QUICK = Effort({MANY: Turns(2, 40, 0.020), NONE: Turns(2, 100, 0.005), FEW: Turns(3, 120, 0.005)}, 38)


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    arguments = _arguments()
    effort = QUICK if arguments.quick else FULL
    if arguments.steps is not None:
        turns = {number: replace(one, steps=arguments.steps) for number, one in effort.turns.items()}
        effort = replace(effort, turns=turns)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # ends what was started first
    outcome = measure(effort)
    show(outcome)
    if arguments.json:
        versions = {RIVALS[name]: version for name, version in outcome.versions.items()}
        on = environment() | {"torch": torch.__version__, "redis": find_binary().name}
        on |= versions | {"quick": arguments.quick}
        report = {"figures": figures_of(outcome), "environment": on}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def measure(effort: Effort) -> Outcome:
    """Start everything, let the trainers take turns with one content after the other, and end everything."""
    deadline = time.perf_counter() + effort.seconds
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="client-cost-")))
        _progress("starting servers and trainers")
        servers = {name: stack.enter_context(Redis(folder / f"redis {name}")) for name in (UP, HUNG, DEAD)}
        stack.enter_context(archive_of(context, servers[UP].url, folder))
        urls = {name: server.url for name, server in servers.items()} | dict.fromkeys(OTHERS)
        trainers = [
            stack.enter_context(Trainer(context, name, folder / name, url)) for name, url in urls.items()
        ]
        ready = [trainer for trainer in trainers if trainer.wait_until_ready()]
        phases: dict[int, dict[str, Phase]] = {}
        for sequences, turns in effort.turns.items():
            _progress(f"40 scalars and {sequences} sequences" if sequences else "40 scalars")
            # scalars alone are for the comparison with others, who know no Redis
            of_phase = [one for one in ready if sequences or one.name not in (HUNG, DEAD)]
            seconds = (deadline - time.perf_counter()) / (len(effort.turns) - len(phases))
            phases[sequences] = _phase(of_phase, servers, sequences, turns, seconds)
    versions = {trainer.name: trainer.version or None for trainer in trainers if trainer.name in OTHERS}
    return Outcome(phases, versions, [trainer.absent for trainer in trainers if trainer.absent])


def _phase(
    trainers: Sequence[Trainer], servers: Mapping[str, Redis], sequences: int, turns: Turns, seconds: float
) -> dict[str, Phase]:
    """Let trainers take turns, each at least once, within so many seconds; trouble begins when they are connected."""
    deadline = time.perf_counter() + seconds
    for server in servers.values():
        server.be_well()
    for trainer in trainers:
        trainer.open(sequences)
    servers[HUNG].hang()
    servers[DEAD].die()
    for turn in range(turns.turns):
        if turn and time.perf_counter() > deadline:
            break
        for trainer in trainers:
            trainer.run(turns.steps, turns.pace)
    time.sleep(SECONDS_OF_REST)
    patience = {UP: SECONDS_TO_DELIVER}
    return {trainer.name: trainer.close(patience.get(trainer.name, 0.0)) for trainer in trainers}


def _progress(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client_cost", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns, in less than 50 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a turn, to try the benchmark itself")
    return parser.parse_args()


if __name__ == "__main__":
    main()
