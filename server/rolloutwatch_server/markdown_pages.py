"""Markdown as HTML: CommonMark with tables, in which nothing that is written is taken for HTML."""

import functools
import re
from collections.abc import Callable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

Lead = Callable[[str], str]
_OUTSIDE = ("http://", "https://", "#")


def rendered(text: str, lead: Lead) -> tuple[str, str]:
    """Return title and HTML of a page.

    `lead` says where a link to a file leads, as the file is named in the page, with what follows a `#`; '' if nowhere:
    then the text of the link stays, with the file behind it. Pictures are found in the same way, and none elsewhere; of one
    that is not there the words stay that stand for it. Headings can be linked to by the names that GitHub gives them.
    """
    markdown, names = _markdown(), dict[str, int]()
    tokens = markdown.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _name_of(_words(tokens[at + 1]), names))
        elif token.type == "inline":
            token.children = _led_on(token.children or [], lead)
    title = next((_words(tokens[at + 1]) for at, one in enumerate(tokens) if one.tag == "h1"), "")
    # what is wider than a phone is moved sideways, by keys too; a text that has such a tag is escaped
    page = markdown.renderer.render(tokens, markdown.options, {}).replace("<pre>", '<pre tabindex="0">')
    return title, page


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _words(inline: Token) -> str:
    return "".join(one.content for one in inline.children or [] if one.type in ("text", "code_inline"))


def _name_of(words: str, names: dict[str, int]) -> str:
    name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    names[name] = names.get(name, -1) + 1
    return f"{name}-{names[name]}" if names[name] else name


def _led_on(tokens: Sequence[Token], lead: Lead) -> list[Token]:
    """Return what stands in a line, with links that lead somewhere from a page of the server."""
    led: list[Token] = []
    nowhere = ""
    for token in tokens:
        if token.type == "image":
            token = _shown(token, lead)
        if token.type == "link_open":
            target = str(token.attrGet("href") or "")
            there = target if target.startswith(_OUTSIDE) else lead(target)
            nowhere = "" if there else target
            token.attrSet("href", there)
        if not nowhere or token.type not in ("link_open", "link_close"):
            led.append(token)
        elif token.type == "link_close":
            led += _named(nowhere)
    return led


def _shown(image: Token, lead: Lead) -> Token:
    """Return a picture at its place on the server, or the words that stand for it."""
    target = str(image.attrGet("src") or "")
    there = "" if target.startswith(_OUTSIDE) else lead(target)
    if there:
        image.attrSet("src", there)
        return image
    words = Token("text", "", 0)
    words.content = image.content
    return words


def _named(file: str) -> list[Token]:
    """Return what stands behind a text that would lead to a file of the repository: which one."""
    before, code, after = Token("text", "", 0), Token("code_inline", "code", 0), Token("text", "", 0)
    before.content, code.content, after.content = " (", re.sub(r"^(\.\./)+", "", file), ")"
    return [before, code, after]
