"""Rules in a file of TOML."""

from collections.abc import Collection
from pathlib import Path

from rolloutwatch_contract.written_rules import RuleError, RuleSet, parse_rules

MOST_BYTES = 1024 * 1024


def load_rules(path: Path, known: Collection[str] = ()) -> RuleSet:
    """Return the rules of a file; RuleError if it cannot be read, is not TOML, or has a rule that cannot be.

    `known` are names of metrics beside the catalogue's and those that the file declares.
    """
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
    return parse_rules(text, path.name, known)
