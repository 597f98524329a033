"""What alerts cost, how soon people are told, and whether any is lost when the server is killed meanwhile.

    python -m benchmarks.alerts [--quick] [--json FILE] [SECTION ...]

Servers and a Redis are started on free ports of this host, with their files in a folder that goes at the end.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import command
from benchmarks.alerts.evaluation import core_fraction, default_rules_step_us, value_us
from benchmarks.alerts.latency import Inbox, delays
from benchmarks.alerts.load import DOCUMENTS, RUNS, STEPS_PER_S, Cost, Load
from benchmarks.alerts.report import BARS, MEANINGS
from benchmarks.client_cost.servers import Redis
from benchmarks.report import Figures, complete
from benchmarks.server.servers import Server
from rolloutwatch_server.transport import find_binary
from tests.chaos.telling import tell_while_killed

SEED = 7


@dataclass(frozen=True)
class Effort:
    """How much of everything there is: alerts, seconds of judging and sending, records that wait, rounds, kills, steps."""

    alerts: int
    judging: float
    sending: float
    waiting: int
    rounds: int
    kills: int
    steps: int


FULL = Effort(alerts=60, judging=15, sending=10, waiting=8000, rounds=3, kills=12, steps=2000)
QUICK = Effort(alerts=12, judging=2, sending=2, waiting=3200, rounds=1, kills=3, steps=300)


@dataclass(frozen=True)
class Bench:
    """What every section needs."""

    effort: Effort
    folder: Path


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    made = command.parser("alerts", __doc__, SECTIONS)
    made.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="of two runs, and next to nothing else, to try the benchmark itself",
    )
    given = command.arguments(made, SECTIONS)
    effort = QUICK if given.quick else FULL
    if given.steps is not None:
        effort = replace(effort, steps=given.steps, kills=1, alerts=2, judging=0.1, sending=0.2, waiting=80)
    command.tell(measure(effort, given.sections), MEANINGS, BARS, given, redis=find_binary().name)


def measure(effort: Effort, sections: list[str]) -> Figures:
    """Go through the sections."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="alerts-bench-") as folder:
        for name in sections:
            print(f"{name} ...", file=sys.stderr, flush=True)
            figures |= SECTIONS[name](Bench(effort, Path(folder)))
    return complete(figures, MEANINGS)


def _judging(bench: Bench) -> Figures:
    many = core_fraction(bench.effort.judging)
    return {
        "core_fraction_500_rules_64_runs": many["core_fraction"],
        "judging_us_per_step_500_rules": many["step_us"],
        "judging_us_per_step_default_rules": default_rules_step_us(bench.effort.judging / 4),
        "judging_us_per_value_jump": value_us("jump", bench.effort.judging / 8),
        "judging_us_per_value_drift": value_us("drift", bench.effort.judging / 8),
    }


def _telling(bench: Bench) -> Figures:
    folder = bench.folder
    with Inbox() as inbox, Redis(folder / "redis-telling") as redis:
        options = ("--notify-file", str(inbox.file(folder / "notify.toml")))
        with Server(folder / "telling", redis.url, *options) as server:
            found = delays(server, redis.url, inbox, bench.effort.alerts)
    return {
        "push_to_notification_median_s": statistics.median(found),
        "push_to_notification_p99_s": float(np.percentile(found, 99)),
        "notifications": len(found),
    }


def _ingest(bench: Bench) -> Figures:
    """Drain and send with each set of rules in turn, round after round, so that a busy machine disturbs all alike."""
    drained: dict[str, list[Cost]] = {which: [] for which in DOCUMENTS}
    paced: dict[str, list[Cost]] = {which: [] for which in ("no_rules", "500_rules")}
    folder, effort = bench.folder, bench.effort
    with Redis(folder / "redis-ingest") as redis, Server(folder / "ingest", redis.url) as server:
        load = Load(server, redis.url)
        load.drain(min(800, effort.waiting))  # to warm up
        for _ in range(effort.rounds):
            for which in DOCUMENTS:
                load.put_in_force(which)
                drained[which].append(load.drain(effort.waiting))
                if which in paced:
                    paced[which].append(load.pace(effort.sending))
    each = {
        which: statistics.median(one.cpu_us_per_record for one in costs) for which, costs in paced.items()
    }
    # of what is sent in a second, however slowly it was sent here
    seconds = 1e-6 * (each["500_rules"] - each["no_rules"]) * RUNS * STEPS_PER_S
    figures: Figures = {"core_fraction_500_rules_64_runs_in_server": seconds}
    for which, costs in drained.items():
        figures[f"ingest_records_per_s_{which}"] = statistics.median(one.records_per_s for one in costs)
        figures[f"ingest_cpu_us_per_record_{which}"] = statistics.median(
            one.cpu_us_per_record for one in costs
        )
    return figures


def _kills(bench: Bench) -> Figures:
    effort = bench.effort

    def tell(what: str) -> None:
        print(f"  {what}", file=sys.stderr, flush=True)

    found, _, _ = tell_while_killed(effort.steps, effort.kills, bench.folder / "kills", SEED, tell)
    for what in found.wrong:
        print(f"FLAW: {what}", file=sys.stderr)
    return {
        "kills": effort.kills,
        "transitions": found.transitions,
        "transitions_told": found.told,
        "transitions_lost": len(found.lost),
        "transitions_doubled": len(found.doubled),
        "transitions_different": len(found.different) + len(found.wrong),
        "messages": found.messages,
        "messages_repeated": found.repeated,
    }


SECTIONS: Mapping[str, Callable[[Bench], Figures]] = {
    "judging": _judging,
    "telling": _telling,
    "ingest": _ingest,
    "kills": _kills,
}


if __name__ == "__main__":
    main()
