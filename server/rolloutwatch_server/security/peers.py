"""Proxies that are trusted to say who asks, from where, and by https; what others say of that counts for nothing."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from rolloutwatch_server.security.credentials import is_name
from rolloutwatch_server.security.identity import Identity
from rolloutwatch_server.security.roles import Role, role_of

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-real-ip")
PROXY = "proxy"
USUAL_NAME_HEADER = "x-forwarded-user"


class Untrustworthy(ValueError):
    """A trusted proxy said something that cannot be; the message says what, and what was expected."""


@dataclass(frozen=True)
class Proxies:
    """Networks whose members are trusted, and the headers by which they tell name and role; None: they tell neither."""

    networks: Sequence[Network] = ()
    name_header: str | None = None
    role_header: str = "x-forwarded-role"

    def are_trusted(self, scope: Scope) -> bool:
        """Whether the peer of a connection is one of them."""
        client = scope.get("client")
        return client is not None and self._has(client[0])

    def strip(self, scope: Scope) -> None:
        """Take away what only a trusted proxy may say, so that nothing further in can believe it."""
        told = {(self.name_header or USUAL_NAME_HEADER).encode(), self.role_header.encode(), *FORWARDED}
        if any(name in told for name, _ in scope["headers"]):
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in told]

    def identity(self, headers: Headers) -> Identity | None:
        """Return whom a trusted proxy names; None if nobody. A role that it does not tell is viewer."""
        if self.name_header is None:
            return None
        name, role = (self._only(headers, header) for header in (self.name_header, self.role_header))
        if name is None:
            return None
        if not is_name(name):
            raise Untrustworthy(
                f"{self.name_header} is {name[:100]!r}: expected a name of letters, digits and . _ @ -"
            )
        try:
            return Identity(name, Role.VIEWER if role is None else role_of(role), PROXY)
        except ValueError as error:
            raise Untrustworthy(f"{self.role_header} is {(role or '')[:100]!r}: expected {error}") from None

    def address(self, scope: Scope, headers: Headers) -> str:
        """Return from where somebody asks: the last address that is not itself a trusted proxy."""
        client = scope.get("client")
        address = "" if client is None else str(client[0])
        if not self._has(address):
            return address
        told = ",".join(headers.getlist("x-forwarded-for")).split(",")
        for one in reversed([part.strip() for part in told if part.strip()]):
            address = one
            if not self._has(one):
                break
        return address

    def is_https(self, scope: Scope, headers: Headers) -> bool:
        """Whether the browser came by https, to here or to a trusted proxy."""
        if self.are_trusted(scope) and (told := headers.get("x-forwarded-proto")):
            return told.split(",")[0].strip().lower() == "https"
        return bool(scope.get("scheme") in ("https", "wss"))

    def _has(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)

    def _only(self, headers: Headers, name: str) -> str | None:
        values = headers.getlist(name)
        if len(values) > 1:
            raise Untrustworthy(f"{name} came {len(values)} times: expected once. Let the proxy replace it")
        return values[0] if values and values[0] else None
