"""What the server takes and gives: records from Redis, series of a long run, events to viewers, charts in a browser.

    python -m benchmarks.server [--quick] [--json FILE] [SECTION ...]

Servers, a Redis and a browser are started on free ports of this host, with their files in a folder that goes at the end.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import command
from benchmarks.client_cost.servers import Redis
from benchmarks.report import Figures, complete
from benchmarks.server import series
from benchmarks.server.backlog import drain
from benchmarks.server.browser import look
from benchmarks.server.content import LongRun, fill
from benchmarks.server.live import count_lost, watch
from benchmarks.server.report import BARS, MEANINGS, PEERS
from benchmarks.server.servers import Server
from rolloutwatch_server.transport import find_binary

ARCHIVE = "archive.db"


@dataclass(frozen=True)
class Effort:
    """How long the long run is, how many records wait, with sequences and without, and for how long writers write."""

    long_run: LongRun
    waiting: int
    backlog: int
    seconds: float
    with_browser: bool


FULL = Effort(LongRun(1_000_000, as_columns=False), 30_000, 100_000, 60, with_browser=True)
QUICK = Effort(LongRun(1_000_000, as_columns=True), 4_800, 0, 8, with_browser=False)


@dataclass(frozen=True)
class Bench:
    """What every section needs: a Redis, a folder with the archive of the long run, and who is told of missing figures."""

    effort: Effort
    redis_url: str
    data_dir: Path
    reasons: list[str]

    @contextlib.contextmanager
    def server(self) -> Iterator[Server]:
        """Run a server on the archive of the long run."""
        with Server(self.data_dir, self.redis_url) as server:
            yield server


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    made = command.parser("server", __doc__, SECTIONS)
    made.add_argument("--seconds", type=float, metavar="S", help="for which writers write; 1800 for a soak")
    made.add_argument("--steps", type=int, metavar="N", help="of the long run, to try the benchmark itself")
    made.add_argument("--records", type=int, metavar="N", help="that wait, to try the benchmark itself")
    given = command.arguments(made, SECTIONS)
    figures, reasons = measure(_effort(given), given.sections)
    command.tell(figures, MEANINGS, BARS, given, peers=PEERS, reasons=reasons, redis=find_binary().name)


def measure(effort: Effort, sections: list[str]) -> tuple[Figures, list[str]]:
    """Make the long run, start a Redis, and go through the sections; return figures, and why some are missing."""
    reasons: list[str] = []
    figures: Figures = {"series_steps": effort.long_run.steps}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="server-bench-")))
        redis = stack.enter_context(Redis(folder / "redis"))
        bench = Bench(effort, redis.url, folder / "data", reasons)
        how = "written as the columns that its steps become" if effort.long_run.as_columns else "step by step"
        _progress(f"a run of {effort.long_run.steps:,} steps is archived, {how}")
        figures["bytes_per_step"] = _archive(bench)
        for name in sections:
            _progress(name)
            figures |= SECTIONS[name](bench)
    return complete(figures, MEANINGS), reasons


def _archive(bench: Bench) -> float:
    """Archive the long run; return how many bytes a step of it takes."""
    bench.data_dir.mkdir()
    fill(bench.data_dir / ARCHIVE, bench.effort.long_run)
    size = sum(file.stat().st_size for file in bench.data_dir.iterdir())
    return size / bench.effort.long_run.steps


def _series(bench: Bench) -> Figures:
    with bench.server() as server:
        found = series.read(bench.data_dir / ARCHIVE, server, bench.effort.long_run.steps)
    return {
        "series_1e6_median_ms": found[series.HTTP],
        "series_1e6_store_median_ms": found[series.STORE],
        "series_newest_median_ms": found[series.NEWEST],
    }


def _ingest(bench: Bench) -> Figures:
    with bench.server() as server:
        found = drain(server, bench.redis_url, "waiting", bench.effort.waiting, sequences=True)
    return {
        "ingest_records_per_s": found.records_per_s,
        "ingest_cpu_us_per_record": found.cpu_us_per_record,
        "ingest_answer_median_ms": found.answered_in(50),
        "ingest_peak_mib": found.peak_mib,
    }


def _catch_up(bench: Bench) -> Figures:
    if not bench.effort.backlog:
        bench.reasons.append("The backlog is left out: it takes a minute.")
        return {}
    with bench.server() as server:
        found = drain(
            server, bench.redis_url, "backlog", bench.effort.backlog, sequences=False, paths=(0, 1, 2)
        )
    return {
        "catch_up_records_per_s": found.records_per_s,
        "catch_up_seconds": found.seconds,
        "catch_up_answer_p99_ms": found.answered_in(99),
        "catch_up_answer_max_ms": found.answered_in(100),
    }


def _live(bench: Bench) -> Figures:
    with bench.server() as server:
        found = watch(server, bench.redis_url, bench.effort.seconds)
    return {
        "live_records_per_s": found.records_per_s,
        "push_to_event_median_s": found.delay(50),
        "push_to_event_p99_s": found.delay(99),
        "push_to_event_max_s": found.delay(100),
        "missed_events": found.missed,
        "lost": count_lost(bench.data_dir / ARCHIVE, found.names, found.steps),
        "doubled": found.doubled,
        "live_cpu_us_per_record": found.cpu_us_per_record,
        "rss_start_mib": found.resident[0],
        "rss_end_mib": found.resident[1],
    }


def _browser(bench: Bench) -> Figures:
    if not bench.effort.with_browser:
        bench.reasons.append("What a browser shows is left out: it takes minutes.")
        return {}
    with bench.server() as server:
        return look(
            server, bench.redis_url, bench.effort.long_run.steps, bench.data_dir.parent, bench.reasons
        )


SECTIONS: Mapping[str, Callable[[Bench], Figures]] = {
    "series": _series,
    "ingest": _ingest,
    "catch-up": _catch_up,
    "live": _live,
    "browser": _browser,
}


def _progress(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


def _effort(arguments: argparse.Namespace) -> Effort:
    effort = QUICK if arguments.quick else FULL
    if arguments.steps is not None:
        effort = replace(effort, long_run=replace(effort.long_run, steps=arguments.steps))
    if arguments.records is not None:
        effort = replace(effort, waiting=arguments.records, backlog=arguments.records)
    if arguments.seconds is not None:
        effort = replace(effort, seconds=arguments.seconds)
    return effort


if __name__ == "__main__":
    main()
