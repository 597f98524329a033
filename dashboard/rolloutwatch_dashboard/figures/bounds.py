"""What rules and the ideal value draw on a chart."""

import math
from collections.abc import Sequence

from rolloutwatch_contract.limits import Limit
from rolloutwatch_dashboard import theme


def bounds_of(limits: Sequence[Limit], ideal: float | None, *, log: bool) -> list[dict[str, object]]:
    """Return a line at each limit with a shade on its bad side, and the line of the ideal value."""
    return [shape for limit in limits for shape in _shapes(limit, log)] + _ideal(ideal, log)


def _shapes(limit: Limit, log: bool) -> list[dict[str, object]]:
    sides = [(limit.above, 1), (limit.below, -1)]
    return [
        shape
        for value, side in sides
        if math.isfinite(value) and (value > 0 or not log)
        for shape in _limit(limit, value, side, log)
    ]


def _limit(limit: Limit, value: float, side: int, log: bool) -> list[dict[str, object]]:
    """Return the line at a limit, and the shade on its bad side, as far as anyone will scroll."""
    far = value * 1e12**side if log else value + side * 1e9
    common = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "layer": "below"}
    line = {
        "color": theme.SEVERITY_LINE[limit.severity],
        "width": 1,
        "dash": "dash" if limit.severity > 1 else "dot",
    }
    shade = {"fillcolor": theme.SEVERITY_FILL[limit.severity], "line": {"width": 0}}
    return [
        {"type": "rect", "name": f"{limit.name}: bad side", "y0": value, "y1": far, **shade, **common},
        {"type": "line", "name": f"{limit.name}: limit", "y0": value, "y1": value, "line": line, **common},
    ]


def _ideal(ideal: float | None, log: bool) -> list[dict[str, object]]:
    if ideal is None or (log and ideal <= 0):
        return []
    line = {"color": theme.IDEAL, "width": 1}
    return [
        {
            "type": "line", "name": "ideal", "xref": "paper", "x0": 0, "x1": 1, "yref": "y",
            "y0": ideal, "y1": ideal, "line": line, "layer": "below",
        }
    ]  # fmt: skip
