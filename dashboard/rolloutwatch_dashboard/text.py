"""Numbers and names as people read them."""

import math

from rolloutwatch_contract.rules import Rule

LOSSES = {
    "not_corrected": (
        "not corrected",
        "Log-probs and mask did not fit together: these steps trained uncorrected, with weights of 1.",
        "The trainer's log names what was expected and what came.",
    ),
    "not_measured": (
        "not measured",
        "Something went wrong while the figures of these steps were computed.",
        "The trainer's log says what.",
    ),
    "queue_full": (
        "lost, the queue was full",
        "The trainer brought figures faster than they could be sent.",
        "Look whether Redis and the server keep up.",
    ),
    "transfers_full": (
        "lost, too many copies were on their way",
        "The device had no time to copy the figures of these steps to the host.",
        "",
    ),
    "bad_step": ("lost, the step was no step", "A step is a whole number from 0 on.", ""),
    "bad_name": ("lost, the name was no metric name", "", "The trainer's log shows the name."),
    "bad_value": ("lost, the value was no number", "", "The trainer's log shows the value."),
    "not_encoded": ("lost, the record was too large", "", "The trainer's log says why."),
    "closed": ("lost, the monitor was closed already", "", ""),
    "undelivered": (
        "not delivered when the monitor was closed",
        "Redis did not take these records before the time to close was over.",
        "Look whether Redis is there, and give close() more seconds.",
    ),
    "not_kept": (
        "not kept for a second delivery",
        "Redis lost records that the server had not archived, and the trainer's memory had no room to keep them.",
        "Look whether the server runs, and give Redis more memory.",
    ),
}  # of what a trainer could not deliver, by reason: what happened, what that means, and what helps


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
