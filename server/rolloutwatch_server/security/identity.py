"""Who asks."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.types import Scope

from rolloutwatch_server.security.roles import Role

IDENTITY = "rolloutwatch.identity"


@dataclass(frozen=True)
class Identity:
    """A name, what it may do, and by what it is known: token, session, proxy, or nothing where nobody is asked."""

    name: str
    role: Role
    known_by: str


ANYBODY = Identity("anybody", Role.ADMIN, "nothing")


def identify_as(scope: Scope, identity: Identity) -> None:
    """Let routes know who asks."""
    scope[IDENTITY] = identity


def identity_of(connection: HTTPConnection) -> Identity:
    """Return who asks; anybody, where nobody is asked."""
    found: Identity = connection.scope.get(IDENTITY, ANYBODY)
    return found
