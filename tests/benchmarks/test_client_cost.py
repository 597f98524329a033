"""The benchmark of the client does what its README says, in a few steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, alive

SITUATIONS = ("up", "hung", "dead")
RIVALS = ("tensorboard", "trackio", "wandb")
PROMISED = {
    *(f"caller_{one}_us{size}_{what}" for one in ("median", "p99", "max") for size in ("", "_4096") for what in SITUATIONS),
    *(f"process_us_per_step{size}_{what}" for size in ("", "_4096") for what in SITUATIONS),
}  # fmt: skip


@pytest.mark.redis
@pytest.mark.end_to_end
def test_a_few_steps_give_every_figure_that_is_promised(tmp_path: Path) -> None:
    """Ours are all measured, others where they are installed, everything arrives, and no process is left behind."""
    report = tmp_path / "figures.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.client_cost",
        "--quick",
        "--steps",
        "3",
        "--json",
        str(report),
    ]
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=surroundings, text=True, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    figures, environment = told["figures"], told["environment"]
    assert all(isinstance(figures[name], float) and figures[name] > 0 for name in PROMISED)
    assert [figures[f"undelivered{size}_up"] for size in ("", "_4096", "_scalars")] == [0, 0, 0]
    for rival in RIVALS:
        for size in ("", "_4096", "_scalars"):
            ratio = figures[f"ratio_vs_{rival}{size}"]
            assert (ratio is None) == (environment[rival] is None)
    assert "caller_p99_us_hung" in done.stdout
    assert alive(str(tmp_path)) == []
