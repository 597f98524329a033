"""What of a configuration stays here when a run goes out: passwords, keys, and passwords within URLs."""

import re
from collections.abc import Mapping

from rolloutwatch_contract.urls import without_password

Value = str | int | float | bool | None

HIDDEN = "***"
_SECRET = re.compile(
    r"(?:^|[^a-z0-9])(?:password|passwd|passphrase|secret|credentials?"
    r"|(?:api|access|auth|private|secret|hf|wandb)_?(?:key|token)|bearer)(?:$|[^a-z0-9])",
    re.IGNORECASE,
)
_URL_WITH_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/]*:[^\s]*@|[?&]password=")


def without_secrets(config: Mapping[str, Value]) -> dict[str, Value]:
    """Return a configuration in which secrets are hidden."""
    return {name: _shown(name, value) for name, value in config.items()}


def _shown(name: str, value: Value) -> Value:
    if not isinstance(value, str) or not value:
        return value
    if _SECRET.search(name):
        return HIDDEN
    return without_password(value) if _URL_WITH_PASSWORD.search(value) else value
