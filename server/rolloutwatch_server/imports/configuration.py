"""A configuration as a run has it: one level of names, short values, nothing secret."""

from collections.abc import Mapping
from typing import Any

from rolloutwatch_server.exports.secrets import without_secrets
from rolloutwatch_server.imports.past import Value

MOST_ENTRIES = 500
MOST_LETTERS = 1000
DEEPEST = 8


def flattened(config: Mapping[str, Any]) -> dict[str, Value]:
    """Return a configuration with nested names joined by '.', without secrets, and no more of it than a run may have."""
    flat: dict[str, Value] = {}
    _flatten(config, "", 1, flat)
    return without_secrets(flat)


def _flatten(config: Mapping[str, Any], prefix: str, depth: int, flat: dict[str, Value]) -> None:
    for key, value in config.items():
        if len(flat) >= MOST_ENTRIES:
            return
        name = f"{prefix}{key}"[:MOST_LETTERS]
        if isinstance(value, dict) and set(value) == {"value"}:  # wandb's own wrapping
            value = value["value"]
        if isinstance(value, dict) and depth < DEEPEST:
            _flatten(value, f"{name}.", depth + 1, flat)
        elif value is None or isinstance(value, bool | float):
            flat[name] = value
        elif isinstance(value, int):
            flat[name] = value if abs(value) < 2**63 else str(value)[:MOST_LETTERS]
        else:
            flat[name] = str(value)[:MOST_LETTERS]
