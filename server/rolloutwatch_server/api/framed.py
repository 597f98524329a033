"""Pages that the server makes itself, within what stands around all pages."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from fastapi import Request
from starlette.responses import HTMLResponse

from rolloutwatch_dashboard import BUTTONS, FRAME_SCRIPTS, NAVIGATION, STYLE, THEME_SCRIPT

_PAGE = Template((Path(__file__).parent / "framed.html").read_text(encoding="utf-8"))
_LOG_OUT = '<form action="/logout" method="post"><button>Log out</button></form>'


def framed(request: Request, title: str, body: str) -> HTMLResponse:
    """Return a page of a title, which is text, and a body, which is HTML."""
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
