"""Each default rule has a guide, whose configurations are read, whose figures are there, and whose links lead somewhere."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.conditions import walk
from rolloutwatch_contract.conditions.nodes import Absent, Number, Over, Silent
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.drops import DROPS
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import CorrectionConfig
from tests.docs.test_what_is_named_exists import ROOT, anchors

FOLDER = ROOT / "docs/guides"
INDEX = FOLDER / "README.md"
PAGES = sorted(FOLDER.glob("*.md"))
GUIDES = [page for page in PAGES if page != INDEX]
RULES = {rule.name: rule for rule in DEFAULT_RULES}
SECTIONS = [
    "What it means",
    "What to look at first",
    "What probably causes it",
    "What to change",
    "When it is harmless",
    "When it cannot fire",
]
FIGURE = re.compile(
    r"(ratio|seq_ratio|mismatch|logprob|chi2|prob|n|rollout_is|rollout_rs)_\w+|\w+_(fraction|gap|2x|steps|records)"
)
KEYS = set(CorrectionConfig().as_dict())
YAML = re.compile(r"^(?P<indent> *)```yaml\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)

IN_WORDS = {"two thirds": 0.6667, "ten times": 10.0}
TOLD_WITHOUT_NUMBERS = {"missing_logprobs"}

# what verl's documentation advises for its four symptoms, in words that its guide has
SOLUTIONS = {
    "high_variance": [
        "Switch from `sequence` to `geometric` level", "Tighten the thresholds",
        "Check whether rollout and training are too different",
    ],
    "too_many_vetoed": [
        "Relax the veto", "1e-3", "Check for numerical issues in the computation of log-probs",
        "Verify that rollout and training policies are not completely different",
    ],
    "mean_far_from_one": [
        "Check that `calculate_log_probs` is true", "Verify that `rollout_log_probs` are passed on correctly",
        "Check for a systematic bias between rollout and training",
    ],
    "too_much_discarded": [
        "Widen the thresholds", "Switch from mode mask to `truncate`",
        "Use the `geometric` level for better stability",
    ],
}  # fmt: skip


def test_every_default_rule_has_a_guide_and_every_guide_a_rule() -> None:
    assert [page.stem for page in GUIDES] == sorted(RULES)
    assert {rule.guide for rule in DEFAULT_RULES} == {f"docs/guides/{name}.md" for name in RULES}


def test_the_index_leads_to_each_of_them_and_says_how_bad_it_is() -> None:
    rows = dict(re.findall(r"^\| \[`\w+`\]\((\w+)\.md\) \| (\w+) \|", INDEX.read_text(), re.MULTILINE))
    assert rows == {rule.name: rule.severity.word for rule in DEFAULT_RULES}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_answers_the_same_questions_in_the_same_order(page: Path) -> None:
    """In its first words it names the rule and how bad it is."""
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    rule = RULES[page.stem]
    assert re.search(rf"^# .+\n\n`{rule.name}`, {rule.severity.word}", text)
    assert ("for three steps" in text.split("## ")[0]) == (rule.for_steps == 3)
    assert 30 <= text.count("\n") <= 80


def limits_of(rule: Rule) -> set[float]:
    """Return the numbers of a rule's condition, those of time and of windows too."""
    found: set[float] = set()
    for one in walk(rule.when.node):
        match one:
            case Number(value):
                found.add(value)
            case Absent(_, steps) | Over(_, _, steps):
                found.add(steps)
            case Silent(seconds, steps):
                found |= {seconds, steps}
    return found


