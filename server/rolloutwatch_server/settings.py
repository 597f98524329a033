"""Every setting of the server, once: its flag, its environment variable, its default, its meaning and its bound.

`--help`, validation and the docs are made from SETTINGS.
An option on the command line goes before the environment variable, which goes before the default.
"""

import argparse
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rolloutwatch_contract.urls import without_password
from rolloutwatch_server import amounts

DEFAULT_REDIS_PORT = 6379
TOKENS_VARIABLE = "ROLLOUTWATCH_TOKENS"  # no option: who lists processes would see it

LEAST_DIGITS_OF_PEERS = {4: 8, 6: 32}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingError(ValueError):
    """A setting has a value it cannot have; the message names it, what was expected and what came."""


@dataclass(frozen=True)
class Setting:
    """One setting: `parse` turns text into a value or raises ValueError saying what was expected."""

    name: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    may_be_empty: bool = (
        True  # an empty variable is one that is not set: so compose passes on what nobody has set
    )

    @property
    def flag(self) -> str:
        """Return the option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Return the environment variable."""
        return "ROLLOUTWATCH_" + self.name.upper()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError("a port from 0 to 65535, 0 for any free one")
    return int(text)


def _host(text: str) -> str:
    if not text or any(c.isspace() for c in text):
        raise ValueError("a host name or an address such as 127.0.0.1")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(_is_name_or_address(name) for name in names):
        raise ValueError(
            "a host name or an address each, such as watch.example, without scheme, port, path or *"
        )
    return tuple(name.strip("[]") for name in names)


