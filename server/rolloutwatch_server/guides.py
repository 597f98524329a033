"""The guides that alerts and diagnoses lead to, from docs/guides, and the rest of the documentation, to which guides lead."""

import functools
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rolloutwatch_server.markdown_pages import rendered

INDEX = "guides/README.md"

_PACKAGED = Path(__file__).parent / "documentation"
_IN_A_CHECKOUT = Path(__file__).parents[2] / "docs"
_NAME = re.compile(r"[a-z0-9_]{1,128}\Z")
_FOLDERS = ("guides", "guides/diagnosis", "decisions", ".")
_PICTURES = "images/diagnosis"


def folder() -> Path:
    """Return where the documentation lies: in what was installed, or in the repository that this runs from."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_A_CHECKOUT


def names() -> Sequence[str]:
    """Return the names of all guides, those of diagnoses with their folder."""
    return sorted(
        f"{where}{path.stem}"
        for where in ("", "diagnosis/")
        for path in (folder() / "guides" / where).glob("*.md")
        if _NAME.match(path.stem)
    )


def pages() -> Mapping[str, str]:
    """Return where each page of the documentation is served, by its file."""
    files = [
        posixpath.normpath(f"{where}/{path.name}")
        for where in _FOLDERS
        for path in (folder() / where).glob("*.md")
    ]
    return {file: _address(file) for file in sorted(files)}


def pictures() -> Mapping[str, str]:
    """Return where each picture of a guide is served, by its file."""
    files = [f"{_PICTURES}/{path.name}" for path in (folder() / _PICTURES).glob("*.svg")]
    return {file: f"/guides/{file}" for file in sorted(files)}


def picture(address: str) -> bytes | None:
    """Return the picture, an SVG, that is served there, None if there is none."""
    file = _at(address, pictures())
    return None if file is None else (folder() / file).read_bytes()


def page(address: str) -> tuple[str, str] | None:
    """Return title and HTML of the page that is served there, None if there is none."""
    file = _at(address, pages())
    return None if file is None else shown(file, (folder() / file).read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=256)
def shown(file: str, text: str) -> tuple[str, str]:
    """Return title and HTML of what a file of the documentation says."""
    served = {**pages(), **pictures()}

    def lead(target: str) -> str:
        path, hash_, heading = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
        address = served.get(there) or served.get(f"{there}/README.md", "")
        return f"{address}{hash_}{heading}" if address else ""

    return rendered(text, lead)


def _at(address: str, served: Mapping[str, str]) -> str | None:
    """Return the file that is served there, looked up among those there are: no name that somebody asks for becomes a path."""
    return next((file for file, one in served.items() if one == address), None)


def _address(file: str) -> str:
    name = file.removesuffix(".md").removesuffix("/README")
    return f"/{name}" if file.startswith("guides/") else f"/guides/more/{name}"