def numbers_in(text: str) -> set[float]:
    """Return the numbers of a text, without names in which there is one; a third, and ten times, are numbers too."""
    plain = re.sub(r"`[^`]+`", "", text)
    found = {float(one) for one in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])", plain)}
    return found | {value for words, value in IN_WORDS.items() if words in plain}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_first_words_of_a_guide_have_the_limits_of_its_rule(page: Path) -> None:
    """And so has the index: whoever changes a limit of a default rule is led to what else says it."""
    rule = RULES[page.stem]
    first = page.read_text().split("## ")[0].split("\n\n")[1]
    row = re.search(rf"^\| \[`{rule.name}`\].*\| (.+) \|$", INDEX.read_text(), re.MULTILINE)
    assert row is not None
    assert numbers_in(first) == limits_of(rule), first
    if rule.name not in TOLD_WITHOUT_NUMBERS:
        assert numbers_in(row[1]) == limits_of(rule), row[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_on_a_page_is_linked_to_where_it_is_found(page: Path) -> None:
    """No page shows the table of sequences, say: every mention leads to the address that does."""
    found = r"[Tt]able of sequences|[Mm]arks of weight|[Ff]igures of groups|[Hh]istogram of log"
    text = page.read_text()
    linked = re.sub(r"\[[^]]+\]\([^)]+\)( of (weight|log))?", "", text)
    assert re.findall(found, linked.split("## Where to find it")[0]) == []
    if page != INDEX:
        first = text.split("## What to look at first")[1].split("## ")[0]
        assert "(README.md#where-to-find-it)" in first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_figures_keys_and_reasons_that_a_guide_names_are_there(page: Path) -> None:
    known = METRICS.keys() | RULES.keys() | KEYS | DROPS.keys() | {"rollout_log_probs", "rollout_logprobs"}
    known |= set(SEQUENCE_COLUMNS)
    words = set(re.findall(r"`(\w+)`", page.read_text()))
    assert {word for word in words if FIGURE.fullmatch(word)} - known == set()
    assert words & (METRICS.keys() | RULES.keys())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_guide_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


CONFIGURATIONS = [
    (page.stem, textwrap.dedent(found["text"]))
    for page in GUIDES
    for found in YAML.finditer(page.read_text())
]


@pytest.mark.parametrize(
    "text", [text for _, text in CONFIGURATIONS], ids=[name for name, _ in CONFIGURATIONS]
)
def test_every_configuration_of_a_guide_is_read_and_says_something(text: str) -> None:
    """Nothing in it is a default: what is written down is what is to be changed."""
    whole = yaml.safe_load(text)
    node = whole["algorithm"]["rollout_correction"]
    config = CorrectionConfig.from_mapping(whole)
    assert config.origin == "algorithm.rollout_correction"
    assert node.keys() <= KEYS
    if "actor_rollout_ref" in whole:
        assert whole["actor_rollout_ref"] == {"rollout": {"calculate_log_probs": True}}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_what_verl_advises_stands_in_the_guide(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text().split("## What to change")[1].split("## ")[0]
    assert [words for words in SOLUTIONS[name] if words not in text] == []
    assert yaml.safe_load(text.split("```yaml")[1].split("```")[0])


def test_most_guides_show_what_to_write() -> None:
    """All but those of the measuring itself, and of what ratios do not see: no configuration of the correction mends it."""
    without = {page.stem for page in GUIDES} - {name for name, _ in CONFIGURATIONS}
    assert without == {"dropped_records", "not_measured", "stalled", "surprise_gap_moved"}


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_and_the_server_agree_on_whether_a_rule_can_fire_under_every_configuration(
    page: Path,
) -> None:
    """Tried with what is usual and what is narrow; the server says so when a run starts."""
    under = [
        {}, {"rollout_is": "token"}, {"rollout_is": "sequence", "rollout_is_threshold": 10.0},
        {"rollout_is": "token", "rollout_is_threshold": "0.5_2.0"},
        {"rollout_rs": "token", "rollout_rs_threshold": 2.0}, {"rollout_token_veto_threshold": 1e-4},
        {"bypass_mode": True},
    ]  # fmt: skip
    configurations = [CorrectionConfig.from_mapping(one).as_dict() for one in under]
    never = [why for one in configurations if (why := why_never(RULES[page.stem], one))]
    told = page.read_text().split("## When it cannot fire")[1]
    assert ("It can under every configuration" in told) <= (never == [])
    if never:
        assert "does not come" in told
