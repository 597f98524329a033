"""Tests, figures, presets and pages that the documentation of the correction names are there."""

import dataclasses
import re
from pathlib import Path

import pytest

from rolloutwatch import Health
from rolloutwatch_contract import METRICS
from rolloutwatch_contract.drops import DROPS
from rolloutwatch_contract.presets import PRESETS
from tests.correction.test_golden import DIFFERENCES

ROOT = Path(__file__).parents[2]
DIFFERENCES_PAGE = ROOT / "docs/verl-differences.md"
FAULTS_PAGE = ROOT / "docs/faults.md"
GUIDE = ROOT / "docs/choosing-a-correction.md"
CLIENT = ROOT / "docs/client.md"
PAGES = [
    DIFFERENCES_PAGE,
    FAULTS_PAGE,
    GUIDE,
    ROOT / "README.md",
    ROOT / "correction/README.md",
    ROOT / "docs/architecture.md",
    ROOT / "docs/redis.md",
    ROOT / "docs/security.md",
    ROOT / "SECURITY.md",
    ROOT / "docs/operations.md",
    ROOT / "docs/settings.md",
    ROOT / "docs/distributed.md",
    ROOT / "docs/replay.md",
    ROOT / "docs/rules.md",
    CLIENT,
    ROOT / "docs/import-export.md",
    ROOT / "docs/archive-file.md",
    *sorted((ROOT / "docs/decisions").glob("*.md")),
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return what headings are called in links, as GitHub makes it of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_difference_is_told_in_the_words_of_the_test_that_finds_it() -> None:
    bold = set(re.findall(r"^\*\*(.+)\*\*$", DIFFERENCES_PAGE.read_text(), re.MULTILINE))
    assert {difference.reason for difference in DIFFERENCES} == bold


@pytest.mark.parametrize("page", [DIFFERENCES_PAGE, FAULTS_PAGE], ids=name_of)
def test_every_test_that_shows_a_difference_or_a_fault_exists(page: Path) -> None:
    """A file is named once for the tests that follow it."""
    missing, count = [], 0
    for line in page.read_text().splitlines():
        path = "correction/test_golden.py"
        for file, test in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", line):
            path = file or path
            count += 1
            if not re.search(rf"^def {test}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE):
                missing.append(f"{path}::{test}")
    assert missing == []
    assert count > 30


def test_every_fault_around_trainer_and_archive_is_shown_by_a_test() -> None:
    """Those that have a number in the list of what a monitor has to survive; a load is measured instead."""
    rows = re.findall(r"^\| (F\d+) \|.*\| (.+) \|$", FAULTS_PAGE.read_text(), re.MULTILINE)
    numbers = [*range(1, 7), *range(8, 15), *range(16, 31), *range(32, 38), *range(39, 42), 43, 44, 45, 47]
    assert [name for name, _ in rows] == [f"F{number:02}" for number in numbers]
    assert all("`" in shown for _, shown in rows)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_the_guide_names_figures_and_presets_that_are_there() -> None:
    words = set(re.findall(r"`(\w+)`", GUIDE.read_text()))
    figures = {
        word for word in words if re.match(r"(ratio|seq_ratio|mismatch|logprob|chi2)_|\w+_fraction$", word)
    }
    presets = {word for word in words if re.match(r"(decoupled|bypass|example)_(?!mode$|loss$)", word)}
    assert figures - METRICS.keys() == set()
    assert presets - PRESETS.keys() == set()
    assert len(figures) > 10
    assert len(presets) > 5


def test_the_clients_page_has_every_reason_and_every_field_of_its_health() -> None:
    """Reasons in the words of the run's page."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in CLIENT.read_text().splitlines()
        if line.startswith("| `")
    ]
    told = {name.strip("`"): cells for name, *cells in rows}
    for reason, (what, meaning, cure) in DROPS.items():
        assert told[reason] == [what, " ".join(text for text in (meaning, cure) if text)]
    assert {field.name for field in dataclasses.fields(Health)} <= told.keys()
