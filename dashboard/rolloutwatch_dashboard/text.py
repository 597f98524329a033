"""Numbers and names as people read them."""

import math

from rolloutwatch_contract.rules import Rule


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


def where(rule: Rule) -> str:
    """Return where a rule is broken, in as few words as a chart has room for."""
    if math.isinf(rule.above):
        return f"< {number(rule.below)}"
    if math.isinf(rule.below):
        return f"> {number(rule.above)}"
    return f"outside {number(rule.below)} to {number(rule.above)}"


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
