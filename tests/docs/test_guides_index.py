"""What the index of the guides says of where things are found: addresses that answer, and an example that runs."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rolloutwatch_contract import RunStart
from tests.browser.site import Site
from tests.docs.test_examples_run import ROOT, blocks
from tests.redis_process import free_port
from tests.server.test_api_whatif import record

PAGE = "docs/guides/README.md"
RUN = "math~grpo-7b"
USUAL = "http://127.0.0.1:8050"
SECTIONS = dict(
    re.findall(
        r"^### (.+)\n\n((?:.+\n|\n(?!#))+)",
        (ROOT / PAGE).read_text().split("## Where to find it")[1],
        re.MULTILINE,
    )
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = Site(tmp_path_factory.mktemp("site"), f"redis://127.0.0.1:{free_port()}")
    one.start()
    one.archive(RUN, "s1", RunStart("math", "grpo-7b", 0.0, config={"rollout_is": "token"}), record(412))
    yield one
    one.stop()
    one.close()


def answers(site: Site, section: str) -> list[Any]:
    """Ask for what is named in a section."""
    found = re.findall(r"`(/api/v1/[^`]+)`", SECTIONS[section])
    return [httpx.get(site.url + address).raise_for_status().json() for address in found]


def test_every_address_answers_with_what_is_said_to_be_there(site: Site) -> None:
    step, series = answers(site, "The figures")
    assert "mismatch_k3_kl" in step["metrics"]
    assert list(series["series"]) == ["prob_pearson_corr"]
    assert {"sequences", "tokens", "histogram"} <= step.keys()
    assert step["histogram"].keys() == {"counts", "edges"}
    of_group, run = answers(site, "The figures of groups")
    assert list(of_group["series"]) == ["mismatch_kl@math"]
    assert "mismatch_k3_kl" in run["metrics"]
    assert "marks" in answers(site, "Marks")[0]
    assert answers(site, "What is missing")[0]["dropped"] == {}
    assert answers(site, "The configuration")[0]["config"] == {"rollout_is": "token"}


def test_the_worst_sequences_of_a_step_are_printed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """By their share of the mismatch, with what the columns say."""
    ((_, text),) = blocks(PAGE, "python")
    exec(compile(text.replace(USUAL, site.url), PAGE, "exec"), {})
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    table = httpx.get(f"{site.url}/api/v1/runs/{RUN}/steps/412").json()["sequences"]
    assert len(rows) == min(10, table["total"]) > 1
    shares = [float(row[3]) for row in rows]
    assert shares == sorted(table["columns"]["k3_sum"], reverse=True)[: len(rows)]
    assert all(len(row) == 8 for row in rows)
