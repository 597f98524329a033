"""Secrets: held so that nothing prints them, and read only from files that nobody else can read."""

import contextlib
import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024
SECONDS_BETWEEN_LOOKS = 1.0
OTHERS = 0o077  # what group and others may do

T = TypeVar("T")

is_same = hmac.compare_digest  # takes as long wherever two differ


class AccessError(ValueError):
    """Something that decides who gets in cannot be used; the message says what, and how to cure it."""


class Secret:
    """A text that no repr, log line or traceback shows; `reveal` gives it to who has to know."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written down: reveal() it where it is needed.")

    def reveal(self) -> str:
        """Return the text."""
        return self._text


def new_secret() -> str:
    """Return 256 random bits as text that fits a URL, a header and a line of a file."""
    return secrets.token_urlsafe(32)


def digest(text: str) -> bytes:
    """Return what is kept of a random secret, from which it cannot be told: SHA-256, 32 bytes."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()


def read_private(path: Path) -> str:
    """Return what a file says; AccessError if it cannot be read, or if others than its owner can read it."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror}.") from None
    if about.st_mode & OTHERS:
        raise AccessError(
            f"{path} has mode {about.st_mode & 0o777:04o}: expected 0600, for it holds secrets. Run: chmod 600 {path}"
        )
    if len(content) > MOST_BYTES:
        raise AccessError(f"{path} is longer than {MOST_BYTES} bytes: it is not what it was meant to be.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AccessError(f"{path} is not a text in UTF-8: expected lines NAME:ROLE:SECRET.") from None


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole; nobody but its owner can read it at any instant."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


class PrivateFile(Generic[T]):
    """What a private file says, read again when it changes.

    While it cannot be read it says `nothing`: whoever gets in by it stays out, and the log tells why.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str, str], T],
        nothing: T,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._parse, self._nothing, self._clock = path, parse, nothing, clock
        self._signature = self._look()
        self._looked = clock()
        self._value = parse(read_private(path), str(path))

    def value(self) -> T:
        """Return what the file says now, or said up to a second ago."""
        now = self._clock()
        if now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = now
            signature = self._look()
            if signature != self._signature:
                self._signature = signature
                self._value = self._read()
        return self._value

    def _read(self) -> T:
        try:
            value = self._parse(read_private(self._path), str(self._path))
        except AccessError as error:
            log.error("nobody gets in by a file that cannot be used: %s", error)
            return self._nothing
        log.info("%s has changed and is in force", self._path)
        return value

    def _look(self) -> tuple[int, ...] | None:
        try:
            about = self._path.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size
