"""A file of rules that somebody edits while the server runs."""

from pathlib import Path

from rolloutwatch_contract.written_rules import RuleError

MOST_BYTES = 1024 * 1024  # of a document of rules, wherever it comes from

Signature = tuple[int, ...] | None


class RulesFile:
    """Tells when a file has changed, and has been left alone since the look before: a program may write it bit by bit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: Signature | str = "never"
        self._seen: Signature = None

    def has_changed(self) -> bool:
        """Look; tell whether there is something to read that has not been read yet."""
        now = self._look()
        is_at_rest, self._seen = now == self._seen, now
        return now != self._read and is_at_rest

    def text(self) -> str:
        """Return what the file says; RuleError if it cannot be read."""
        self._read = self._seen = self._look()
        try:
            with self.path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise RuleError(f"{self.path} cannot be read: {error.strerror}.") from error
        return decoded(content, str(self.path))

    def _look(self) -> Signature:
        try:
            about = self.path.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size


def decoded(content: bytes, file: str) -> str:
    """Return bytes as the text of a document of rules; RuleError if they are too many, or none."""
    if len(content) > MOST_BYTES:
        raise RuleError(f"{file} has more than {MOST_BYTES} bytes: expected rules in TOML.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RuleError(f"{file} is not a text in UTF-8, at byte {error.start}: expected rules in TOML.") from error
