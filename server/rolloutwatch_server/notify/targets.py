"""Who is told: the private file of `--notify-file`, read into targets whose secrets nothing shows."""

import difflib
import fnmatch
import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.wire import Place
from rolloutwatch_server.security.secret import AccessError, Secret, read_private
from rolloutwatch_server.store import Event

LEAST_LETTERS_OF_A_SECRET = 16
MOST_TARGETS = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.")
# RFC 3986 without what would end a line or a header, and without a backslash, which others read as a slash
_URL = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
# services of Apprise whose URL has a host where the URL of others has a token
_WITH_HOST = frozenset(
    "json jsons xml xmls form forms mailto mailtos gotify gotifys mmost mmosts rocket rockets matrix matrixs "
    "nctalk nctalks ncloud nclouds apprise apprises hassio hassios mqtt mqtts rsyslog syslog".split()
)
_KEYS = (
    *("name", "url", "url_env", "webhook", "webhook_env", "secret", "secret_env"),
    *("severity", "runs", "allow_internal", "resolved", "picture"),
)


class TargetsError(ValueError):
    """The file cannot be used; the message names it, the target, what was expected and what came, but no secret."""


@dataclass(frozen=True)
class Target:
    """Somebody who is told of alerts of at least `severity`, of the runs that `runs` matches.

    `address` is the URL of Apprise, or of the webhook if there is a `place`; it may be a secret as a whole.
    """

    name: str
    address: Secret
    kind: str
    host: str = ""
    place: Place | None = field(default=None, repr=False)
    secret: Secret | None = None
    severity: Severity = Severity.WARNING
    runs: tuple[str, ...] = ("*",)
    allow_internal: bool = False
    resolved: bool = True
    picture: bool = True

    def wants(self, event: Event) -> bool:
        """Tell whether it is to be told of an event."""
        if event.severity < self.severity or (event.change is Change.RESOLVED and not self.resolved):
            return False
        return any(fnmatch.fnmatchcase(event.run, pattern) for pattern in self.runs)

    def hidden(self, text: str) -> str:
        """Return a text of others without what may be secret of this target, short, and in one line."""
        known = re.split(r"[/:@?&=#,]+", self.address.reveal())
        known += [self.address.reveal(), *([self.secret.reveal()] if self.secret else [])]
        for part in sorted({one for one in known if len(one) >= 4}, key=len, reverse=True):
            if part not in (self.kind, self.host):
                text = text.replace(part, "***")
        return " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())[:300]


def read_targets(path: Path, environment: Mapping[str, str]) -> tuple[Target, ...]:
    """Read the targets of a file, which has to be private; TargetsError if it cannot be used, as a whole."""
    try:
        text = read_private(path)
    except AccessError as error:
        raise TargetsError(str(error)) from None
    return parse_targets(text, str(path), environment)


