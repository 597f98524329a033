"""Rules in a file of TOML."""

from pathlib import Path

from rolloutwatch_contract.limits import Limit, limits_of
from rolloutwatch_contract.written_rules import RuleError, parse_rules

MOST_BYTES = 4 * 1024 * 1024


def load_rules(path: Path) -> tuple[Limit, ...]:
    """Return the limits of a file; RuleError if it cannot be read, is not TOML, or has a rule that cannot be."""
    try:
        with path.open("rb") as file:
            written = file.read(MOST_BYTES + 1)
        if len(written) > MOST_BYTES:
            raise RuleError(f"more than {MOST_BYTES} bytes: expected a file of rules.", file=path.name)
        text = written.decode()
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RuleError(f"not TOML: {str(error)[:200]}.", file=path.name) from error
    return limits_of(parse_rules(text, path.name).rules)
