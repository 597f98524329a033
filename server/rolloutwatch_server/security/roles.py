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
    """A method and paths that need another role than the rule says; None: nobody has to say who they are.

    `what` says in words what is done there; one of the same role as by the rule is there for its words.
    """

    method: str
    path: re.Pattern[str]
    role: Role | None
    what: str = ""


def _at(method: str, path: str, role: Role | None, what: str = "") -> Exceptional:
    return Exceptional(method, re.compile(path), role, what)


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
    _at("PATCH", RUN, Role.OPERATOR, "to tag or archive a run"),
    _at("DELETE", RUN, Role.ADMIN, "to delete a run"),
    _at("POST", r"/api/v1/rules/check", Role.VIEWER),
    _at("POST", r"/api/v1/alerts/[^/]+/acknowledge", Role.OPERATOR, "to acknowledge"),
    _at("POST", r"/api/v1/alerts/[^/]+/silence", Role.OPERATOR, "to silence"),
    _at("DELETE", r"/api/v1/alerts/[^/]+/acknowledge", Role.OPERATOR, "to take an acknowledgement back"),
    _at("POST", r"/api/v1/silences", Role.OPERATOR, "to silence"),
    _at("DELETE", r"/api/v1/silences/[^/]+", Role.OPERATOR, "to end a silence"),
    _at("PUT", r"/api/v1/rules", Role.ADMIN, "to save rules"),
    _at("DELETE", r"/api/v1/rules", Role.ADMIN, "to go back to the default rules"),
    _at("POST", r"/api/v1/notifications/[^/]+/test", Role.ADMIN, "to send a test"),
    _at("POST", r"/api/v1/notifications/dead/(?:[^/]+/)?retry", Role.ADMIN, "to send a message again"),
)


def needed(method: str, path: str) -> Role | None:
    """Return the role that a request needs, of a path as the router sees it; None if it is open to all.

    >>> needed("GET", "/api/v1/runs"), needed("POST", "/login"), needed("BREW", "/login")
    (<Role.VIEWER: 1>, None, <Role.ADMIN: 3>)
    """
    found = _found(method, path)
    if found is not None:
        return found.role
    return Role.VIEWER if method in READING else Role.ADMIN


def in_words(method: str, path: str) -> str:
    """Return what a request does; one that nobody has found words for is told as it is.

    >>> in_words("POST", "/api/v1/silences"), in_words("POST", "/api/v1/imports")
    ('to silence', 'POST /api/v1/imports')
    """
    found = _found(method, path)
    return found.what if found is not None and found.what else f"{method[:30]} {path[:300]}"


def _found(method: str, path: str) -> Exceptional | None:
    # fullmatch: "$" would also match before a newline at the end
    return next((one for one in TABLE if one.method == method and one.path.fullmatch(path)), None)