def parse_targets(text: str, file: str, environment: Mapping[str, str]) -> tuple[Target, ...]:
    """Return the targets that a text in TOML has; TargetsError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # where it is and not what it is: the line may be the one with the secret
        place = re.search(r"\(at .*\)", str(error))
        raise TargetsError(f"{file} is no TOML {place[0] if place else ''}: docs/notifications.md.") from None
    unknown = [key for key in document if key != "target"]
    if unknown:
        raise TargetsError(f"{file}: {unknown[0]!r} is unknown: expected tables [[target]].")
    tables = document.get("target", [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise TargetsError(f"{file}: 'target' is no list of tables: write [[target]], in two brackets.")
    if len(tables) > MOST_TARGETS:
        raise TargetsError(f"{file} has {len(tables)} targets: expected at most {MOST_TARGETS}.")
    targets = tuple(_Table(one, file, number, environment).target() for number, one in enumerate(tables, 1))
    names = [one.name for one in targets]
    for name in names:
        if names.count(name) > 1:
            raise TargetsError(f"{file}: two targets are called {name!r}: give each a name of its own.")
    return targets


class _Table:
    """One [[target]] that is being read."""

    def __init__(
        self, table: Mapping[str, Any], file: str, number: int, environment: Mapping[str, str]
    ) -> None:
        self._table, self._environment = table, environment
        self._where = f"{file}, target {number}"

    def target(self) -> Target:
        """Return it, or refuse it."""
        self._refuse_unknown_keys()
        name = self._table.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._refuse(
                "name", f"is {name!r:.100}", "up to 64 letters, digits and . _ -, a letter or digit first"
            )
        self._where += f" ({name})"
        url, webhook = self._text("url"), self._text("webhook")
        if (url is None) == (webhook is None):
            raise TargetsError(
                f"{self._where}: expected one of url, url_env, webhook and webhook_env, and not two of them."
            )
        about: dict[str, Any] = {
            "name": name,
            "severity": self._severity(),
            "runs": self._runs(),
            "allow_internal": self._flag("allow_internal", False),
            "resolved": self._flag("resolved", True),
            "picture": self._flag("picture", True),
        }
        return self._webhook(webhook, about) if webhook is not None else self._apprise(str(url), about)

    def _webhook(self, url: str, about: Mapping[str, Any]) -> Target:
        place = self._place(url)
        secret = self._text("secret")
        if secret is None or len(secret) < LEAST_LETTERS_OF_A_SECRET:
            came = "is missing" if secret is None else f"has {len(secret)} letters"
            self._refuse(
                "secret",
                came,
                f"at least {LEAST_LETTERS_OF_A_SECRET}, by which the receiver knows that a message is ours. "
                'Make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
            )
        return Target(
            address=Secret(url),
            kind="webhook",
            host=place.host,
            place=place,
            secret=Secret(str(secret)),
            **about,
        )

    def _apprise(self, url: str, about: Mapping[str, Any]) -> Target:
        if "secret" in self._table or "secret_env" in self._table:
            self._refuse(
                "secret", "stands beside an Apprise URL", "it beside a webhook alone, which it signs"
            )
        found = _SCHEME.match(url)
        if found is None or any(ord(one) < 32 for one in url):
            self._refuse(
                "url", "is none of Apprise", "one such as slack://... or mailtos://..., docs/notifications.md"
            )
        kind = found[1].lower()
        host = ""
        if kind in _WITH_HOST:
            try:
                host = urlsplit(url).hostname or ""
            except ValueError:
                self._refuse("url", "has no host that can be read", "one such as json://host/path")
        return Target(address=Secret(url), kind=kind, host=host, **about)

    def _place(self, url: str) -> Place:
        expected = "http://host/path or https://host/path, with a port if need be"
        if not _URL.fullmatch(url):
            self._refuse("webhook", "has letters that no URL has", expected)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port, parts = "", None, urlsplit("")
        if parts.scheme not in ("http", "https") or not host or port == 0:
            self._refuse("webhook", "is no URL of the web", expected)
        if "@" in parts.netloc:
            self._refuse("webhook", "has a name or a password before the host", expected)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", host) and not _is_address(host):
            self._refuse("webhook", "has a host that is neither a name nor an address", expected)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Place(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme], path)

    def _text(self, key: str) -> str | None:
        """Return the text of a key, or of the environment variable that its sister, with _env, names."""
        text, variable = self._table.get(key), self._table.get(f"{key}_env")
        if text is not None and variable is not None:
            self._refuse(key, f"stands beside {key}_env", "one of the two")
        if variable is not None:
            if not isinstance(variable, str) or not variable:
                self._refuse(f"{key}_env", "is no text", "the name of an environment variable")
            text = self._environment.get(str(variable))
            if not text:
                self._refuse(
                    f"{key}_env", f"names {variable}, which is not set", "a variable that the server is given"
                )
        if text is not None and not isinstance(text, str):
            self._refuse(key, "is no text", "a text in quotes")
        return text

    def _severity(self) -> Severity:
        words = [Severity.WARNING.word, Severity.CRITICAL.word]
        word = self._table.get("severity", words[0])
        if word not in words:
            self._refuse("severity", f"is {word!r:.100}", " or ".join(words))
        return Severity[word.upper()]

    def _runs(self) -> tuple[str, ...]:
        runs = self._table.get("runs", ["*"])
        runs = [runs] if isinstance(runs, str) else runs
        if not isinstance(runs, list) or not runs or not all(isinstance(one, str) and one for one in runs):
            self._refuse("runs", f"is {runs!r:.100}", 'patterns of run ids, ["math~*"] say')
        return tuple(runs)

    def _flag(self, key: str, default: bool) -> bool:
        value = self._table.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "is neither", "true or false, without quotes")
        return bool(value)

    def _refuse_unknown_keys(self) -> None:
        for key in self._table:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, 1)
                meant = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(_KEYS)}."
                raise TargetsError(f"{self._where}: unknown key {key[:100]!r}. {meant}")

    def _refuse(self, key: str, came: str, expected: str) -> NoReturn:
        raise TargetsError(f"{self._where}: {key} {came}: expected {expected}.")


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
