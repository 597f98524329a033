"""Colours that mean something. Everything that follows light and dark is in assets/style.css.

The hues are those of Okabe and Ito (2008), which people with colour-blindness can tell apart;
a severity is always a word or a symbol too.
"""

from collections.abc import Mapping
from typing import Any

from rolloutwatch_contract.severity import Severity

# colour-blind people can tell them apart, and each from both grounds: style.css brightens them on the dark one
SERIES = ("#0072b2", "#d55e00", "#00785a", "#b0437f", "#8a6d00", "#707a86")
# of runs that are laid over each other: as far apart as can be, also for who sees no red, green or blue;
# compare.css has those for dark ground. After the sixth run they come again, dashed.
RUNS = ("#0072b2", "#d55e00", "#7d2ef4", "#5a0a0a", "#ac7575", "#14145e")
DASHES = ("solid", "6px,3px")
SEVERITY_LINE = {Severity.WARNING: "#b8860b", Severity.CRITICAL: "#c0392b"}
SEVERITY_FILL = {Severity.WARNING: "rgba(230, 159, 0, 0.09)", Severity.CRITICAL: "rgba(213, 55, 30, 0.10)"}
BETWEEN = "rgba(213, 94, 0, 0.22)"  # what lies between two bounds, in the second colour
GRID = "rgba(128, 128, 128, 0.18)"
_MARK: dict[str, Any] = {"type": "path", "xref": "x", "yref": "paper", "layer": "below"}
MARKS: Mapping[str, dict[str, Any]] = {
    "marks": {**_MARK, "line": {"color": "rgba(128, 136, 150, 0.45)", "width": 1}},
    "ticks": {**_MARK, "line": {"color": "rgba(128, 136, 150, 0.8)", "width": 1}},
    **{
        kind: {**_MARK, "line": {"color": "rgba(118, 128, 144, 0.95)", "width": 1.5}}
        for kind in ("restart", "rollback", "takeover", "config")
    },
    **{
        f"alert_{severity.word}": {**_MARK, "line": {"color": SEVERITY_LINE[severity], "width": 1.5}}
        for severity in (Severity.CRITICAL, Severity.WARNING)
    },
    "linked": {**_MARK, "line": {"color": "#0b5cad", "width": 2}},
    "contested": {**_MARK, "line": {"color": "#c0392b", "width": 1.5, "dash": "dash"}},
}
# the usual range of a figure; style.css brightens it on dark ground
BAND: Mapping[str, Any] = {
    "type": "path", "xref": "x", "yref": "y", "layer": "below", "fillcolor": "rgba(0, 114, 178, 0.09)", "line": {"width": 0},
}  # fmt: skip
THRESHOLD = "#7a5cc2"  # of the correction; limits, which call for somebody, have the colour of their severity
IDEAL = "rgba(0, 158, 115, 0.75)"
CLEAR = "rgba(0, 0, 0, 0)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
