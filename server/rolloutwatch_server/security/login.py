"""The routes by which browsers log in and out."""

import asyncio
import logging
import math
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from rolloutwatch_server.security.credentials import (
    MOST_LETTERS_OF_A_PASSWORD,
    is_name,
    nobodys_password,
)
from rolloutwatch_server.security.gate import BY_LINK, Gate
from rolloutwatch_server.security.identity import IDENTITY, Identity
from rolloutwatch_server.security.page import asking, link_offered, logged_in, page
from rolloutwatch_server.security.secret import Secret
from rolloutwatch_server.security.throttle import Key, address_key

log = logging.getLogger(__name__)

HASHES_AT_ONCE = 2  # each takes 32 MiB and a core
MOST_FIELDS = 8
_INNER = re.compile(r"/(?![/\\])[!-~]*")


class _Failed(Exception):
    """An attempt to log in that is none; the message is for whoever tried."""


@dataclass(frozen=True)
class _Proven:
    identity: Identity
    proof: str


@dataclass
class Login:
    """Logs in by link, password or token, and out."""

    gate: Gate
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHES_AT_ONCE))

    def install(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_route("/login", self.show, methods=["GET"], include_in_schema=False)
        app.add_route("/login", self.begin, methods=["POST"], include_in_schema=False)
        app.add_route("/logout", self.end, methods=["POST"], include_in_schema=False)

    async def show(self, request: Request) -> Response:
        """Show who somebody is, or ask."""
        there = _inner(request.query_params.get("next", "/"))
        identity: Identity | None = request.scope.get(IDENTITY)
        if secret := request.query_params.get("link"):
            role = self.gate.ledger.link(secret[:200])
            if role is not None:
                return page("Log in", link_offered(there, secret, role))
            if identity is None:
                return self._ask(there, 401, "This link has been used, or has expired: ask for another one.")
        if identity is not None:
            return page("Logged in", logged_in(identity, there))
        return self._ask(there, 200)

    async def begin(self, request: Request) -> Response:
        """Log in, or say why not."""
        form = parse_qs((await request.body()).decode("utf-8", errors="replace"), max_num_fields=MOST_FIELDS)
        given = {name: values[0] for name, values in form.items() if len(values) == 1}
        there, address = (
            _inner(given.get("next", "/")),
            self.gate.proxies.address(request.scope, request.headers),
        )
        name = given.get("name", "").strip()[:100]
        keys = self._keys(name, address)
        is_counted = not self._needs_no_guess(given)
        if is_counted:
            seconds = self.gate.throttle.seconds_to_wait(keys)
            if seconds > 0:
                return self._hold_up(there, name, seconds)
            # counted before it is known to be wrong: many at once are not let through together
            self.gate.throttle.attempt(keys)
        try:
            proven = await self._prove(given, name)
        except _Failed as failure:
            log.warning("login failed for %r from %s: %s", name, address, failure)
            return self._ask(there, 401, str(failure), name)
        if is_counted:
            self.gate.throttle.succeed(keys)
        return await self._enter(request, proven, there, address)

    async def end(self, request: Request) -> Response:
        """Log out; whoever was not logged in is now as before."""
        if secret := self.gate.session_cookie(request.headers):
            await run_in_threadpool(self.gate.ledger.end, secret)
            identity: Identity | None = request.scope.get(IDENTITY)
            log.info("%s logged out", identity.name if identity else "an expired session")
        answer = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
        for name, secure in ((self.gate.cookie, False), (f"__Host-{self.gate.cookie}", True)):
            answer.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="strict")
        return answer

    async def _prove(self, given: dict[str, str], name: str) -> _Proven:
        if link := given.get("link"):
            role = await run_in_threadpool(self.gate.ledger.use_link, link)
            if role is None:
                raise _Failed("This link has been used, or has expired: ask for another one.")
            return _Proven(Identity(f"link-{role.word}", role, "session"), BY_LINK)
        if token := given.get("token"):
            found = self.gate.token(token.strip())
            if found is None:
                raise _Failed("This token is not known here.")
            return _Proven(Identity(found.name, found.role, "session"), f"token:{found.digest.hex()}")
        if not name or "password" not in given:
            raise _Failed("Nothing was filled in.")
        return await self._prove_by_password(name, Secret(given["password"]))

    async def _prove_by_password(self, name: str, password: Secret) -> _Proven:
        # where the name is unknown it takes as long, so that names cannot be told from it
        known = self.gate.passwords().get(name)
        kept = known or nobodys_password()
        is_long = len(password.reveal()) > MOST_LETTERS_OF_A_PASSWORD
        async with self._hashing:
            matches = await run_in_threadpool(kept.matches, Secret("") if is_long else password)
        if known is None or is_long or not matches:
            raise _Failed("Name and password do not fit together.")
        return _Proven(Identity(known.name, known.role, "session"), f"password:{known.proof}")

    async def _enter(self, request: Request, proven: _Proven, there: str, address: str) -> Response:
        if former := self.gate.session_cookie(request.headers):
            await run_in_threadpool(self.gate.ledger.end, former)
        who, seconds = proven.identity, self.gate.session_seconds
        secret = await run_in_threadpool(self.gate.ledger.begin, who.name, who.role, proven.proof, seconds)
        log.info(
            "%s (%s) logged in by %s from %s",
            who.name,
            who.role.word,
            proven.proof.partition(":")[0],
            address,
        )
        answer = RedirectResponse(there, 303, {"Cache-Control": "no-store"})
        is_https = self.gate.is_https(request.scope)
        answer.set_cookie(
            f"__Host-{self.gate.cookie}" if is_https else self.gate.cookie,
            secret.reveal(),
            max_age=int(seconds),
            path="/",
            secure=is_https,
            httponly=True,
            samesite="strict",
        )
        return answer

    def _needs_no_guess(self, given: dict[str, str]) -> bool:
        """Whether a link or a token is right, which is quickly told: it waits for nobody who is wrong."""
        if link := given.get("link"):
            return self.gate.ledger.link(link[:200]) is not None
        return self.gate.token(given.get("token", "").strip()) is not None

    def _keys(self, name: str, address: str) -> list[Key]:
        """Return by what attempts are counted: never by the name alone, or else anybody could lock its owner out.

        By name and address too, so that who logs in rightly in between does not get new guesses of another's password.
        """
        key = address_key(address)
        return [key, ("name", name, *key)] if is_name(name) else [key]

    def _hold_up(self, there: str, name: str, seconds: float) -> Response:
        wait = math.ceil(seconds)
        answer = self._ask(there, 429, f"Too many attempts have failed: wait {wait} seconds.", name)
        answer.headers["Retry-After"] = str(wait)
        return answer

    def _ask(self, there: str, status: int, failure: str = "", name: str = "") -> Response:
        gate = self.gate
        body = asking(
            there, passwords=bool(gate.passwords()), tokens=gate.has_tokens(), failure=failure, name=name
        )
        return page("Log in", body, status)


def _inner(path: str) -> str:
    """Return where to go after the login: a path of this server, whatever was asked for."""
    return path if _INNER.fullmatch(path) else "/"
