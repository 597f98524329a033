"""Guides as pages, for whoever is led there by an alert, and what else is to be read."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from rolloutwatch_dashboard import BUTTONS, FRAME_SCRIPTS, NAVIGATION, STYLE, THEME_SCRIPT
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
    return HTMLResponse(
        _PAGE.substitute(
            title=escape(title),
            theme=THEME_SCRIPT,
            style=STYLE,
            scripts="".join(f'<script src="{url}" defer></script>' for url in FRAME_SCRIPTS),
            links="".join(_way(text, href) for text, href in NAVIGATION),
            buttons="".join(_button(*one) for one in BUTTONS),
            out=_LOG_OUT if request.app.state.asks_for_login else "",
            body=body,
        )
    )


def _way(text: str, href: str) -> str:
    link = f'<a href="{href}">{escape(text)}</a>'
    return (
        f'<span class="counted">{link}<span id="alerts-badge"></span></span>' if href == "/alerts" else link
    )


def _button(text: str, known: Mapping[str, str]) -> str:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in known.items())
    return f'<button type="button"{attributes}>{escape(text)}</button>'
