"""What the page about looking back shows runs as it stands there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch_contract import RunStart, StepRecord
from tests.browser.site import Site
from tests.docs.test_examples_run import blocks
from tests.redis_process import free_port
from tests.server.test_api_whatif import record

PAGE = "docs/replay.md"
RUN = "math~grpo-7b"
USUAL = "http://127.0.0.1:8050"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server whose archive is where one in this folder is looked for, with the run of the page."""
    folder = tmp_path / ".rolloutwatch"
    folder.mkdir()
    one = Site(folder, f"redis://127.0.0.1:{free_port()}")
    one.start()
    records: list[StepRecord] = [record(number) for number in range(400, 421)]
    one.archive(RUN, "s1", RunStart("math", "grpo-7b", 0.0), *records)
    yield one
    one.stop()
    one.close()


def test_every_command_of_the_page_runs(site: Site, tmp_path: Path) -> None:
    """With the file of rules that it shows; the answers are what is said of them."""
    (toml,) = blocks(PAGE, "toml")
    (tmp_path / "rules.toml").write_text(toml[1])
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    told = []
    for _, text in blocks(PAGE, "sh"):
        command = ["bash", "-ec", text.replace(USUAL, site.url)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        told.append(done.stdout)
    step, histograms, steps, replay, rules, whatif = told
    assert '"step":412' in step
    assert '"width":1,' in histograms
    assert '"first":[400,401,' in histograms
    assert '"step":[400,401,402],' in steps
    assert '"next":403' in steps
    assert replay.count("event: step\n") == 21
    assert "event: end\n" in replay
    assert f"{RUN}: " in rules
    assert '"rollout_is_eff_sample_size":{"step":[400,' in whatif
