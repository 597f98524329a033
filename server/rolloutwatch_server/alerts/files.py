"""Rules in a file of TOML."""

import tomllib
from pathlib import Path

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.written_rules import RuleError, read_rules

MOST_BYTES = 4 * 1024 * 1024


def load_rules(path: Path) -> tuple[Limit, ...]:
    """Return the rules of a file; RuleError if it cannot be read, is not TOML, or has a rule that cannot be."""
    try:
        with path.open("rb") as file:
            written = file.read(MOST_BYTES + 1)
        if len(written) > MOST_BYTES:
            raise RuleError(f"{path.name} has more than {MOST_BYTES} bytes: expected a file of rules.")
        document = tomllib.loads(written.decode())
    except OSError as error:
        raise RuleError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RuleError(f"{path.name} is not TOML: {str(error)[:200]}.") from error
    return read_rules(document, path.name)
