"""Guides as pages, for whoever is led there by an alert."""

from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from rolloutwatch_dashboard import STYLE, THEME_SCRIPT
from rolloutwatch_server import guides

router = APIRouter(include_in_schema=False)

_PAGE = Template((Path(__file__).parent / "guide.html").read_text(encoding="utf-8"))


@router.get("/guides")
def get_guides() -> HTMLResponse:
    """List all guides."""
    links = "".join(f'<li><a href="/guides/{name}">{name}</a></li>' for name in guides.names())
    return _page("Guides", f"<h1>Guides</h1><p>One for each default rule.</p><ul>{links}</ul>")


@router.get("/guides/{name}")
def get_guide(name: str) -> HTMLResponse:
    """Show one."""
    found = guides.guide(name)
    if found is None:
        raise HTTPException(404, f"there is no guide {name[:100]!r}: /guides lists those there are.")
    title, body = found
    return _page(title, body)


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.substitute(title=escape(title), theme=THEME_SCRIPT, style=STYLE, body=body))
