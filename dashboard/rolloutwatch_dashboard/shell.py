"""What stands around the pages: the HTML that every page is delivered in, its style, and its scripts by their hashes."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HTML = (HERE / "index.html").read_text(encoding="utf-8")
STYLE = (HERE / "assets" / "style.css").read_text(encoding="utf-8")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
THEME_SCRIPT = "".join(_SCRIPT.findall(HTML))


def script_hashes(app: Any) -> list[str]:
    """Return the hashes of all inline scripts of the pages of a Dash application, as a Content-Security-Policy names them."""
    own = base64.b64encode(hashlib.sha256(THEME_SCRIPT.encode()).digest()).decode()
    return [f"sha256-{own}", *(one.strip("'") for one in app.csp_hashes())]
