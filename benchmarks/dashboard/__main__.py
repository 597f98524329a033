"""What the dashboard costs who looks at it, and shows: pages of a long run and of one that goes on, in a browser.

    python -m benchmarks.dashboard [--quick] [--json FILE] [SECTION ...]

Server, Redis and browsers are started on free ports of this host, with their files in a folder that goes at the end.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import redis

from benchmarks import command
from benchmarks.browser import OURS, THEIRS, Launch, browsers, first_charts
from benchmarks.client_cost.servers import Redis
from benchmarks.dashboard import opening, tab, viewers
from benchmarks.dashboard.report import BARS, MEANINGS, PEERS
from benchmarks.dashboard.trainer import Trainer
from benchmarks.report import Figures, complete
from benchmarks.server.board import TensorBoard, python_with_tensorboard
from benchmarks.server.content import LONG, LongRun, fill
from benchmarks.server.servers import Server
from rolloutwatch_server.transport import connect, find_binary

ARCHIVE = "archive.db"
HISTORY = 1000  # steps that a run has before somebody looks


@dataclass(frozen=True)
class Effort:
    """How long the long run is, and for how long each thing is looked at; without `kept` steps memory is left out."""

    long_run: LongRun
    rounds: int
    first_chart_seconds: float  # after which there are fewer rounds
    idle_seconds: float
    widths: tuple[int, ...]  # steps in view, besides all of them
    steps: int
    seconds: float
    kept: int


LENGTH = LongRun(100_000, True, 71_111)
FULL = Effort(LENGTH, 9, 120, 30, (30_000, 10_000, 3_000, 1_000, 300, 100, 30), 60, 30, 20_000)
QUICK = Effort(LENGTH, 3, 6, 1, (10_000, 1_000, 30), 3, 3, 0)


@dataclass
class Bench:
    """What every section needs, and what is missing by the end; `followed` is the page of the run that goes on."""

    effort: Effort
    server: Server
    client: redis.Redis
    launch: Launch | None
    board: TensorBoard | None
    reasons: list[str]
    trainer: Trainer
    followed: tab.Followed | None = field(default=None)


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    made = command.parser("dashboard", __doc__, SECTIONS)
    made.add_argument("--steps", type=int, metavar="N", help="of the long run, to try the benchmark itself")
    made.add_argument("--seconds", type=float, metavar="S", help="for which things are looked at, 1 or more")
    given = command.arguments(made, SECTIONS)
    figures, reasons = measure(_effort(given), given.sections)
    command.tell(figures, MEANINGS, BARS, given, peers=PEERS, reasons=reasons, redis=find_binary().name)


def measure(effort: Effort, sections: list[str]) -> tuple[Figures, list[str]]:
    """Archive the long run, start what is needed, and go through the sections; return figures, and why some are missing."""
    reasons: list[str] = []
    began = time.perf_counter()
    figures: Figures = {"long_run_steps": effort.long_run.steps}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dashboard-bench-")))
        launch = stack.enter_context(browsers(reasons))
        board = None
        if launch and "first-chart" in sections and (python := python_with_tensorboard(reasons)):
            board = stack.enter_context(TensorBoard(python, folder / "tensorboard", effort.long_run))
        queue = stack.enter_context(Redis(folder / "redis"))
        (folder / "data").mkdir()
        fill(folder / "data" / ARCHIVE, effort.long_run)
        server = stack.enter_context(Server(folder / "data", queue.url))
        client = stack.enter_context(connect(queue.url))
        if board:
            board.wait_until_read()
        trainer = Trainer(client, server, "watched")
        trainer.begin(HISTORY)
        bench = Bench(effort, server, client, launch, board, reasons, trainer)
        for name in sections:
            print(
                f"{name}, {time.perf_counter() - began:.0f} s after the start ...",
                file=sys.stderr,
                flush=True,
            )
            figures |= SECTIONS[name](bench)
    return complete(figures, MEANINGS), reasons


def _first_chart(bench: Bench) -> Figures:
    if bench.launch is None:
        return {}
    pages = {"first_chart_s": (f"{bench.server.url}/runs/{LONG}", OURS)}
    if bench.board:
        pages["first_chart_tensorboard_s"] = (bench.board.page, THEIRS)
    found: Figures = {
        **first_charts(bench.launch, pages, bench.effort.rounds, bench.effort.first_chart_seconds)
    }
    ours, theirs = found["first_chart_s"], found.get("first_chart_tensorboard_s")
    return found | {"first_chart_ratio_vs_tensorboard": ours / theirs if ours and theirs else None}


def _opening(bench: Bench) -> Figures:
    if bench.launch is None:
        return {}
    effort = bench.effort
    found = opening.look(bench.launch, bench.server, effort.long_run, effort.idle_seconds, effort.widths)
    if unseen := [zoom for zoom, is_seen in found.seen.items() if not is_seen]:
        bench.reasons.append(f"The spike was not seen with these steps in view: {', '.join(unseen)}.")
    if found.idle_requests:
        bench.reasons.append(
            f"The page that is left alone asks: {', '.join(sorted(set(found.idle_requests)))}."
        )
    return {
        "wire_mb": found.wire_mb,
        "wire_whole_page_mb": found.whole_page_mb,
        "idle_requests": len(found.idle_requests),
        "idle_seconds": effort.idle_seconds,
        "spike_visible": found.spike_visible,
    }


def _tab(bench: Bench) -> Figures:
    if bench.launch is None:
        return {}
    bench.followed = found = tab.follow(bench.launch, bench.trainer, bench.effort.steps)
    return {
        "tab_busy_fraction": found.busy_fraction,
        "tab_requests_per_s": len(found.requests) / found.seconds,
        "push_to_pixel_median_s": statistics.median(found.delays),
        "push_to_pixel_max_s": max(found.delays),
    }


def _viewers(bench: Bench) -> Figures:
    if bench.followed is None:
        bench.reasons.append(
            "Viewers follow events and ask nothing: what a page asks is only known after section tab."
        )
    found = viewers.watch(bench.server, bench.trainer, bench.effort.seconds, bench.followed)
    return {
        "server_core_fraction_20_viewers": found.core_fraction,
        "viewer_requests_per_s": found.requests_per_s,
        "viewer_push_to_event_p99_s": found.delay(99),
        "missed_events": found.missed,
    }


def _memory(bench: Bench) -> Figures:
    if bench.launch is None:
        return {}
    if not bench.effort.kept:
        bench.reasons.append("What a page keeps in memory is left out: it takes minutes.")
        return {}
    trainer = Trainer(bench.client, bench.server, "watched-for-long")
    trainer.begin(HISTORY)
    found = tab.keep(bench.launch, trainer, bench.effort.kept)
    return {
        "tab_heap_filled_mib": found.filled,
        "tab_heap_end_mib": found.end,
        "tab_heap_growth": found.growth,
    }


SECTIONS: Mapping[str, Callable[[Bench], Figures]] = {
    "tab": _tab,  # first: the run of the trainer would count as stalled later
    "viewers": _viewers,
    "first-chart": _first_chart,
    "opening": _opening,
    "memory": _memory,
}


def _effort(arguments: argparse.Namespace) -> Effort:
    effort = QUICK if arguments.quick else FULL
    if arguments.steps is not None:
        run = replace(effort.long_run, steps=arguments.steps, spike=arguments.steps * 7 // 10)
        effort = replace(effort, long_run=run)
    if arguments.seconds is not None:
        effort = replace(
            effort, steps=round(arguments.seconds), seconds=arguments.seconds, idle_seconds=arguments.seconds
        )
    return effort


if __name__ == "__main__":
    main()
