"""A file of rules that somebody edits while the server runs."""

from pathlib import Path

from rolloutwatch_contract.rule_errors import RuleError

MOST_BYTES = 1024 * 1024  # of a document of rules, wherever it comes from

Signature = tuple[int, ...] | None


class RulesFile:
    """Tells when a file has changed, and has been left alone since the look before: a program may write it bit by bit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._has_read = False
        self._read: Signature = None
        self._seen: Signature = None

    def has_changed(self) -> bool:
        """Look; tell whether there is something to read that has not been read yet."""
        now = self._look()
        is_at_rest, self._seen = now == self._seen, now
        return is_at_rest and not (self._has_read and now == self._read)

    def text(self) -> str:
        """Return what the file says; RuleError if it cannot be read."""
        self._read, self._has_read = self._look(), True
        try:
            with self.path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise RuleError(
                f"cannot be read: {error.strerror}.", file=str(self.path), expected="a file of rules in TOML"
            ) from error
        return decoded(content, str(self.path))

    def forget(self) -> None:
        """Take the file for one that has not been read."""
        self._has_read = False

    def _look(self) -> Signature:
        try:
            about = self.path.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size


def decoded(content: bytes, file: str) -> str:
    """Return bytes as the text of a document of rules; RuleError if they are too many, or none."""
    expected = f"rules in TOML, at most {MOST_BYTES} bytes"
    if len(content) > MOST_BYTES:
        raise RuleError(f"more than {MOST_BYTES} bytes: expected {expected}.", file=file, expected=expected)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        came = f"a byte that is none at {error.start}"
        raise RuleError(
            f"not a text in UTF-8: {came}.", file=file, expected="a text in UTF-8", came=came
        ) from error
