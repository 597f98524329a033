"""The benchmark of the server does what its README says, on a small scale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import Bar
from benchmarks.server.report import BARS, MEANINGS
from tests.processes import ROOT, alive

PROMISED = (
    "ingest_records_per_s",
    "series_1e6_median_ms",
    "push_to_event_p99_s",
    "bytes_per_step",
    "lost",
    "doubled",
)


@pytest.mark.redis
@pytest.mark.end_to_end
def test_a_few_records_give_every_figure_that_is_promised(tmp_path: Path) -> None:
    """All that is sent is archived once and seen; what takes minutes is null, with the reason; no process is left."""
    report = tmp_path / "figures.json"
    small = ["--steps", "3000", "--records", "1600", "--seconds", "1"]
    command = [sys.executable, "-m", "benchmarks.server", "--quick", *small, "--json", str(report)]
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    figures = told["figures"]
    assert list(figures) == list(MEANINGS)
    assert all(isinstance(figures[name], int | float) for name in PROMISED)
    assert (figures["lost"], figures["doubled"], figures["missed_events"]) == (0, 0, 0)
    assert figures["series_steps"] == 3000
    assert figures["first_chart_s"] is None
    assert "What a browser shows is left out" in done.stdout
    assert {"cores", "cpu", "load", "python", "quick", "redis"} <= set(told["environment"])
    assert alive(str(tmp_path)) == []


def test_a_bar_says_which_side_of_it_is_missed() -> None:
    """What is to be much is missed below, what is to be little above; what is equal is met."""
    assert [Bar(2.0).is_missed(figure) for figure in (1.9, 2.0, 2.1)] == [False, False, True]
    assert [Bar(2.0, at_least=True).is_missed(figure) for figure in (1.9, 2.0, 2.1)] == [True, False, False]
    assert set(BARS) <= set(MEANINGS)
