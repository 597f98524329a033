"""Who may do what: three roles, and one table of what differs from the rule.

To read takes a viewer; every other method takes an admin, unless the table says otherwise.
So a route that nobody thought of is closed, not open.
"""

import enum
import re
from dataclasses import dataclass


class Role(enum.IntEnum):
    """What somebody may do; each may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Return the name as people write it."""
        return self.name.lower()


WORDS = tuple(role.word for role in Role)


def role_of(word: str) -> Role:
    """Return the role of a name; ValueError if there is none."""
    if word not in WORDS:
        raise ValueError(f"one of {', '.join(WORDS)}")
    return Role[word.upper()]


@dataclass(frozen=True)
class Exceptional:
    """A method and paths that need another role than the rule says; None: nobody has to say who they are."""

    method: str
    path: re.Pattern[str]
    role: Role | None


def _at(method: str, path: str, role: Role | None) -> Exceptional:
    return Exceptional(method, re.compile(path), role)


READING = ("GET", "HEAD")
RUN = r"/api/v1/runs/[^/]+"

TABLE: tuple[Exceptional, ...] = (
    _at("GET", r"/healthz", None),
    _at("HEAD", r"/healthz", None),
    _at("GET", r"/login", None),
    _at("HEAD", r"/login", None),
    _at("POST", r"/login", None),
    _at("POST", r"/logout", None),
    _at("POST", r"/_dash-update-component", Role.VIEWER),
    _at("POST", rf"{RUN}/whatif", Role.VIEWER),
    _at("POST", r"/api/v1/rules/check", Role.VIEWER),
    _at("POST", r"/api/v1/alerts/[^/]+/(?:acknowledge|silence)", Role.OPERATOR),
    _at("DELETE", r"/api/v1/alerts/[^/]+/acknowledge", Role.OPERATOR),
    _at("POST", r"/api/v1/silences", Role.OPERATOR),
    _at("DELETE", r"/api/v1/silences/[^/]+", Role.OPERATOR),
)


def needed(method: str, path: str) -> Role | None:
    """Return the role that a request needs, of a path as the router sees it; None if it is open to all.

    >>> needed("GET", "/api/v1/runs"), needed("POST", "/login"), needed("BREW", "/login")
    (<Role.VIEWER: 1>, None, <Role.ADMIN: 3>)
    """
    for one in TABLE:
        # fullmatch: "$" would also match before a newline at the end
        if one.method == method and one.path.fullmatch(path):
            return one.role
    return Role.VIEWER if method in READING else Role.ADMIN
