"""Guides as pages: found by name alone, shown as they are written, led to from alerts."""

import pytest

from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_server import guides
from rolloutwatch_server.store import Store
from tests.server.asking import Asking


@pytest.fixture
def api(store: Store) -> Asking:
    return Asking.of(store)


def test_every_default_rule_leads_to_a_guide(api: Asking) -> None:
    assert [rule.guide for rule in DEFAULT_RULES] == [f"docs/guides/{rule.name}.md" for rule in DEFAULT_RULES]
    for rule in DEFAULT_RULES:
        answer = api.ask(guides.link(rule.guide))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<h1>" in answer.text
        assert guides.text_of(rule.name)


def test_all_guides_are_listed(api: Asking) -> None:
    text = api.ask("/guides").text
    assert all(f'href="/guides/{rule.name}"' in text for rule in DEFAULT_RULES)


@pytest.mark.parametrize(
    "name", ["none", "..%2Fsecurity", "%2e%2e", "README", "KL_HIGH", "kl_high.md", "kl_high%00"]
)
def test_what_is_no_guide_is_not_there(name: str, api: Asking) -> None:
    """Nothing that somebody asks for becomes a path."""
    answer = api.ask(f"/guides/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("guide", "link"),
    [
        ("docs/guides/kl_high.md", "/guides/kl_high"),
        ("https://wiki.example/kl", "https://wiki.example/kl"),
        ("docs/guides/../security.md", "docs/guides/../security.md"),
        ("", ""),
    ],
)
def test_what_a_rule_calls_its_guide_becomes_a_link(guide: str, link: str) -> None:
    assert guides.link(guide) == link


def test_a_guide_is_shown_as_it_is_written() -> None:
    """Code and tables; a link to another guide leads there, one to a page that is not served names it; HTML is text."""
    text = (
        "# About `x`\n\n<script>alert(1)</script> & <b>bold</b>\n\n"
        "- [other](kl_high.md#cure) [page](../redis.md) [web](https://a.example/) [script](javascript:alert(1))\n\n"
        "```yaml\nrollout_is: token\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    title, body = guides.rendered("x", text)
    assert title == "About x"
    assert "<script>" not in body
    assert "<b>" not in body
    assert '<a href="/guides/kl_high#cure">other</a>' in body
    assert '<span title="docs/redis.md">page</span>' in body
    assert '<a href="https://a.example/">web</a>' in body
    assert 'href="javascript' not in body
    assert "rollout_is: token" in body
    assert "<table>" in body


def test_links_among_guides_lead_somewhere() -> None:
    for name in guides.names():
        _, body = guides.guide(name) or ("", "")
        for target in body.split('href="/guides/')[1:]:
            assert target.split('"')[0].split("#")[0] in guides.names(), name
