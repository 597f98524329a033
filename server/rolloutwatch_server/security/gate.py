"""Who asks: by a token, by a trusted proxy, or by the cookie of a session."""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from rolloutwatch_server.security.credentials import (
    Passwords,
    Token,
    Tokens,
    find_token,
    parse_passwords,
    parse_tokens,
)
from rolloutwatch_server.security.identity import Identity
from rolloutwatch_server.security.ledger import Ledger, Session
from rolloutwatch_server.security.peers import Proxies, Untrustworthy
from rolloutwatch_server.security.secret import AccessError, PrivateFile, Secret
from rolloutwatch_server.security.throttle import Throttle, address_key

log = logging.getLogger(__name__)

T = TypeVar("T")

BEARER = "bearer "
BY_LINK = "link"
LONGEST_COOKIE = 200


class WrongCredential(Exception):
    """A request brings a credential that is none; `seconds` is how long to wait before the next one, 0 for not at all."""

    def __init__(self, detail: str, seconds: float = 0.0) -> None:
        super().__init__(detail)
        self.seconds = seconds


@dataclass
class Gate:
    """What lets people in: tokens, passwords, proxies, and always links made by `rolloutwatch access link`."""

    ledger: Ledger
    fixed_tokens: Tokens = ()
    token_file: PrivateFile[Tokens] | None = None
    password_file: PrivateFile[Passwords] | None = None
    proxies: Proxies = field(default_factory=Proxies)
    throttle: Throttle = field(default_factory=Throttle)
    session_seconds: float = 7 * 86400.0
    public_url: str | None = None
    seconds_between_looks: float = 2.0  # whether whoever has an event stream open may still have it

    @property
    def cookie(self) -> str:
        """Return the name of the cookie, which no other server on this host has."""
        return f"rolloutwatch-{self.ledger.instance}"

    def identify(self, scope: Scope) -> Identity | None:
        """Return who asks, None if nobody says; WrongCredential if what they say is wrong."""
        headers = Headers(scope=scope)
        if token := bearer_of(headers):
            return self._by_token(token, self.proxies.address(scope, headers))
        try:
            by_proxy = self.proxies.identity(headers) if self.proxies.are_trusted(scope) else None
        except Untrustworthy as error:
            raise WrongCredential(str(error)) from None
        return by_proxy or self._by_cookie(headers)

    def holds(self, scope: Scope, identity: Identity) -> bool:
        """Whether a request that was let in before would be let in again as the same; never counted as a guess."""
        if token := bearer_of(Headers(scope=scope)):
            found = self.token(token)
            return found is not None and (found.name, found.role) == (identity.name, identity.role)
        try:
            return self.identify(scope) == identity
        except WrongCredential:
            return False

    def token(self, given: str) -> Token | None:
        """Return whose token this is."""
        return find_token(self._tokens(), given)

    def passwords(self) -> Passwords:
        """Return the passwords by name."""
        return {} if self.password_file is None else self.password_file.value()

    def has_tokens(self) -> bool:
        """Whether anybody has a token."""
        return bool(self._tokens())

    def session_cookie(self, headers: Headers) -> str | None:
        """Return the secret of a session that a request brings; None if it brings none, or several."""
        names = (self.cookie, f"__Host-{self.cookie}")
        found = [
            value
            for header in headers.getlist("cookie")
            for name, _, value in (part.strip().partition("=") for part in header.split(";"))
            if name in names
        ]
        return found[0] if len(found) == 1 and len(found[0]) <= LONGEST_COOKIE else None

    def is_https(self, scope: Scope) -> bool:
        """Whether a browser came by https, so that its cookie is never to go by anything else."""
        headers = Headers(scope=scope)
        if self.proxies.is_https(scope, headers):
            return True
        public = urlsplit(self.public_url or "")
        return public.scheme == "https" and headers.get("host", "").lower() == public.netloc

    def _tokens(self) -> Tokens:
        return self.fixed_tokens + (() if self.token_file is None else self.token_file.value())

    def _by_token(self, given: str, address: str) -> Identity:
        # looked up before anybody waits: who has the right one is not held up by others who are wrong
        if found := self.token(given):
            return Identity(found.name, found.role, "token")
        keys = [address_key(address)]
        seconds = self.throttle.seconds_to_wait(keys)
        if seconds <= 0:
            self.throttle.attempt(keys)
        raise WrongCredential("the Bearer token is none that is known here", seconds)

    def _by_cookie(self, headers: Headers) -> Identity | None:
        secret = self.session_cookie(headers)
        if secret is None:
            return None
        try:
            session = self.ledger.session(secret)
        except sqlite3.Error as error:
            log.error("sessions cannot be read, so that nobody has one: %s", error)
            return None
        if session is None or not self._still_proven(session):
            return None
        return Identity(session.name, session.role, "session")

    def _still_proven(self, session: Session) -> bool:
        """Whether what a session was begun with still counts: a changed password or token ends it."""
        kind, _, proof = session.proof.partition(":")
        if kind == BY_LINK:
            return True
        if kind == "password":
            password = self.passwords().get(session.name)
            return password is not None and password.proof == proof
        return any(one.digest.hex() == proof and one.role == session.role for one in self._tokens())


def bearer_of(headers: Headers) -> str | None:
    """Return the token of an Authorization header; other schemes are for proxies in between, and no business of ours."""
    given = headers.get("authorization", "")
    return given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else None


def _file(setting: str, path: Path, parse: Callable[[str, str], T], nothing: T) -> PrivateFile[T]:
    try:
        return PrivateFile(path, parse, nothing)
    except AccessError as error:
        command = setting.removeprefix("--").removesuffix("s-file")
        cure = "" if path.exists() else f" `rolloutwatch access {command} NAME --file {path}` makes one."
        raise AccessError(f"{setting} is '{path}': expected a private file of lines. {error}{cure}") from None


def _fixed_tokens(tokens: Secret | None) -> Tokens:
    if tokens is None or not tokens.reveal().strip():
        return ()
    return parse_tokens(tokens.reveal(), "ROLLOUTWATCH_TOKENS")


def make_gate(
    ledger: Ledger,
    *,
    tokens: Secret | None,
    tokens_file: Path | None,
    passwords_file: Path | None,
    proxies: Proxies,
    session_seconds: float,
    public_url: str | None,
) -> Gate:
    """Read tokens and passwords; AccessError if they cannot be used."""
    return Gate(
        ledger,
        fixed_tokens=_fixed_tokens(tokens),
        token_file=None if tokens_file is None else _file("--tokens-file", tokens_file, parse_tokens, ()),
        password_file=(
            None if passwords_file is None else _file("--passwords-file", passwords_file, parse_passwords, {})
        ),
        proxies=proxies,
        session_seconds=session_seconds,
        public_url=public_url,
    )
