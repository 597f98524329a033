"""What the trainers of the alerts' scenario send, which whoever judges can send again: figures that make rules fire and end.

Figures are missing, not a number, late, sent twice; one run goes back, ends as crashed, and is resumed behind that.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rolloutwatch_contract import Outcome, Record, RunEnd, RunStart, StepRecord, run_id, stream_key

PROJECT = "alarms"
RUNS = ("steady", "stumbling")
SECONDS_A_STEP = 0.02
SECONDS_LATE = 600.0  # how old some records are when they come: the server has been away, for all it knows
STEPS_OF_A_MOOD = 60  # after which calm gives way to unrest, or the other way round
STEPS_BACK = 40
STEPS_BEHIND = 3  # where the figure comes that is always late

RULES = """
own_metrics = ["wave", "spike", "noise", "shaky", "rare", "behind"]

[[rule]]
name = "high"
severity = "critical"
when = "wave > 0.8"
clear = "wave < 0.5"
for_steps = 3
clear_steps = 5

[[rule]]
name = "spikes"
severity = "warning"
when = "spike > 1"

[[rule]]
name = "flutters"
severity = "warning"
when = "noise > 0.5"

[[rule]]
name = "both"
severity = "critical"
when = "wave > 0.2 and noise > 0"
for_steps = 2

[[rule]]
name = "either"
severity = "warning"
when = "wave < -0.9 or shaky > 2"
for_steps = 2
clear_steps = 3

[[rule]]
name = "mean_high"
severity = "warning"
when = "mean(wave, 10) > 0.6"

[[rule]]
name = "often"
severity = "warning"
when = "share(noise > 0, 20) > 0.6"
clear = "share(noise > 0, 20) < 0.5"

[[rule]]
name = "rises"
severity = "warning"
when = "change(wave, 5) > 0.6"
clear_steps = 2

[[rule]]
name = "gone"
severity = "critical"
when = "absent(rare, 10)"

[[rule]]
name = "shakes"
severity = "critical"
when = "shaky > 1"
clear = "shaky < 0.5"
for_steps = 2
clear_steps = 2

[[rule]]
name = "lasts"
severity = "warning"
when = "wave > 0"
for_seconds = 0.4

[[rule]]
name = "comes_late"
severity = "warning"
when = "behind > 1.5"
"""


@dataclass(frozen=True)
class Sent:
    """A record of a run, where it goes, and the attempt at the run that it belongs to, counted from 1."""

    run: str
    stream: str
    attempt: int
    record: Record


def sent(seed: int, name: str, steps: int, began: float) -> list[Sent]:
    """Return all that a run sends, in this order. A stream is followed by the next once it is read to its end."""
    return list(_Run(seed, name, began).sends(steps))


class _Run:
    def __init__(self, seed: int, name: str, began: float) -> None:
        self._random = random.Random(f"{seed} {name}")
        self._name, self._began = name, began
        self._run = run_id(PROJECT, name)
        self._session, self._attempt, self._count = 1, 1, 0

    def sends(self, steps: int) -> Iterator[Sent]:
        if self._name == RUNS[0]:
            yield from self._start()
            yield from self._steps(0, steps, late=range(0))
        else:
            back, crash = steps // 3, steps * 3 // 5
            yield from self._start()
            yield from self._steps(0, back, late=range(back // 2, back // 2 + steps // 20))
            self._attempt += 1
            yield from self._steps(back - STEPS_BACK, crash, late=range(0))
            yield self._of(RunEnd(self._time(), Outcome.CRASHED))
            self._session, self._attempt = self._session + 1, self._attempt + 1
            yield from self._start()
            yield from self._steps(crash - STEPS_BACK, steps, late=range(0))
        yield self._of(RunEnd(self._time(), Outcome.FINISHED))

    def _start(self) -> Iterator[Sent]:
        yield self._of(RunStart(PROJECT, self._name, self._time(), {}, {}))

    def _steps(self, first: int, last: int, late: range) -> Iterator[Sent]:
        for step in range(first, last):
            self._count += 1
            made = self._time() - (SECONDS_LATE if step in late else 0.0)
            figures = self._figures(step, whole=step == first)
            # what comes in two records comes in two transactions, now and then; an attempt is known by its first record
            is_cut = self._random.random() < 0.2 and step > first
            cut = self._random.randrange(len(figures)) if is_cut else len(figures)
            for part in (figures[:cut], figures[cut:]):
                if part:
                    yield self._of(StepRecord(step, made, dict(part)))
            if step - STEPS_BEHIND >= first:
                value = self._random.uniform(0.0, 2.0)
                yield self._of(StepRecord(step - STEPS_BEHIND, made, {"behind": value}))
            if self._random.random() < 0.05:  # once more, and not the same
                again = max(first, step - self._random.randrange(20))
                yield self._of(StepRecord(again, made, {"spike": 100.0}))

    def _figures(self, step: int, *, whole: bool) -> Sequence[tuple[str, float]]:
        """Return the figures of a step, of which any may be missing."""
        draw = self._random.random
        is_calm = step // STEPS_OF_A_MOOD % 3 == 0
        all_ = {
            "wave": math.sin(step / 25) + draw() * 0.2,
            "spike": 2.0 if draw() < 0.02 else 0.0,
            "noise": -1.0 if is_calm else draw() * 2 - 1,
            "shaky": math.nan if draw() < 0.3 else draw() * 3,
        }
        if step % 40 < 20 or draw() < 0.02:
            all_["rare"] = 1.0
        if draw() < 0.02:
            all_["noise"] = math.inf
        return [(name, value) for name, value in all_.items() if draw() > 0.05 or whole]

    def _of(self, record: Record) -> Sent:
        return Sent(self._run, stream_key(self._run, f"s{self._session}"), self._attempt, record)

    def _time(self) -> float:
        return self._began + self._count * SECONDS_A_STEP
