"""What a person sees: the first chart of a long run, and a chart that is drawn anew, in a real headless browser."""

import contextlib
import statistics
import time
from pathlib import Path

from benchmarks.browser import OURS, THEIRS, Launch, browsers, first_charts, redrawn
from benchmarks.report import Figures
from benchmarks.server.board import TensorBoard, python_with_tensorboard
from benchmarks.server.content import FIGURES, LONG, PROJECT, LongRun, figures, start
from benchmarks.server.servers import Server
from rolloutwatch_contract import StepRecord, encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from rolloutwatch_server.transport import connect

ROUNDS = 7
STEPS = 30
SECONDS_A_STEP = 1.0


def look(server: Server, redis_url: str, steps: int, folder: Path, reasons: list[str]) -> Figures:
    """Return what a browser shows when; where there is none, nothing, and why among the reasons."""
    with browsers(reasons) as launch:
        if launch is None:
            return {}
        pushed = {"push_to_chart_median_s": _redrawn(launch, server, redis_url)}
        return pushed | _first(launch, server, steps, folder, reasons)


def _redrawn(launch: Launch, server: Server, redis_url: str) -> float:
    """Return the median seconds from a push to the frame with the chart that has it, at a step a second."""
    run = run_id(PROJECT, "watched")
    stream = stream_key(run, "s1")
    with connect(redis_url) as client, launch() as page:

        def push(step: int) -> float:
            began = time.time()
            record = StepRecord(step, began, figures(step, FIGURES))
            client.xadd(stream, {RECORD_FIELD: encode(record)}, id=entry_id(step + 2))
            return began

        client.xadd(stream, {RECORD_FIELD: start("watched", time.time())}, id=entry_id(1))
        for step in range(5):
            push(step)
        while server.records() < 6:
            time.sleep(0.05)
        page.goto(f"{server.url}/runs/{run}")
        return statistics.median(redrawn(page, push, range(5, 5 + STEPS), SECONDS_A_STEP).values())


def _first(launch: Launch, server: Server, steps: int, folder: Path, reasons: list[str]) -> Figures:
    """Return the median seconds until the first chart is there, ours and TensorBoard's, browser after browser in turn."""
    with contextlib.ExitStack() as stack:
        pages = {"first_chart_s": (f"{server.url}/runs/{LONG}", OURS)}
        found: Figures = {}
        if python := python_with_tensorboard(reasons):
            shorter = LongRun(steps // 10, as_columns=True)
            board = stack.enter_context(TensorBoard(python, folder / "tensorboard", shorter))
            board.wait_until_read()
            pages["first_chart_tensorboard_s"] = (board.page, THEIRS)
            found["tensorboard_ingest_steps_per_s"] = steps // 10 / board.seconds_to_read
            found["tensorboard_series_median_ms"] = board.series_ms()
        found |= first_charts(launch, pages, ROUNDS)
    ours, theirs = found["first_chart_s"], found.get("first_chart_tensorboard_s")
    return found | {"first_chart_vs_tensorboard": ours / theirs if ours and theirs else None}
