"""Times as people read them on a terminal."""

import itertools
import time


def moment(seconds: float) -> str:
    """Return a time in seconds since 1970 as date and time of day, in UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
    except (OverflowError, OSError, ValueError):  # a trainer's clock may say anything
        return f"{seconds:g} s"


def days_and_hours(seconds: float) -> str:
    """Return a duration in its largest two units: 3 d 4 h, 5 min 20 s, 12.5 s."""
    if not abs(seconds) >= 60:
        return f"{seconds:.3g} s"
    whole = round(abs(seconds))
    sign = "-" if seconds < 0 else ""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (large, size), (small, part) in itertools.pairwise(units):
        if whole >= size:
            rest = whole % size // part
            return f"{sign}{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{sign}{whole} s"
