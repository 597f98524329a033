"""What the page about rules shows is read as it stands there, and says of errors what is said."""

import re

import pytest

from rolloutwatch_contract.conditions import Truth, parse
from rolloutwatch_contract.conditions.functions import FUNCTIONS
from rolloutwatch_contract.known_metrics import KnownMetrics
from rolloutwatch_contract.limits import limits_of
from rolloutwatch_contract.rule_tables import KEYS
from rolloutwatch_contract.scales import SCALES
from rolloutwatch_contract.written_rules import RuleError, parse_rules
from tests.contract.test_default_rules import judged
from tests.docs.test_examples_run import ROOT, blocks

PAGE = "docs/rules.md"
TOML = [text for _, text in blocks(PAGE, "toml")]
CONDITIONS, ERROR = (text for _, text in blocks(PAGE, "text"))


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    below = (ROOT / PAGE).read_text().split(f"\n{heading}\n", 1)[1]
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", below, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


@pytest.mark.parametrize("text", TOML, ids=["first", "all"])
def test_every_file_of_the_page_is_read(text: str) -> None:
    assert parse_rules(text, "rules.toml").rules


def test_the_file_to_copy_shows_every_key() -> None:
    whole = TOML[-1]
    assert {key for key in KEYS if not re.search(rf"^{key} = ", whole, re.MULTILINE)} == set()
    told = {key for cells in rows("## What a rule says") for key in re.findall(r"`(\w+)`", cells[0])}
    assert told == set(KEYS)


@pytest.mark.parametrize("text", CONDITIONS.splitlines())
def test_every_condition_of_the_page_is_read(text: str) -> None:
    assert parse(text, KnownMetrics().refuse).text == text


def test_every_function_of_the_page_is_written_as_it_is_read() -> None:
    calls = {one for cells in rows("## Conditions") for one in re.findall(r"`(\w+\([^`]+\))`", cells[0])}
    assert {call.partition("(")[0] for call in calls} == set(FUNCTIONS)
    for call in calls:
        written = call.replace("condition", "a > 1")
        parse(written if call.startswith(("absent", "silent")) else f"{written} > 1")


def test_scales_are_told_as_they_are() -> None:
    told = {name.strip("`"): (ideal, matters) for name, ideal, matters in rows("### Baselines")}
    assert told == {
        name: (f"{scale.ideal:g}", f"{scale.matters:g}" + " of the logarithm" * scale.is_ratio)
        for name, scale in SCALES.items()
    }


def test_what_is_unknown_is_told_as_it_is() -> None:
    condition = parse("ratio_std > 1 and ratio_eff_sample_size < 0.3")
    for std, ess, truth in rows("### What is unknown"):
        known = {"ratio_std": std, "ratio_eff_sample_size": ess}
        figures = {name: float(value) for name, value in known.items() if value != "none"}
        assert judged(condition, figures) is Truth[truth.upper()]


def test_limits_are_drawn_of_what_the_page_says() -> None:
    limits = limits_of(parse_rules(TOML[-1], "rules.toml").rules, "math~a")
    assert [limit.name for limit in limits] == ["perplexities_differ", "nonfinite_logprobs"]


def test_an_error_is_told_in_the_words_of_the_page() -> None:
    text = '[[rule]]\nname = "too_many_vetoed"\nseverity = "critical"\nwhen = "veto_fration > 0.1"\n'
    with pytest.raises(RuleError) as refused:
        parse_rules(text, "rules.toml")
    assert str(refused.value) == ERROR.strip()
