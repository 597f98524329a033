"""The guides that alerts lead to, from docs/guides: what a rule means, what to look at, and what to change."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

_PACKAGED = Path(__file__).parent / "guides"
_IN_A_CHECKOUT = Path(__file__).parents[2] / "docs" / "guides"
_NAME = re.compile(r"[a-z0-9_]{1,128}\Z")
_GUIDE = re.compile(r"([a-z0-9_]+)\.md(#.*)?\Z")
_OUTSIDE = ("http://", "https://", "/", "#")


def folder() -> Path:
    """Return where the guides lie: in what was installed, or in the repository that this runs from."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_A_CHECKOUT


def names() -> Sequence[str]:
    """Return the names of all guides."""
    return sorted(path.stem for path in folder().glob("*.md") if _NAME.match(path.stem))


def link(guide: str) -> str:
    """Return where what a rule calls its guide is served; as it is, if it lies elsewhere.

    >>> link("docs/guides/kl_high.md"), link("https://wiki.example/kl"), link("")
    ('/guides/kl_high', 'https://wiki.example/kl', '')
    """
    name = guide.removeprefix("docs/guides/").removesuffix(".md")
    return f"/guides/{name}" if guide == f"docs/guides/{name}.md" and _NAME.match(name) else guide


def text_of(name: str) -> str | None:
    """Return a guide as it is written, in Markdown; None if there is none of that name."""
    # looked up among those there are: no name that somebody asks for becomes a path
    return (folder() / f"{name}.md").read_text(encoding="utf-8") if name in names() else None


def guide(name: str) -> tuple[str, str] | None:
    """Return title and HTML of a guide, None if there is none of that name."""
    text = text_of(name)
    return None if text is None else rendered(name, text)


@functools.lru_cache(maxsize=256)
def rendered(name: str, text: str) -> tuple[str, str]:
    """Return title and HTML of what is written in Markdown, of which no HTML is taken over."""
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    title = heading[1].replace("`", "") if heading else name
    markdown = Markdown(extensions=["fenced_code", "tables", "sane_lists", _Links()], output_format="html")
    # what the guides quote of a program may look like HTML, and is shown as it stands
    for where in (markdown.preprocessors, markdown.inlinePatterns):
        where.deregister("html_block" if where is markdown.preprocessors else "html")
    return title, markdown.convert(text)


class _Links(Extension):  # type: ignore[misc]  # the library has no types
    """Leads from guide to guide; other pages of the documentation, which are not served, are named."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  # as the library calls it
        md.treeprocessors.register(_LeadOn(md), "lead_on", 0)


class _LeadOn(Treeprocessor):  # type: ignore[misc]  # the same
    def run(self, root: Element) -> None:
        for one in root.iter("a"):
            target = one.get("href", "")
            if found := _GUIDE.match(target):
                one.set("href", f"/guides/{found[1]}{found[2] or ''}")
            elif not target.startswith(_OUTSIDE):
                one.tag, one.attrib = (
                    "span",
                    {"title": str(Path("docs/guides", target)).replace("guides/../", "")},
                )
