"""The document of the default rules, as it is written: part of this package."""

import functools
from importlib.resources import files

FILE = "default_rules.toml"


@functools.cache
def default_document() -> str:
    """Return its text."""
    return files("rolloutwatch_contract").joinpath(FILE).read_text(encoding="utf-8")
