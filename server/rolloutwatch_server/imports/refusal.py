"""What an importer says of a file that it does not read."""

from pathlib import Path

LETTERS_OF_A_PATH = 1000  # which its owner has named, and the end of which tells most


class CannotImport(ValueError):
    """A file is not what an importer reads; the message names file, place, what was expected and what came."""


def refusal(file: Path | str, place: str, expected: str, came: str) -> CannotImport:
    """Return the refusal of a file; what came from the file is shown in short and in ASCII."""
    return CannotImport(f"{shown(str(file), LETTERS_OF_A_PATH)}, {place}: expected {expected}; came {came}.")


def shown(text: object, limit: int = 80) -> str:
    """Return something of a file as a terminal may print it: no control characters, not much of it."""
    quoted = ascii(text)
    return quoted if len(quoted) <= limit else f"{quoted[:limit]}... ({len(str(text))} characters)"
