"""What may be called what: the alphabet of project, run, session and metric names."""

import functools
import re

MAX_NAME_LENGTH = 128
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)
METRIC_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@-]{0,127}", re.ASCII)


def check_name(kind: str, name: object) -> str:
    """Return `name` if it can name a project, a run or a session, else raise ValueError.

    Names become parts of Redis keys, URLs and file names, hence the small alphabet:
    1 to 128 of ASCII letters, digits, `_`, `.` and `-`, beginning with a letter or a digit.
    """
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise ValueError(
        f"{kind} is {_shown(name)}: expected 1 to {MAX_NAME_LENGTH} letters, digits, '_', '.' or '-', "
        "beginning with a letter or a digit. Rename it."
    )


def is_metric_name(name: object) -> bool:
    """Tell whether `name` can name a metric: like a project's name, but '/' and '@' are allowed inside."""
    return isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _is_metric_name(name)


@functools.lru_cache(maxsize=4096)  # the same few hundred names come in every step
def _is_metric_name(name: str) -> bool:
    return METRIC_NAME.fullmatch(name) is not None


def _shown(value: object, limit: int = 80) -> str:
    text = ascii(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
