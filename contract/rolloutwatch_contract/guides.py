"""What a rule may call its guide, and where that leads: the same on pages, in the API, and in messages."""

import difflib
import functools
import re
from urllib.parse import urlsplit

from rolloutwatch_contract.default_document import default_document
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES

_OWN = re.compile(r"docs/guides/((?:diagnosis/)?[a-z0-9_]{1,128})\.md")
_OF_A_RULE = re.compile(r'^guide = "docs/guides/(\w+)\.md"$', re.MULTILINE)


@functools.cache
def names() -> "frozenset[str]":
    """Return the names of the guides there are: those that the default rules lead to, and one of each hypothesis."""
    of_hypotheses = (f"diagnosis/{one.name}" for one in HYPOTHESES)
    return frozenset((*_OF_A_RULE.findall(default_document()), *of_hypotheses))


def link(guide: str) -> str:
    """Return where a guide is found: below the server's own address if it begins with `/`; '' if it leads nowhere.

    >>> link("docs/guides/kl_high.md"), link("https://wiki.example/kl"), link("javascript:alert(1)")
    ('/guides/kl_high', 'https://wiki.example/kl', '')
    """
    if own := _OWN.fullmatch(guide):
        return f"/guides/{own[1]}"
    return guide if _is_web_page(guide) else ""


def is_there(guide: str) -> bool:
    """Tell whether a rule may call its guide so: none, one of ours that is there, or a page elsewhere.

    >>> is_there("docs/guides/kl_high.md"), is_there("docs/guides/kl_hihg.md"), is_there("")
    (True, False, True)
    """
    own = _OWN.fullmatch(guide)
    return own[1] in names() if own else not guide or _is_web_page(guide)


def nearest(guide: str) -> str:
    """Return the guide that was probably meant, '' if none is near.

    >>> nearest("guides/kl_hihg"), nearest("javascript:alert(1)")
    ('docs/guides/kl_high.md', '')
    """
    name = guide.rpartition("/")[2].removesuffix(".md")
    near = difflib.get_close_matches(name, sorted(names()), n=1)
    return f"docs/guides/{near[0]}.md" if near else ""


def _is_web_page(guide: str) -> bool:
    # looked at first, because urlsplit leaves out some of what it should not see
    if not re.fullmatch(r"[!-~]+", guide):
        return False
    try:
        parts = urlsplit(guide)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