def _is_name_or_address(text: str) -> bool:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,253}", text):
        return True
    try:
        return bool(ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        return False


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    sound = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    if not sound or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("http://name or https://name, with a port if need be and without a path")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _networks(text: str) -> tuple[Network, ...]:
    try:
        found = tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError("addresses or networks such as 10.0.0.7 or 10.0.0.0/24") from None
    if any(one.prefixlen < LEAST_DIGITS_OF_PEERS[one.version] for one in found):
        raise ValueError(
            "the addresses of your proxies alone, no network larger than /8, of IPv6 /32: "
            "whoever is in it can say that they are admin"
        )
    return found


def _header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise ValueError("the name of a header")
    return text.lower()


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise ValueError("a whole number from 1 to 1000000")
    return int(text)


def _redis_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("redis", "rediss", "unix") and bool(parts.hostname or parts.path)
        sound = sound and parts.port != 0
    except ValueError:
        sound = False
    # redis-py takes what is no number for database 0
    if sound and parts.scheme != "unix":
        sound = re.fullmatch(r"/?[0-9]*", unquote(parts.path)) is not None
    if not sound:
        raise ValueError("redis://host:port/0, rediss://host:port/0 or unix:///path")
    return text


def _yes(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    if text.lower() not in answers:
        raise ValueError("1, true or yes, or else 0, false or no")
    return answers[text.lower()]


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")
        return text.lower()

    return parse


SETTINGS: tuple[Setting, ...] = (
    Setting("host", "127.0.0.1", _host, "address to listen on"),
    Setting("port", 8050, _port, "port to listen on"),
    Setting(
        "redis_url",
        None,
        _redis_url,
        "Redis that the trainers push to; without it a valkey-server or redis-server on PATH is started, "
        "else the one that came with the installation",
        may_be_empty=False,  # whoever names a Redis and has lost its name wants no other
    ),
    Setting(
        "redis_port",
        DEFAULT_REDIS_PORT,
        _port,
        "port for a Redis that is started here; a free one is taken if somebody else has it",
    ),
    Setting(
        "data_dir", Path(".rolloutwatch"), Path, "folder of the archive, and of a Redis that is started here"
    ),
    Setting(
        "quarantine",
        False,
        _yes,
        "put an archive that is damaged aside, and begin a new one, instead of refusing to start",
    ),
    Setting(
        "keep_days",
        None,
        amounts.days,
        "delete runs whose last record is older than so many days; without it they stay for ever",
    ),
    Setting(
        "keep_size",
        None,
        amounts.size,
        "when the archive is larger, as 20GB say, delete the oldest runs that have ended; without it it may fill the disk",
    ),
    Setting(
        "keep_sequences",
        None,
        amounts.kept,
        "keep tables of sequences, histograms, sample ids and tokens for so many steps of a run, 10000 say, or for so "
        "many days, 30d say, and figures longer; without it they stay as long as their run",
    ),
    Setting(
        "rules_file",
        None,
        Path,
        "file of alert rules, in TOML, which are in force then, and again whenever it changes; "
        "without it those that were saved by way of the API, else the default ones",
    ),
    Setting(
        "notify_file",
        None,
        Path,
        "private file, in TOML, of those who are told of alerts: docs/notifications.md",
    ),
    Setting(
        "allowed_hosts",
        (),
        _hosts,
        "names, divided by commas, by which browsers may call the server besides localhost; behind a proxy, say",
    ),
    Setting(
        "public_url",
        None,
        _public_url,
        "where browsers find the server, https://watch.example say, if that is not where it listens",
    ),
    Setting(
        "require_login",
        False,
        _yes,
        "let nobody in without a login, even where nobody has a token or a password: "
        "a link that logs in is printed at the start, and by `rolloutwatch access link`",
    ),
    Setting(
        "tokens_file",
        None,
        Path,
        "private file of lines NAME:ROLE:TOKEN; such lines may also be in the environment, as ROLLOUTWATCH_TOKENS",
    ),
    Setting(
        "passwords_file",
        None,
        Path,
        "private file of lines NAME:ROLE:HASH, made by `rolloutwatch access password`",
    ),
    Setting(
        "proxy_peers",
        (),
        _networks,
        "addresses or networks, divided by commas, of proxies that are trusted to say from where somebody asks, "
        "and with --proxy-name-header who",
    ),
    Setting(
        "proxy_name_header",
        None,
        _header,
        "header by which such a proxy tells the name, X-Forwarded-User say; without it names and roles are not read",
    ),
    Setting(
        "proxy_role_header",
        "x-forwarded-role",
        _header,
        "header by which such a proxy tells the role: viewer, operator or admin; viewer if it tells none",
    ),
    Setting("session_hours", 168, _count, "hours until a browser has to log in anew"),
    Setting("streams", 1000, _count, "event streams that may be open at once"),
    Setting("streams_per_client", 100, _count, "event streams that one client may have open at once"),
    Setting(
        "metrics_runs",
        False,
        _yes,
        "tell Prometheus, at /metrics, the newest figures of live runs too, with labels project, run and metric",
    ),
    Setting(
        "log_format",
        "text",
        _one_of("text", "json"),
        "how lines of the log look: text for people, json for programs",
    ),
    Setting(
        "log_level",
        "info",
        _one_of("debug", "info", "warning", "error"),
        "what is logged: this and whatever is worse",
    ),
    Setting("access_log", False, _yes, "log a line for every request that has been answered"),
)


@dataclass(frozen=True)
class Settings:
    """The values in force."""

    host: str
    port: int
    redis_url: str | None = field(repr=False)  # may hold a password
    redis_port: int
    data_dir: Path
    quarantine: bool
    keep_days: float | None
    keep_size: int | None
    keep_sequences: amounts.Kept | None
    rules_file: Path | None
    notify_file: Path | None
    allowed_hosts: tuple[str, ...]
    public_url: str | None
    require_login: bool
    tokens_file: Path | None
    passwords_file: Path | None
    proxy_peers: tuple[Network, ...]
    proxy_name_header: str | None
    proxy_role_header: str
    session_hours: int
    streams: int
    streams_per_client: int
    metrics_runs: bool
    log_format: str
    log_level: str
    access_log: bool
    has_tokens: bool = False  # in the environment

    @property
    def asks_for_login(self) -> bool:
        """Whether anybody has to say who they are."""
        by_file = self.tokens_file or self.passwords_file
        return bool(self.require_login or self.has_tokens or by_file or self.proxy_peers)


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read settings from a command line and an environment; SettingError if one is wrong."""
    given = vars(_parser().parse_args(arguments))
    values = {setting.name: _value(setting, given[setting.name], environment) for setting in SETTINGS}
    settings = Settings(**values, has_tokens=bool(environment.get(TOKENS_VARIABLE, "").strip()))
    if not settings.asks_for_login and not _is_loopback(settings.host):
        raise SettingError(
            f"--host is {settings.host!r}, which others can reach, and nobody would have to log in. "
            "Add --require-login (a link to log in is printed), --tokens-file, --passwords-file "
            "or --proxy-peers with --proxy-name-header, "
            "or use 127.0.0.1 and an SSH tunnel: docs/security.md."
        )
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch serve",
        description="Read what trainers push to Redis, archive it, and serve API and dashboard.",
        allow_abbrev=False,
    )
    for setting in SETTINGS:
        default = "" if setting.default in (None, False, ()) else f" (default: {setting.default})"
        text = f"{setting.help}{default} [{setting.variable}]"
        if setting.parse is _yes:
            parser.add_argument(setting.flag, dest=setting.name, action="store_const", const="yes", help=text)
        else:
            parser.add_argument(setting.flag, dest=setting.name, metavar=setting.name.upper(), help=text)
    return parser


def _value(setting: Setting, given: str | None, environment: Mapping[str, str]) -> Any:
    where, text = setting.flag, given
    if text is None:
        where, text = setting.variable, environment.get(setting.variable)
        if text == "" and setting.may_be_empty:
            return setting.default
    if text is None:
        return setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        raise SettingError(f"{where} is {without_password(text)!r}: expected {error}.") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
