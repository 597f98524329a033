"""Guides as pages: found by name alone, shown as they are written, led to from alerts, with all that they lead to."""

import re
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rolloutwatch_contract import guides as contract
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from rolloutwatch_dashboard import NAVIGATION, kept_assets
from rolloutwatch_server import guides
from rolloutwatch_server.security import Role
from rolloutwatch_server.store import Store
from tests.server.asking import Asking
from tests.server.guarded import Guarded, by

PAGES = guides.pages()
ADDRESSES = sorted(PAGES.values())
OF_GUIDES = sorted(file for file in PAGES if file.startswith("guides/"))
INDEXES = (guides.INDEX, "guides/diagnosis/README.md")
FENCE = re.compile(r"^ *```\w*$", re.MULTILINE)
VOID = {"br", "hr", "img", "link", "meta"}


@dataclass
class Parsed(HTMLParser):
    """What a page has: tags that are open are closed, and what is text and what is code is told apart."""

    html: str
    open: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    words: str = ""
    links: list[str] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "code" and self.open[-2:] == ["pre", "code"]:
            self.blocks.append("")
        if tag == "ol":
            assert not dict(attrs), "a list that goes on with another number was interrupted"
            self.lists.append(0)
        if tag == "li" and self.open[-2] == "ol":
            self.lists[-1] += 1
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        if tag == "img":
            known = dict(attrs)
            self.pictures.append((known["src"] or "", known["alt"] or ""))
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-2:] == ["pre", "code"]:
            self.blocks[-1] += data
        elif "code" not in self.open:
            self.words += data


def parsed(file: str) -> Parsed:
    return Parsed((guides.page(PAGES[file]) or ("", ""))[1])


def written(file: str) -> str:
    return (guides.folder() / file).read_text()


@pytest.fixture
def api(store: Store) -> Asking:
    return Asking.of(store)


def test_every_default_rule_leads_to_a_guide(api: Asking) -> None:
    assert [rule.guide for rule in DEFAULT_RULES] == [f"docs/guides/{rule.name}.md" for rule in DEFAULT_RULES]
    for rule in DEFAULT_RULES:
        answer = api.ask(contract.link(rule.guide))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "<h1 id=" in answer.text


