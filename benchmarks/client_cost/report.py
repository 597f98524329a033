"""What was measured, as figures by name and as a table that a person can read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.client_cost.content import FEW, MANY, NAMES, NONE
from benchmarks.client_cost.loggers import LOGGERS_PATH, TENSORBOARD, TRACKIO, WANDB
from benchmarks.client_cost.trainer import Phase
from benchmarks.measure import where
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS

UP, HUNG, DEAD = "ours, Redis up", "ours, Redis hung", "ours, Redis dead"
SITUATIONS = {UP: "up", HUNG: "hung", DEAD: "dead"}
RIVALS = {TENSORBOARD: "tensorboard", TRACKIO: "trackio", WANDB: "wandb"}
CALLS = ("record", "log")
CONTENTS = {FEW: "", MANY: "_4096", NONE: "_scalars"}  # what figures are called by

GOALS = (
    {f"caller_median_us_{situation}": 60.0 for situation in SITUATIONS.values()}
    | {f"caller_p99_us_{situation}": 1e3 for situation in SITUATIONS.values()}
    | {f"caller_max_us_{situation}": 50e3 for situation in SITUATIONS.values()}
    | {"ratio_vs_trackio": 0.7, "ratio_vs_wandb": 0.1, "ratio_vs_tensorboard": 0.1}
    | {"undelivered_up": 0.0, "undelivered_4096_up": 0.0, "undelivered_scalars_up": 0.0}
)

HEADINGS = {
    FEW: f"{len(NAMES)} scalars, {FEW} sequences",
    MANY: f"{len(NAMES)} scalars, {MANY} sequences",
    NONE: f"{len(NAMES)} scalars alone",
}
COLUMNS = f"{'median':>10}{'p99':>10}{'max':>10}{'record':>10}{'log':>10}{'process':>10}{'steps':>8}"

LEGEND = f"""
Times are microseconds; median, p99 and max are of a step's calls together on the caller's thread, the first step too.
record     median of `record`: a row of {len(SEQUENCE_COLUMNS)} columns for each sequence, the batch's metrics, its histogram
log        median of `log`: {len(NAMES)} scalars; the others log theirs, and a histogram of the sequences' mean log ratios,
           in one call, TensorBoard in one for each
process    processor time of all threads of the trainer's process that goes into logging, per step;
           wandb has a process of its own besides, which is not in it
Redis up   with an archive that reads and acknowledges; it hangs or is dead since the trainer had connected to it
"""


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        phases: By number of sequences, then by who logged them.
        versions: Of the other loggers, None for those that are absent.
        absent: Why they are.
    """

    phases: dict[int, dict[str, Phase]]
    versions: dict[str, str | None]
    absent: list[str]


@dataclass(frozen=True)
class Times:
    """Microseconds of something that was done once in each step."""

    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, nanoseconds: Sequence[int]) -> "Times":
        """Summarise."""
        median, p99, most = np.percentile(nanoseconds, (50, 99, 100)) / 1e3
        return cls(float(median), float(p99), float(most))


def together(phase: Phase) -> Times:
    """Return how long the calls of a step took together."""
    return Times.of([sum(calls) for calls in phase.calls])


def apart(phase: Phase) -> dict[str, Times]:
    """Return how long `record` and `log` took each, the latter alone where only scalars were logged."""
    names = CALLS[-len(phase.calls[0]) :]
    return {name: Times.of(times) for name, times in zip(names, zip(*phase.calls, strict=True), strict=True)}


def process_us(phase: Phase) -> float:
    """Return the microseconds of processor time that logging a step took in the whole process."""
    return phase.process_ns / 1e3 / len(phase.calls)


def figures_of(outcome: Outcome) -> dict[str, float | None]:
    """Return every figure by name; None for what was not measured."""
    figures: dict[str, float | None] = {}
    for sequences, content in CONTENTS.items():
        phases = outcome.phases[sequences]
        for name, short in (SITUATIONS | RIVALS).items():
            figures |= _figures(phases.get(name), f"{content}_{short}", split=name in SITUATIONS)
        for name, short in RIVALS.items():
            figures[f"ratio_vs_{short}{content}"] = _ratio(phases[UP], phases.get(name))
        figures[f"undelivered{content}_up"] = phases[UP].undelivered
    return figures


def _figures(phase: Phase | None, suffix: str, *, split: bool) -> dict[str, float | None]:
    """Return the figures of one phase of one trainer."""
    whole = {"caller": together(phase)} if phase else {}
    parts = apart(phase) if phase and split else {}
    names = ("caller", *CALLS) if split else ("caller",)
    figures: dict[str, float | None] = {}
    for name in names:
        times = (whole | parts).get(name)
        for one in ("median", "p99", "max"):
            figures[f"{name}_{one}_us{suffix}"] = getattr(times, one) if times else None
    figures[f"process_us_per_step{suffix}"] = process_us(phase) if phase else None
    return figures


def _ratio(ours: Phase, theirs: Phase | None) -> float | None:
    return together(ours).median / together(theirs).median if theirs else None


def show(outcome: Outcome) -> None:
    """Print the tables, the goals, and what has to be known to read them."""
    print(f"{where()}, torch {torch.__version__}")
    for sequences in CONTENTS:
        print(f"\n{HEADINGS[sequences]:28}{COLUMNS}")
        for name in (*SITUATIONS, *RIVALS):
            if name in outcome.phases[sequences]:
                version = outcome.versions.get(name) or ""
                _show_row(f"{name} {version}", outcome.phases[sequences][name], split=name in SITUATIONS)
    print(LEGEND)
    for why in outcome.absent:
        print(f"{why}: not compared with.")
    if outcome.absent:
        print(f"{LOGGERS_PATH} may name a folder that has it, see benchmarks/README.md.")
    _show_goals(figures_of(outcome))


def _show_row(name: str, phase: Phase, *, split: bool) -> None:
    times, parts = together(phase), apart(phase) if split else {}
    cells = [times.median, times.p99, times.max]
    cells += [parts[call].median if call in parts else None for call in CALLS]
    cells.append(process_us(phase))
    print(f"{name:28}" + "".join(_cell(one) for one in cells) + f"{len(phase.calls):8}")


def _show_goals(figures: dict[str, float | None]) -> None:
    print(f"{'figure':<30}{'measured':>10}{'at most':>10}")
    ratios = [f"ratio_vs_{short}{content}" for content in CONTENTS.values() for short in RIVALS.values()]
    for name in dict.fromkeys([*GOALS, *ratios]):
        figure, goal = figures[name], GOALS.get(name)
        missed = "  missed" if figure is not None and goal is not None and figure > goal else ""
        digits = 3 if name in ratios else 0
        print(f"{name:<30}{_cell(figure, digits)}{_cell(goal, min(digits, 1))}{missed}")


def _cell(number: float | None, digits: int = 1) -> str:
    return f"{'-':>10}" if number is None else f"{number:10.{digits}f}"
