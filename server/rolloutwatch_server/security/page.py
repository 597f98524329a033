"""The page by which a browser logs in and out, in the look of the others; it needs no file that is behind the door."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse

from rolloutwatch_dashboard import STYLE, THEME_SCRIPT
from rolloutwatch_server.security.identity import Identity
from rolloutwatch_server.security.roles import Role

HEADERS = {"Cache-Control": "no-store"}

_PAGE = Template((Path(__file__).parent / "login.html").read_text(encoding="utf-8"))
_LINK_HINT = """<p class="small">Without a {what}: <code>rolloutwatch access link</code>, where the server runs, prints a link
that logs in one browser, once.</p>"""


def page(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Return a page of a body of HTML."""
    text = _PAGE.substitute(title=escape(title), theme=THEME_SCRIPT, style=STYLE, body=body)
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def wrong(text: str) -> str:
    """Return what is said of an attempt that failed, which a screen reader says at once."""
    return f'<p class="wrong" role="alert">{escape(text)}</p>' if text else ""


def asking(there: str, *, passwords: bool, tokens: bool, failure: str = "", name: str = "") -> str:
    """Return the forms by which somebody says who they are, and where they want to go then."""
    forms = ""
    if passwords:
        forms += _form(
            there,
            f"""<label for="name">Name</label>
<input id="name" name="name" value="{escape(name)}" required autofocus
  autocomplete="username" autocapitalize="none" spellcheck="false">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>""",
        )
    if tokens:
        forms += _form(
            there,
            """<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required>""",
        )
    what = " or ".join(word for word, is_there in (("password", passwords), ("token", tokens)) if is_there)
    return wrong(failure) + forms + _LINK_HINT.format(what=what or "login link")


def link_offered(there: str, secret: str, role: Role) -> str:
    """Return the button of a login link: that it was looked at, by a chat program, say, does not use it up."""
    hidden = f'<input type="hidden" name="link" value="{escape(secret)}">'
    return (
        f"<p>This link logs this browser in as <strong>{role.word}</strong>, once.</p>{_form(there, hidden)}"
    )


def logged_in(identity: Identity, there: str) -> str:
    """Return who somebody is, and the way out."""
    out = '<form method="post" action="/logout"><button>Log out</button></form>'
    onward = f'<p><a href="{escape(there)}">Go on to the runs</a></p>'
    who = f"<p>You are <strong>{escape(identity.name)}</strong> ({identity.role.word}).</p>"
    return who + onward + (out if identity.known_by == "session" else "")


def _form(there: str, fields: str) -> str:
    onward = f'<input type="hidden" name="next" value="{escape(there)}">'
    return f'<form method="post" action="/login">{onward}{fields}<button>Log in</button></form>'