@pytest.mark.parametrize("name", [one.name for one in HYPOTHESES])
def test_every_hypothesis_leads_to_a_guide_with_a_picture(name: str, api: Asking) -> None:
    """Which is of its kind, small, without a script or a style, and told to who cannot see it."""
    answer = api.ask(contract.link(f"docs/guides/diagnosis/{name}.md"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    (source, told), *more = parsed(f"guides/diagnosis/{name}.md").pictures
    assert not more
    assert f'<img src="{source}"' in answer.text
    assert len(told) > 40
    picture = api.ask(source)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/svg+xml")
    assert picture.content == (guides.folder() / f"images/diagnosis/{name}.svg").read_bytes()
    assert 2_000 < len(picture.content) < 40_000
    assert not re.search(rb"<script|<style| style=|href", picture.content)


def test_the_index_of_guides_leads_to_what_it_may_be_and_that_to_each_cause(api: Asking) -> None:
    assert "/guides/diagnosis" in parsed(guides.INDEX).links
    found = [
        link for link in parsed("guides/diagnosis/README.md").links if link.startswith("/guides/diagnosis/")
    ]
    assert list(dict.fromkeys(found)) == [f"/guides/diagnosis/{one.name}" for one in HYPOTHESES]
    assert api.ask("/guides/diagnosis").status_code == 200


def test_the_guides_there_are_are_those_that_rules_may_name() -> None:
    assert set(guides.names()) == contract.names()


def test_all_guides_are_listed_each_with_how_bad_it_is_and_when_it_fires(api: Asking) -> None:
    text = api.ask("/guides").text
    for rule in DEFAULT_RULES:
        row = rf'<td><a href="/guides/{rule.name}"><code>{rule.name}</code></a></td>\n<td>{rule.severity.word}</td>\n<td>.+</td>'
        assert re.search(row, text), rule.name


@pytest.mark.parametrize("file", sorted(PAGES))
def test_blocks_lists_and_code_of_a_page_are_as_they_are_written(file: str) -> None:
    """A block in a list is one too, and interrupts no list; no mark of Markdown is left over."""
    page, text = parsed(file), written(file)
    assert 2 * len(page.blocks) == len(FENCE.findall(text))
    assert "`" not in page.words
    assert "```" not in "".join(page.blocks)
    prose = re.sub(r"^( *)```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert sum(page.lists) == len(re.findall(r"^ *\d+\. ", prose, re.MULTILINE))


@pytest.mark.parametrize("file", [file for file in OF_GUIDES if file not in INDEXES])
def test_a_guide_has_two_numbered_lists_of_three_steps_or_more(file: str) -> None:
    """What to look at, and what to change; a block between two steps would make more of them."""
    assert len(parsed(file).lists) == 2
    assert min(parsed(file).lists) >= 3


def test_a_configuration_is_copied_as_it_is_written() -> None:
    assert parsed("guides/high_variance.md").blocks[0] == (
        "algorithm:\n  rollout_correction:\n    rollout_is: geometric\n"
    )


@pytest.mark.parametrize("file", sorted(PAGES))
def test_every_link_leads_to_a_heading_or_a_page_that_is_there(file: str) -> None:
    for link in parsed(file).links:
        if link.startswith(("https://", "http://")):
            continue
        address, _, heading = link.partition("#")
        there = guides.page(address or PAGES[file])
        assert there is not None, link
        assert not heading or heading in Parsed(there[1]).ids, link


def test_every_link_of_a_guide_is_one() -> None:
    """None is dead text; of the program's own files, which no server shows, the name stands there."""
    for file in OF_GUIDES:
        found = re.findall(r"(?<!\w)\]\(|\]\((?!(?:\.\./)+(?:examples|benchmarks)/)", written(file))
        page = parsed(file)
        assert len(page.links) + len(page.pictures) == len(found), file


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_served(address: str, api: Asking) -> None:
    answer = api.ask(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "none", "..%2Fsecurity", "%2e%2e", "README", "KL_HIGH", "kl_high.md", "kl_high%00", "more", "more/",
        "more/none", "more/../security", "more/..%2f..%2fREADME", "more/guides/kl_high", "more/images/runs.png",
        "more/redis.md", "more//redis", "more/decisions/", "diagnosis/none", "diagnosis/temperature.md", "diagnosis/README",
        "diagnosis/..%2fkl_high", "images/diagnosis/none.svg", "images/diagnosis/..%2f..%2fredis.md",
        "images/diagnosis/temperature", "images/run-desk-light.png",
    ],
)  # fmt: skip
def test_what_is_no_page_is_not_there(name: str, api: Asking) -> None:
    """Nothing that somebody asks for becomes a path."""
    answer = api.ask(f"/guides/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_page_leads_where_all_others_do_and_has_their_buttons(api: Asking) -> None:
    """By scripts that the policy lets run."""
    for address in ("/guides", "/guides/kl_high", "/guides/more/redis"):
        text = api.ask(address).text
        nav = text.split("<nav>")[1].split("</nav>")[0]
        assert re.findall(r'<a href="([^"]+)">([^<]+)</a>', nav) == [
            (href, word) for word, href in NAVIGATION
        ]
        scripts = re.findall(r'<script src="/assets/(\w+)\.js[^"]+" defer>', text)
        assert scripts == ["page", "dialogs", "firing", "keys", "link", "tell", "theme", "guide"]
        for script in re.findall(r'<script src="([^"]+)" defer>', text):
            assert script in kept_assets()
            assert api.ask(script).status_code == 200
        buttons = text.split('class="buttons">')[1].split("</div>")[0]
        assert re.findall(r"<button [^>]+>([^<]+)<", buttons) == ["Copy link", "Tell me", "Theme", "?"]
        assert "Log out" not in text


def test_html_is_text_and_scripts_are_no_links() -> None:
    text = (
        "# About `x` & <y>\n\n<script>alert(1)</script> & <b>bold</b>\n\n"
        "- [other](kl_high.md#cure) [page](../redis.md) [web](https://a.example/) [script](javascript:alert(1))\n"
        "- [`rules`](../../contract/default_rules.toml) [here](#about-x)\n\n"
        "1. one:\n   ```yaml\n   rollout_is: token\n   ```\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    title, body = guides.shown("guides/x.md", text)
    assert title == "About x & <y>"
    assert "<script>" not in body
    assert "<b>" not in body
    assert '<a href="/guides/kl_high#cure">other</a>' in body
    assert '<a href="/guides/more/redis">page</a>' in body
    assert '<a href="https://a.example/">web</a>' in body
    assert 'href="javascript' not in body
    assert "<code>rules</code> (<code>contract/default_rules.toml</code>)" in body
    assert '<a href="#about-x">here</a>' in body
    assert "<table>" in body
    assert body.count("<ol>") == 1
    assert Parsed(body).blocks == ["rollout_is: token\n"]


def test_a_picture_is_one_of_those_there_are_or_its_words() -> None:
    text = (
        "# A\n\n![stale & old](../images/diagnosis/stale_weights.svg) ![none](../images/none.svg)\n"
        "![far](https://a.example/b.png) ![script](javascript:alert(1)) "
        "[![both](../images/diagnosis/temperature.svg)](kl_high.md)\n"
    )
    _, body = guides.shown("guides/x.md", text)
    assert '<img src="/guides/images/diagnosis/stale_weights.svg" alt="stale &amp; old" />' in body
    assert body.count("<img") == 2
    assert "none\nfar" in body
    assert "a.example" not in body
    assert 'src="javascript' not in body
    assert (
        '<a href="/guides/kl_high"><img src="/guides/images/diagnosis/temperature.svg" alt="both" /></a>'
        in body
    )


def test_a_page_has_a_way_out_where_people_log_in(store: Store, tmp_path: Path) -> None:
    with closing(Guarded.of(store, tmp_path)) as site:
        assert site.ask("GET", "/guides/more/redis").status_code == 401
        answer = site.ask("GET", "/guides/kl_high", by(Role.VIEWER))
        assert answer.status_code == 200
        assert '<form action="/logout" method="post">' in answer.text
