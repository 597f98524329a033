"""Guides as pages, for whoever is led there by an alert, and what else is to be read."""

from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from rolloutwatch_dashboard import NAVIGATION, STYLE, THEME_SCRIPT, THEME_SWITCH
from rolloutwatch_server import guides

router = APIRouter(include_in_schema=False)

_PAGE = Template((Path(__file__).parent / "guide.html").read_text(encoding="utf-8"))
_LOG_OUT = '<form action="/logout" method="post"><button>Log out</button></form>'


@router.get("/guides")
def get_guides(request: Request) -> HTMLResponse:
    """List all guides."""
    return _page(request, "/guides")


@router.get("/guides/{name}")
def get_guide(name: str, request: Request) -> HTMLResponse:
    """Show one."""
    return _page(request, f"/guides/{name}")


@router.get("/guides/more/{name:path}")
def get_more(name: str, request: Request) -> HTMLResponse:
    """Show a page of the documentation that is no guide."""
    return _page(request, f"/guides/more/{name}")


def _page(request: Request, address: str) -> HTMLResponse:
    found = guides.page(address)
    if found is None:
        raise HTTPException(
            404, f"there is no page {address[:100]!r}: /guides lists the guides, which lead to the others."
        )
    title, body = found
    links = "".join(f'<a href="{href}">{escape(text)}</a>' for text, href in NAVIGATION)
    return HTMLResponse(
        _PAGE.substitute(
            title=escape(title),
            theme=THEME_SCRIPT,
            style=STYLE,
            switch=THEME_SWITCH,
            links=links,
            out=_LOG_OUT if request.app.state.asks_for_login else "",
            body=body,
        )
    )
