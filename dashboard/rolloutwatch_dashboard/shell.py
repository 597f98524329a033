"""What stands around the pages: the HTML that every page is delivered in, its style, and its scripts by their hashes."""

import base64
import functools
import hashlib
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HTML = (HERE / "index.html").read_text(encoding="utf-8")
STYLE = (HERE / "assets" / "style.css").read_text(encoding="utf-8")
LIBRARY = "plotly/plotly-cartesian.min.js"  # the part of plotly.js that has what is drawn here, a third of all of it
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
THEME_SCRIPT = "".join(_SCRIPT.findall(HTML))
# what the bar above every page leads to, in this order
NAVIGATION = (
    ("Runs", "/"),
    ("Compare", "/compare"),
    ("Alerts", "/alerts"),
    ("Rules", "/rules"),
    ("Guides", "/guides"),
    ("API", "/docs"),
)

# the buttons beside it: what stands on each, and its attributes; scripts of the frame know their ids
BUTTONS = (
    ("Copy link", {"id": "copy-link", "title": "Copy the link to what you see"}),
    ("Tell me", {"id": "tell", "title": "Be told by this browser when an alert begins to fire"}),
    ("Theme", {"id": "theme", "title": "Switch between light and dark"}),
    ("?", {"id": "keys", "title": "Which keys there are", "aria-label": "Keys"}),
)


@functools.cache
def asset(name: str) -> str:
    """Return a URL that changes with the content, so that no browser keeps an old one."""
    content = (HERE / "assets" / name).read_bytes()
    return f"/assets/{name}?{hashlib.sha256(content).hexdigest()[:12]}"


# what the bar needs on a page that is not dash's, in this order
FRAME = ("page", "dialogs", "firing", "keys", "link", "tell", "theme", "guide")
FRAME_SCRIPTS = tuple(asset(f"{name}.js") for name in FRAME)


def assets(pattern: str) -> list[str]:
    """Return the URLs of the assets whose names fit a pattern, in order of names."""
    return [asset(file.name) for file in sorted((HERE / "assets").glob(pattern))]


def scripts() -> list[str]:
    """Return the URLs of the scripts, with what all pages have before what is some page's own."""
    return sorted(assets("*.js"), key=lambda url: not url.startswith("/assets/page.js?"))


def kept_assets() -> frozenset[str]:
    """Return the URLs whose content never changes, which browsers may keep for good."""
    return frozenset([*assets("*.js"), *assets("*.css"), asset(LIBRARY)])


def script_hashes(app: Any) -> list[str]:
    """Return the hashes of all inline scripts of the pages of a Dash application, as a Content-Security-Policy names them."""
    own = base64.b64encode(hashlib.sha256(THEME_SCRIPT.encode()).digest()).decode()
    return [f"sha256-{own}", *(one.strip("'") for one in app.csp_hashes())]
