"""Each hypothesis has a guide: the same questions in the same order, figures that are there, and a table of what was measured."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.diagnosis.facts import FACTS
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import CorrectionConfig
from tests.docs.test_guides import FIGURE, KEYS, RULES, YAML
from tests.docs.test_what_is_named_exists import ROOT, anchors

FOLDER = ROOT / "docs/guides/diagnosis"
INDEX = FOLDER / "README.md"
PAGES = sorted(FOLDER.glob("*.md"))
GUIDES = [page for page in PAGES if page != INDEX]
BY_NAME = {one.name: one for one in HYPOTHESES}
SECTIONS = [
    "What it is",
    "How it looks",
    "What to check next",
    "What to change",
    "What is mistaken for it",
]


def test_every_hypothesis_has_a_guide_and_every_guide_a_hypothesis() -> None:
    assert [page.stem for page in GUIDES] == sorted(BY_NAME)


def test_the_index_names_each_as_a_diagnosis_does() -> None:
    rows = re.findall(r"^\| \[(.+)\]\((\w+)\.md\) \| .+ \|$", INDEX.read_text(), re.MULTILINE)
    assert [name for _, name in rows] == [one.name for one in HYPOTHESES]
    assert all(one.title.startswith(title) for (title, _), one in zip(rows, HYPOTHESES, strict=True))


def test_the_index_has_the_whole_table_of_facts_and_points() -> None:
    rows = [
        [cell.strip() for cell in line[2:-2].split(" | ")]
        for line in re.findall(r"^\| `\w+` \|.+$", INDEX.read_text(), re.MULTILINE)
    ]
    asked, counted = rows[: len(FACTS)], rows[len(FACTS) :]
    assert [row[0] for row in asked] == [row[0] for row in counted] == [f"`{fact}`" for fact in FACTS]
    assert all(question.endswith("?") for _, question in asked)
    for name, (_, *cells) in zip(FACTS, counted, strict=True):
        told = [
            tuple(float(one.replace("−", "-")) for one in cell.split(" / ")) if cell else None
            for cell in cells
        ]
        assert told == [one.points.get(name) for one in HYPOTHESES]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_answers_the_same_questions_in_the_same_order(page: Path) -> None:
    """In its first words it bears the title and the name that a diagnosis has."""
    text = page.read_text()
    title = BY_NAME[page.stem].title
    assert text.startswith(f"# {title[0].upper()}{title[1:]}\n\n`{page.stem}`, a [diagnosis](README.md): ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert 30 <= text.count("\n") <= 70


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_says_what_a_diagnosis_says_is_to_be_checked_and_changed(page: Path) -> None:
    """First of all, in the same words."""
    text = page.read_text()
    checks, changes = (text.split(f"## {heading}\n")[1] for heading in SECTIONS[2:4])
    assert checks.strip().startswith(f"1. {BY_NAME[page.stem].check}")
    assert changes.strip().startswith(f"1. {BY_NAME[page.stem].cure}")


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_shows_a_run_and_what_was_measured(page: Path) -> None:
    looks = page.read_text().split("## How it looks")[1].split("## ")[0]
    assert f"(../../images/diagnosis/{page.stem}.svg)" in looks
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", looks, re.MULTILINE)
    assert len(rows) >= 4
    assert all(metric in METRICS for metric, _, _ in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_and_keys_that_a_guide_names_are_there(page: Path) -> None:
    known = METRICS.keys() | RULES.keys() | KEYS | FACTS.keys() | BY_NAME.keys() | set(SEQUENCE_COLUMNS)
    words = set(re.findall(r"`(\w+)`", page.read_text()))
    assert {word for word in words if FIGURE.fullmatch(word)} - known == set()


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_tells_it_from_others(page: Path) -> None:
    mistaken = page.read_text().split("## What is mistaken for it")[1]
    others = set(re.findall(r"\]\((\w+)\.md\)", mistaken)) - {page.stem}
    assert others & BY_NAME.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_guide_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_every_configuration_of_a_guide_is_read(page: Path) -> None:
    for found in YAML.finditer(page.read_text()):
        whole = yaml.safe_load(textwrap.dedent(found["text"]))
        assert whole["algorithm"]["rollout_correction"].keys() <= KEYS
        assert CorrectionConfig.from_mapping(whole).origin == "algorithm.rollout_correction"
