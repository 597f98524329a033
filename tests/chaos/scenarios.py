"""What is tried, and what came of it."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rolloutwatch.worker import MAX_JOBS
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.moments import Moment
from tests.chaos.figures import records
from tests.chaos.judgement import Judgement, ended_sessions, judge, untidiness
from tests.chaos.slate import Line
from tests.chaos.stage import Stage
from tests.chaos.telling import tell_while_killed
from tests.processes import wait_for

Faults = Sequence[Callable[[Stage], None]]
Tell = Callable[[str], None]

SECONDS_TO_ADOPT = 100.0  # the folder for spools is looked at once a minute
SECONDS_OF_A_BATCH = 0.05  # about: after so long it is somewhere else
MOST_BATCHES = (
    3  # that a server which is to be killed comes to; the trainer is allowed more steps than they hold
)

ALL_FAULTS: Faults = (
    Stage.redis_is_killed,
    Stage.redis_hangs,
    Stage.redis_is_wiped,
    Stage.redis_loses_its_last_words,
    Stage.redis_is_full,
    Stage.archivist_is_killed,
)


@dataclass(frozen=True)
class Dose:
    """How many steps a scenario has, and how many faults of its kind."""

    steps: int
    faults: int


@dataclass(frozen=True)
class Result:
    """What came of a scenario.

    `in_queue` steps were lost with the queue of a trainer that was killed;
    `untidy` is where a server that does its work left it half done.
    """

    records: int
    faults: int
    judgement: Judgement
    seconds: float
    streams_lost: int = 0
    restarts: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    in_queue: int = 0
    untidy: tuple[str, ...] = ()

    @property
    def is_flawless(self) -> bool:
        return self.judgement.is_flawless and not (self.dropped or self.restarts or self.untidy)


def one_trainer(faults: Faults, dose: Dose, folder: Path, seed: int, tell: Tell) -> Result:
    """Run a trainer to its end while faults befall what is around it, each at a step that the seed says."""
    began = time.monotonic()
    with Stage(folder, seed) as stage:
        stage.start_trainer(0, dose.steps)
        at = sorted(stage.random.sample(range(dose.steps // 20, dose.steps * 9 // 10), dose.faults))
        for number, (step, following) in enumerate(itertools.pairwise([*at, dose.steps])):
            fault = faults[number] if number < len(faults) else stage.random.choice(faults)
            stage.wait_for_step(step)
            tell(f"step {step}: {fault.__name__.replace('_', ' ')}, {number + 1} of {dose.faults}")
            # the trainer goes on meanwhile, at most to where the next fault is due
            stage.slate[Line.ALLOWED] = stage.random.randrange(step + 1, following + 1)
            fault(stage)
            if stage.random.random() < 0.5:
                stage.wait_until_archived(records(step))
        return _end(stage, dose, began, tell)


def killed_trainers(pace: float, dose: Dose, folder: Path, seed: int, tell: Tell) -> Result:
    """Kill the trainer of a run again and again, each time going on behind its last step, and let the last one end.

    Redis is up when it is killed, or down, or hangs. What may be lost is what had not left the queue.
    """
    began = time.monotonic()
    first, at_risk = 0, list[range]()
    with Stage(folder, seed) as stage:
        for number in range(dose.faults):
            a_life = (dose.steps - first) // (dose.faults + 1 - number)
            until = first + stage.random.randrange(a_life // 2, a_life + 1)
            redis = ("up", "down", "hung")[number % 3]
            stage.slate[Line.ALLOWED] = dose.steps - 1
            stage.start_trainer(first, dose.steps, pace)
            stage.wait_for_step((first + until) // 2)
            tell(f"step {until}: the trainer is killed while Redis is {redis}, {number + 1} of {dose.faults}")
            stage.kill_trainer_while_redis_is(redis, until)
            first = stage.slate[Line.DONE]
            at_risk.append(range(max(stage.slate[Line.WRITTEN], first - MAX_JOBS), first))
        stage.slate[Line.ALLOWED] = dose.steps - 1
        stage.start_trainer(first, dose.steps, pace)
        stage.wait_for_step(dose.steps - 1)
        left = len(at_risk)
        wait_for("what they left", lambda: ended_sessions(stage.archive) == left, SECONDS_TO_ADOPT)
        return _end(stage, dose, began, tell, at_risk)


def killed_servers(dose: Dose, folder: Path, seed: int, tell: Tell) -> Result:
    """Kill one server after the other, at each moment of a batch in turn and between any two, and let the last one end.

    A dead one is followed at once by the next, while the trainer goes on.
    """
    began = time.monotonic()
    with Stage(folder, seed) as stage:
        stage.kill_archivist()
        stage.start_trainer(0, dose.steps)
        for number in range(dose.faults):
            stage.slate[Line.ALLOWED] = dose.steps * (number + 1) // (dose.faults + 1)
            moment = (*Moment, None)[number % (len(Moment) + 1)]
            batch = stage.random.randint(1, MOST_BATCHES)
            seconds = 0.0 if moment else stage.random.uniform(0.0, SECONDS_OF_A_BATCH)
            when = f"when {moment.value}" if moment else "at any time"
            tell(f"batch {batch}: the server is killed {when}, {number + 1} of {dose.faults}")
            stage.archivist_dies_at(moment or Moment.READ, batch, seconds)
        stage.start_archivist()
        result = _end(stage, dose, began, tell)
        return replace(result, untidy=untidiness(stage.archive, stage.redis))


def alerts_told(dose: Dose, folder: Path, seed: int, tell: Tell) -> Result:
    """Kill the server while it tells a receiver of alerts that does all it should not; what is lost are transitions.

    They are told by their steps. Not a run's records are judged here, but what was made of them.
    """
    found, sent, seconds = tell_while_killed(dose.steps, dose.faults, folder, seed, tell)
    judgement = Judgement(
        lost=found.lost, doubled=found.doubled, different=found.different, state=RunState.FINISHED
    )
    return Result(sent, dose.faults, judgement, seconds, untidy=found.wrong)


def _end(stage: Stage, dose: Dose, began: float, tell: Tell, at_risk: Sequence[range] = ()) -> Result:
    """Let the trainer come to its end, and the archive to that of all that was sent; judge it."""
    stage.wait_for_step(dose.steps)
    told = stage.wait_for_trainer()
    tell("is over, the archive catches up")
    wait_for("the end of all sessions", lambda: ended_sessions(stage.archive) == len(at_risk) + 1)
    stage.stop_archivist()
    found = judge(stage.archive, stage.seed, dose.steps)
    in_queue = {step for one in at_risk for step in _suffix(one, found.lost)}
    return Result(
        records=records(dose.steps),
        faults=dose.faults,
        judgement=replace(found, lost=[step for step in found.lost if step not in in_queue]),
        seconds=time.monotonic() - began,
        streams_lost=told["streams_lost"],
        restarts=told["restarts"],
        dropped=told["dropped"],
        in_queue=len(in_queue),
    )


def _suffix(steps: range, lost: Sequence[int]) -> set[int]:
    """Which of these steps, from the last one backwards, are lost without one in between that is not."""
    return set(itertools.takewhile(set(lost).__contains__, reversed(steps)))


Scenario = Callable[[Dose, Path, int, Tell], Result]

SCENARIOS: Mapping[str, Scenario] = {
    "redis-killed": partial(one_trainer, [Stage.redis_is_killed]),
    "redis-hung": partial(one_trainer, [Stage.redis_hangs]),
    "redis-wiped": partial(one_trainer, [Stage.redis_is_wiped]),
    "redis-cut-short": partial(one_trainer, [Stage.redis_loses_its_last_words]),
    "redis-full": partial(one_trainer, [Stage.redis_is_full]),
    "server-killed": partial(one_trainer, [Stage.archivist_is_killed]),
    "server-killed-at-moments": killed_servers,
    "all-of-these": partial(one_trainer, ALL_FAULTS),
    "trainer-killed": partial(killed_trainers, 0.0),
    "trainer-killed-50-ms": partial(killed_trainers, 0.05),
    "alerts-while-killed": alerts_told,
}
FULL: Mapping[str, Dose] = {
    **dict.fromkeys(SCENARIOS, Dose(100_000, 5)),
    "server-killed": Dose(100_000, 20),
    "server-killed-at-moments": Dose(100_000, 50),
    "all-of-these": Dose(100_000, 18),
    "trainer-killed": Dose(100_000, 6),
    "trainer-killed-50-ms": Dose(600, 6),
    "alerts-while-killed": Dose(5_000, 30),
}
SMALL: Mapping[str, Dose] = {
    **dict.fromkeys(SCENARIOS, Dose(4_000, 1)),
    "server-killed": Dose(4_000, 3),
    "server-killed-at-moments": Dose(12_000, 12),
    "all-of-these": Dose(8_000, len(ALL_FAULTS)),
    "trainer-killed": Dose(4_000, 2),
    "trainer-killed-50-ms": Dose(60, 1),
    "alerts-while-killed": Dose(600, 5),
}
