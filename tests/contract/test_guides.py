"""What a rule may call its guide, and where that leads."""

import pytest

from rolloutwatch_contract import guides
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from rolloutwatch_contract.written_rules import RuleError, parse_rules

RULE = '[[rule]]\nname = "a"\nseverity = "warning"\nwhen = "ratio_std > 1"\n'

NOWHERE = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,x",
    "//wiki.example/kl",
    "/rules",
    "https:",
    "https://",
    "https:///kl",
    "https://wiki.example/a b",
    "https://wiki.example/\n",
    "https://[wiki.example/",
    "http:alert(1)",
    "ftp://wiki.example/kl",
    "docs/guides/../security.md",
    "docs/guides/diagnosis/../kl_high.md",
    "docs/guides/other/kl_high.md",
    "docs/guides/KL_HIGH.md",
    "docs/security.md",
    "kl_high",
]


def test_the_guides_there_are_are_those_of_the_default_rules_and_of_what_it_may_be() -> None:
    of_hypotheses = [f"diagnosis/{one.name}" for one in HYPOTHESES]
    assert sorted(guides.names()) == sorted([*(rule.name for rule in DEFAULT_RULES), *of_hypotheses])


def test_every_hypothesis_leads_to_its_guide() -> None:
    for one in HYPOTHESES:
        assert guides.is_there(one.guide)
        assert guides.link(one.guide) == f"/guides/diagnosis/{one.name}"


@pytest.mark.parametrize(
    ("guide", "link"),
    [
        ("docs/guides/kl_high.md", "/guides/kl_high"),
        ("docs/guides/diagnosis/temperature.md", "/guides/diagnosis/temperature"),
        ("https://wiki.example/kl?a=1#b", "https://wiki.example/kl?a=1#b"),
        ("HTTP://wiki.example:8080/kl", "HTTP://wiki.example:8080/kl"),
        ("", ""),
        *((guide, "") for guide in NOWHERE),
    ],
)
def test_a_guide_leads_to_a_page_of_ours_or_to_the_web_or_nowhere(guide: str, link: str) -> None:
    assert guides.link(guide) == link


@pytest.mark.parametrize("guide", [*NOWHERE, "docs/guides/kl_hihg.md"])
def test_a_rule_whose_guide_leads_nowhere_is_refused_at_its_place(guide: str) -> None:
    said = guide.replace("\n", "\\n")
    with pytest.raises(RuleError) as refused:
        parse_rules(f'{RULE}guide = "{said}"\n', "rules.toml")
    error = refused.value
    assert (error.rule, error.key, error.line, error.column) == ("a", "guide", 5, 9)
    assert "docs/guides/<name>.md of a guide that is there" in str(error.expected)


@pytest.mark.parametrize("guide", ["", "docs/guides/stalled.md", "https://wiki.example/kl"])
def test_a_guide_that_is_there_is_kept_as_it_is_written(guide: str) -> None:
    (rule,) = parse_rules(f'{RULE}guide = "{guide}"\n', "rules.toml").rules
    assert rule.guide == guide
