"""The benchmark of alerts does what its README says, on a small scale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.alerts.report import BARS, MEANINGS
from tests.processes import ROOT, alive


@pytest.mark.redis
@pytest.mark.end_to_end
def test_a_few_alerts_give_every_figure_that_is_promised(tmp_path: Path) -> None:
    """All are told once, whatever happens to the server meanwhile; no process is left behind."""
    report = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.alerts", "--quick", "--steps", "120", "--json", str(report)]
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    figures = told["figures"]
    assert list(figures) == list(MEANINGS)
    assert all(isinstance(figure, int | float) for figure in figures.values())
    lost, doubled, different = (figures[f"transitions_{flaw}"] for flaw in ("lost", "doubled", "different"))
    assert (lost, doubled, different) == (0, 0, 0), done.stderr
    assert figures["transitions_told"] > 20
    assert figures["notifications"] == 2
    assert 0 < figures["push_to_notification_median_s"] < 30
    assert {"cores", "cpu", "load", "python", "quick", "redis"} <= set(told["environment"])
    assert "push_to_notification_p99_s" in done.stdout
    assert set(BARS) <= set(MEANINGS)
    assert alive(str(tmp_path)) == []
