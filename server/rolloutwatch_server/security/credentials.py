"""Tokens and passwords: lines NAME:ROLE:SECRET, from the environment or from a private file."""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rolloutwatch_server.security.roles import WORDS, Role, role_of
from rolloutwatch_server.security.secret import AccessError, Secret, digest, is_same

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{24,512}")
_HASH = re.compile(r"scrypt\$([0-9]{1,2})\$([0-9]{1,2})\$([0-9]{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)")
LEAST_LETTERS_OF_A_PASSWORD = 10
MOST_LETTERS_OF_A_PASSWORD = 1024
# 32 MiB and about a quarter of a second: what OWASP's cheat sheet of password storage asks for at least
COST, BLOCK, PARALLEL = 15, 8, 3
MOST_COST, MOST_BLOCK, MOST_PARALLEL = 18, 16, 16
BYTES_OF_SALT = BYTES_OF_A_HASH = 32


@dataclass(frozen=True)
class Token:
    """What is kept of a token: not itself."""

    name: str
    role: Role
    digest: bytes


@dataclass(frozen=True)
class Password:
    """What is kept of a password: a slow hash, and how it was made. `proof` changes whenever the line does."""

    name: str
    role: Role
    cost: int
    block: int
    parallel: int
    salt: bytes
    hash: bytes
    proof: str

    def matches(self, password: Secret) -> bool:
        """Whether this is the password; takes a good part of a second and 32 MiB."""
        found = _scrypt(password.reveal(), self.salt, self.cost, self.block, self.parallel, len(self.hash))
        return is_same(found, self.hash)


Tokens = tuple[Token, ...]
Passwords = Mapping[str, Password]


def is_name(text: str) -> bool:
    """Whether somebody can be called so."""
    return _NAME.fullmatch(text) is not None


def parse_tokens(text: str, where: str) -> Tokens:
    """Read lines NAME:ROLE:TOKEN, or such divided by commas; AccessError names the line, never the token."""
    found = tuple(_lines(text, where, _token, "NAME:ROLE:TOKEN, made by `rolloutwatch access token NAME`"))
    if not found:
        raise AccessError(
            f"{where} has no token: expected lines NAME:ROLE:TOKEN. `rolloutwatch access token NAME` makes one."
        )
    return found


def parse_passwords(text: str, where: str) -> Passwords:
    """Read lines NAME:ROLE:HASH, one for each name; AccessError names the line, never the hash."""
    found: dict[str, Password] = {}
    for one in _lines(text, where, _password, "NAME:ROLE:HASH, made by `rolloutwatch access password NAME`"):
        if one.name in found:
            raise AccessError(f"{where} has two lines for {one.name}: expected one for each name.")
        found[one.name] = one
    return found


def find_token(tokens: Iterable[Token], given: str) -> Token | None:
    """Return whose token this is, comparing with all of them whether or not one fits."""
    asked, found = digest(given), None
    for one in tokens:
        if is_same(one.digest, asked):
            found = one
    return found


def password_line(name: str, role: Role, password: Secret) -> str:
    """Return the line of a password file, without an end of line."""
    salt = secrets.token_bytes(BYTES_OF_SALT)
    found = _scrypt(password.reveal(), salt, COST, BLOCK, PARALLEL, BYTES_OF_A_HASH)
    coded = "$".join(base64.b64encode(one).decode() for one in (salt, found))
    return f"{name}:{role.word}:scrypt${COST}${BLOCK}${PARALLEL}${coded}"


def nobodys_password() -> Password:
    """Return one that nothing matches, to be compared with where a name is unknown, so that it takes as long."""
    salt, never = secrets.token_bytes(BYTES_OF_SALT), secrets.token_bytes(BYTES_OF_A_HASH)
    return Password("", Role.VIEWER, COST, BLOCK, PARALLEL, salt, never, "")


def _lines(text: str, where: str, parse: Callable[[str, Role, str], T], expected: str) -> Iterator[T]:
    for number, line in enumerate(re.split(r"[\n,]", text), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        word, _, secret = rest.partition(":")
        if not is_name(name) or word not in WORDS:
            raise AccessError(
                f"{where}, line {number}: expected {expected}; ROLE is one of {', '.join(WORDS)}."
            )
        try:
            yield parse(name, role_of(word), secret)
        except ValueError as error:
            raise AccessError(f"{where}, line {number}, of {name}: expected {error}.") from None


def _token(name: str, role: Role, secret: str) -> Token:
    if not _TOKEN.fullmatch(secret):
        raise ValueError(
            "a token of 24 to 512 letters, digits and . _ ~ + / = -; `rolloutwatch access token` makes one"
        )
    return Token(name, role, digest(secret))


def _password(name: str, role: Role, secret: str) -> Password:
    found = _HASH.fullmatch(secret)
    if found is None:
        raise ValueError("a hash of scrypt, as `rolloutwatch access password` prints it")
    cost, block, parallel = (int(found[number]) for number in (1, 2, 3))
    if not (14 <= cost <= MOST_COST and 1 <= block <= MOST_BLOCK and 1 <= parallel <= MOST_PARALLEL):
        raise ValueError(f"a cost of scrypt from 14 to {MOST_COST}")
    try:
        salt, kept = (base64.b64decode(found[number], validate=True) for number in (4, 5))
    except binascii.Error:
        raise ValueError("salt and hash in base 64") from None
    if len(salt) < 16 or len(kept) < 16:
        raise ValueError("a salt and a hash of 16 bytes or more")
    return Password(
        name, role, cost, block, parallel, salt, kept, digest(f"{name}:{role.word}:{secret}").hex()
    )


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int, length: int) -> bytes:
    memory = 128 * block * (2**cost + parallel) + 1024 * 1024
    return hashlib.scrypt(
        password.encode("utf-8", errors="surrogatepass"),
        salt=salt,
        n=2**cost,
        r=block,
        p=parallel,
        maxmem=memory,
        dklen=length,
    )
