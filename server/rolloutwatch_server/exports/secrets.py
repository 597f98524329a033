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
# what keys begin with: of Hugging Face, OpenAI, GitHub, GitLab, Slack, AWS, Google, npm, PyPI, JWT
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:hf|sk|pk|rk|gh[a-z]|github_pat|glpat|xox[a-z]|npm|pypi)[_-][A-Za-z0-9_-]{16,}"
    r"|(?:AKIA|ASIA|AIza)[A-Za-z0-9_-]{16,}|eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_.-]*)",
    re.ASCII,
)
_KEY_OF_WANDB = re.compile(r"(?:local-)?[0-9a-f]{40}")
_COMMIT = re.compile(r"commit|revision|sha|hash|git|version", re.IGNORECASE)  # 40 such digits, and no secret
_URL_WITH_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/]*:[^\s]*@|[?&]password=")


def without_secrets(config: Mapping[str, Value]) -> dict[str, Value]:
    """Return a configuration in which secrets are hidden."""
    return {name: _shown(name, value) for name, value in config.items()}


def _shown(name: str, value: Value) -> Value:
    if not isinstance(value, str) or not value:
        return value
    if _SECRET.search(name) or _is_key(name, value):
        return HIDDEN
    return without_password(value) if _URL_WITH_PASSWORD.search(value) else value


def _is_key(name: str, value: str) -> bool:
    """Whether a value looks like a key, whatever it is called; a long one has digits, which a name in words has not."""
    found = _KEY.search(value)
    if found is not None and any(map(str.isdecimal, found[0])):
        return True
    return _KEY_OF_WANDB.fullmatch(value) is not None and not _COMMIT.search(name)
