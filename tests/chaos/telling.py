"""Kill the server while it judges and tells people of alerts, and see whether all of them are told, and told once."""

import time
from collections.abc import Callable
from pathlib import Path

from rolloutwatch_server.moments import Moment
from tests.chaos.teller import Leg, Stop
from tests.chaos.tower import Tower
from tests.chaos.verdict import Verdict, judge

MOST_TIMES = 3  # that it comes to a moment before it is killed there
SECONDS_OF_AN_EXCHANGE = 0.05  # within which it is somewhere in the midst of one

# one after the other, and from the beginning again; None is the whole server, at any time
STOPS: tuple[Stop | None, ...] = (
    Leg.SENT, Moment.WRITTEN, Leg.MADE, None, Moment.COMMITTED, Leg.DUE, Leg.GATHERED, Moment.LET_GO,
    Leg.NOTED, Moment.READ, Moment.ANNOUNCED,
)  # fmt: skip


def tell_while_killed(
    steps: int, kills: int, folder: Path, seed: int, tell: Callable[[str], None]
) -> tuple[Verdict, int, float]:
    """Return what came of it, of how many records, and in how many seconds."""
    began = time.monotonic()
    with Tower(folder, seed, steps, hangs=1 + kills // 10) as tower:
        for number in range(kills):
            stop = STOPS[number % len(STOPS)]
            part = (number + 1) / (kills + 1)
            when = "at any time" if stop is None else f"when something is {stop.value}"
            tell(f"the server is killed {when}, {number + 1} of {kills}")
            if stop is None:
                tower.dies_at_any_time(part)
            else:
                times = tower.random.randint(1, MOST_TIMES if isinstance(stop, Moment) else 1)
                in_the_midst = tower.random.uniform(0.0, SECONDS_OF_AN_EXCHANGE)
                tower.dies_at(stop, times, in_the_midst if stop is Leg.DUE else 0.0, part)
        tower.end_well(tell)
        verdict = judge(tower)
        tell(
            f"{verdict.transitions} transitions, {verdict.told} of them told in {verdict.messages} messages; "
            f"{verdict.repeated} came again"
        )
        return verdict, tower.records, time.monotonic() - began
