"""What is tried, and what came of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.figures import records
from tests.chaos.judgement import Judgement, is_whole, judge
from tests.chaos.slate import Line
from tests.chaos.stage import Stage
from tests.processes import wait_for

Fault = Callable[[Stage], None]
Tell = Callable[[str], None]

REDIS_FAULTS: tuple[Fault, ...] = (
    Stage.redis_is_killed,
    Stage.redis_hangs,
    Stage.redis_is_wiped,
    Stage.redis_loses_its_last_words,
    Stage.redis_is_full,
)


@dataclass(frozen=True)
class Dose:
    """How many steps a scenario has, and how many faults of its kind."""

    steps: int
    faults: int


@dataclass(frozen=True)
class Result:
    """What came of a scenario. `in_queue` steps were lost with the queue of a trainer that was killed."""

    scenario: str
    records: int
    faults: int
    judgement: Judgement
    seconds: float
    streams_lost: int = 0
    restarts: int = 0
    dropped: int = 0
    in_queue: int = 0

    @property
    def is_flawless(self) -> bool:
        return self.judgement.is_flawless and not self.dropped and not self.restarts


def with_faults(name: str, faults: Sequence[Fault], dose: Dose, folder: Path, seed: int, tell: Tell) -> Result:
    """Run a trainer to its end while faults befall what is around it, each at a step that the seed says."""
    began = time.monotonic()
    with Stage(folder, seed) as stage:
        stage.start_trainer(0, dose.steps)
        at = sorted(stage.random.sample(range(dose.steps // 20, dose.steps * 9 // 10), len(faults)))
        for number, (step, fault) in enumerate(zip(at, faults, strict=True), 1):
            stage.wait_for_step(step)
            tell(f"step {step}: {fault.__name__.replace('_', ' ')}, {number} of {len(faults)}")
            # the trainer goes on meanwhile, at most to where the next one is due
            stage.slate[Line.ALLOWED] = step + stage.random.randrange(1, 2 + (at[number:] or [dose.steps])[0] - step)
            fault(stage)
            if stage.random.random() < 0.5:
                stage.wait_until_archived(records(step))
        stage.wait_for_step(dose.steps)
        told = stage.wait_for_trainer()
        tell("waits for the archive")
        wait_for("the end of the run", lambda: is_whole(stage.archive))
        stage.stop_archivist()
        judgement = judge(stage.archive, seed, dose.steps)
    seconds = time.monotonic() - began
    return Result(
        name, records(dose.steps), len(faults), judgement, seconds,
        told["streams_lost"], told["restarts"], sum(told["dropped"].values()),
    )  # fmt: skip
