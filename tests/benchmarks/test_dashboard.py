"""The benchmark of the dashboard does what its README says, on a small scale, and can tell good from bad."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.browser import BINARIES
from benchmarks.dashboard.report import BARS, MEANINGS
from benchmarks.dashboard.tab import LOOKS, STEPS_BETWEEN_LOOKS, STEPS_TO_FILL, Kept
from benchmarks.report import show
from benchmarks.server.content import FIGURES, SPIKE_VALUE, SPIKED, LongRun
from benchmarks.server.event_files import write
from rolloutwatch_server.imports.past import Row
from rolloutwatch_server.imports.tensorboard import files_of, read
from tests.processes import ROOT, alive

PROMISED = (
    "server_core_fraction_20_viewers",
    "tab_busy_fraction",
    "push_to_pixel_median_s",
    "first_chart_s",
    "wire_mb",
    "spike_visible",
    "idle_requests",
)


@pytest.mark.redis
@pytest.mark.browser
@pytest.mark.end_to_end
@pytest.mark.skipif(
    not any(map(shutil.which, BINARIES)) and "ROLLOUTWATCH_REQUIRE_BROWSER" not in os.environ,
    reason="no Chromium on PATH",
)
@pytest.mark.timeout(240)
def test_a_short_run_gives_every_figure_that_is_promised(tmp_path: Path) -> None:
    """What a browser shows is measured, a spike is seen at every zoom, and no process is left."""
    report = tmp_path / "figures.json"
    small = ["--steps", "3000", "--seconds", "2"]
    command = [sys.executable, "-m", "benchmarks.dashboard", "--quick", *small, "--json", str(report)]
    # not below tmp_path, where a browser's socket may have too long a name
    with tempfile.TemporaryDirectory(prefix="rw") as short:
        surroundings = {**os.environ, "TMPDIR": short}
        done = subprocess.run(
            command, cwd=ROOT, env=surroundings, text=True, capture_output=True, timeout=220
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    figures = told["figures"]
    assert list(figures) == list(MEANINGS)
    assert all(isinstance(figures[name], int | float) for name in PROMISED)
    assert figures["spike_visible"] == 1, done.stdout
    assert figures["missed_events"] == 0
    assert 0 < figures["tab_busy_fraction"] < 1
    assert 0.3 < figures["wire_mb"] <= figures["wire_whole_page_mb"]
    assert figures["tab_heap_growth"] is None
    assert "What a page keeps in memory is left out" in done.stdout
    assert {"cores", "cpu", "load", "python", "quick", "redis"} <= set(told["environment"])
    assert alive(short) == []


def test_memory_grows_by_what_is_kept_once_lines_are_full() -> None:
    """What a page takes up until its lines have their full length does not count; twice as much at the end is a growth of 2."""
    filling = [5.0] * (STEPS_TO_FILL // STEPS_BETWEEN_LOOKS)
    first, last = [18.0, 20.0, 22.0] * (LOOKS // 3), [36.0, 40.0, 44.0] * (LOOKS // 3)
    found = Kept([*filling, *first, 30, *last])
    assert (found.filled, found.end, found.growth) == (20, 40, 2)


def test_tensorboard_is_given_the_very_same_figures(tmp_path: Path) -> None:
    """Its event files are read back, checksums and all, with every step, whose numbers take one byte, two and three."""
    run, of = LongRun(16_500, as_columns=True, spike=130), np.arange(16_500)
    columns = {name: run.column(number, of) for number, name in enumerate(FIGURES[:2])}
    columns[SPIKED] = run.column(FIGURES.index(SPIKED), of)
    write(tmp_path / "run", columns)
    rows = [item for item in read(files_of(tmp_path / "run"), lambda *_: None) if isinstance(item, Row)]
    assert [row.step for row in rows] == of.tolist()
    for name, column in columns.items():
        assert [row.figures[name] for row in rows] == column.astype(np.float32).tolist()
    assert rows[130].figures[SPIKED] == float(np.float32(SPIKE_VALUE))


def test_what_misses_its_bar_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """The table names the bar of a figure, and whether it is missed; what was not measured misses nothing."""
    assert set(BARS) <= set(MEANINGS)
    show({"wire_mb": 3.0, "spike_visible": 1.0, "tab_busy_fraction": None}, MEANINGS, BARS, reasons=["Why."])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["wire_mb"].endswith("missed")
    assert "<= 2.5" in lines["wire_mb"]
    assert not lines["spike_visible"].endswith("missed")
    assert not lines["tab_busy_fraction"].endswith("missed")
    assert lines["Why."] == "Why."
