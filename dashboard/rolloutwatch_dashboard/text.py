"""Numbers and names as people read them."""

import math
from datetime import UTC, datetime

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import MarkView
from rolloutwatch_contract.record import MAX_STEP

MARK_LABELS = {"weight_sync": "sync"}  # of others the name, with spaces
ALERT = "alert_"
LINKED = "linked"  # the step that an address asks for
LETTERS_OF_A_LABEL = 16
LETTERS_OF_AN_ALERT = 26
LETTERS_OF_A_VERSION = 8
MOST_FIELDS = 8
LETTERS_OF_A_FIELD = 60
LAST_MOMENT = 253402300800.0  # the year 10000


def number(value: float | None) -> str:
    """Return a number with about four significant digits; style of the tiles, and figures.js does the same.

    >>> [number(v) for v in (0.0, 0.99991, 1.0, 12345.6, 0.000054, None, math.nan)]
    ['0', '0.9999', '1', '12346', '5.40e-5', '–', 'NaN']
    """
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if (size and size < 1e-3) or size >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = 0 if size >= 1000 else 4 - len(str(int(size))) + (1 if size < 1 else 0)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def where(limit: Limit) -> str:
    """Return where a limit begins, in as few words as a chart has room for."""
    if math.isinf(limit.above):
        return f"< {number(limit.below)}"
    if math.isinf(limit.below):
        return f"> {number(limit.above)}"
    return f"outside {number(limit.below)} to {number(limit.above)}"


def plain(name: str) -> str:
    """Return a name as text for plotly, which reads some tags in labels as markup."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def age(seconds: float) -> str:
    """Return how long ago something was; figures.js does the same.

    >>> [age(s) for s in (-1, 59, 60, 3600 * 2, 86400 * 3)]
    ['just now', '59 s ago', '1 min ago', '2 h ago', '3 d ago']
    """
    if seconds < 2:
        return "just now"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def moment(seconds: float) -> str:
    """Return a time, in seconds since 1970; nothing of one that no calendar has, since trainers may send any.

    >>> moment(0.0), moment(1e15)
    ('1970-01-01 00:00:00 UTC', '')
    """
    if not 0 <= seconds < LAST_MOMENT:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def at(seconds: float) -> dict[str, str]:
    """Return what an element has that is about a time: page.js tells it in the zone of whoever points there.

    >>> at(0.0)
    {'title': '1970-01-01 00:00:00 UTC', 'data-time': '0.0'}
    """
    known = moment(seconds)
    return {"title": known, "data-time": str(seconds)} if known else {}


def mark_label(mark: MarkView) -> str:
    """Return what stands beside a mark's line: the rule of an alert, of others the kind with its version; as figures.js does.

    >>> mark_label(MarkView(3, 0.0, "weight_sync", {"version": 7}))
    'sync 7'
    """
    if mark.found and mark.kind.startswith(ALERT):
        return cut(_value(mark.fields.get("rule")).replace("_", " "), LETTERS_OF_AN_ALERT)
    if mark.found and mark.kind == LINKED:
        return f"step {mark.step}"
    label = cut(MARK_LABELS.get(mark.kind, mark.kind.replace("_", " ")), LETTERS_OF_A_LABEL)
    version = mark.fields.get("version")
    return label if version is None else f"{label} {cut(_value(version), LETTERS_OF_A_VERSION)}"


def mark_text(mark: MarkView) -> str:
    """Return all of a mark in one line; figures.js does the same.

    >>> mark_text(MarkView(3, 0.0, "checkpoint", {"path": "/c/3", "kept": True, "loss": 0.25}))
    'step 3: checkpoint, path /c/3, kept yes, loss 0.25'
    """
    fields = [
        f"{cut(name.replace('_', ' '), LETTERS_OF_A_FIELD)} {cut(_value(value), LETTERS_OF_A_FIELD)}"
        for name, value in mark.fields.items()
    ]
    more = len(fields) - MOST_FIELDS
    known = [*fields[:MOST_FIELDS], f"{more} more"] if more > 0 else fields
    return ", ".join([f"step {mark.step}: {cut(mark.kind.replace('_', ' '), LETTERS_OF_A_FIELD)}", *known])


def cut(text: str, most: int) -> str:
    """Return the beginning of a text that is too long; letters are counted as in a browser, in UTF-16."""
    units = text.encode("utf-16-le", errors="surrogatepass")
    if len(units) <= 2 * most:
        return text
    return units[: 2 * (most - 1)].decode("utf-16-le", errors="ignore") + "…"


def _value(value: str | int | float | bool | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= MAX_STEP else number(value)
    return str(value)
