"""How a Redis is reached: what its URL says, and a client that holds no call for long.

redis-py's own classes for Sentinel and Cluster try again by themselves, node after node, for longer than a call may take.
What is needed of either is small: the one node that holds a run's keys, all of which live in one slot.
So that node is looked for here, and spoken to as to a Redis that stands alone.
"""

import enum
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from rolloutwatch_contract.urls import without_password

SECONDS_TO_ANSWER = 1.0
SECONDS_TO_FIND = 3.0  # a node among several, after which no further one is asked
MAX_HOPS = 4  # from node to node of a cluster that is being rebuilt
SENTINEL_PORT = 26379
REDIS_PORT = 6379
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
EXPECTED = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path, "
    "redis+sentinel://host:26379,host:26379/service/0 or redis+cluster://host:6379,host:6379"
)
_MOVED = re.compile(
    r"\A(MOVED )?[0-9]+ (?P<host>\S*):(?P<port>[0-9]+)\Z"
)  # old versions of redis-py leave the word
_SENTINEL_OPTIONS = {"sentinel_username", "sentinel_password"}


class NoPrimary(redis.ConnectionError):
    """The Sentinels that answer do not know who is the primary."""


class Kind(enum.Enum):
    """What stands behind a URL."""

    ONE = "one"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True)
class Address:
    """Where a Redis is.

    `entrances` are the URLs of what is asked first: the Redis itself, its Sentinels, or nodes of its cluster.
    """

    kind: Kind
    shown: str
    url: str = field(repr=False)
    entrances: tuple[str, ...] = field(repr=False)
    service: str = ""
    _template: str = field(default="", repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Tell whether TLS was asked for."""
        return self.entrances[0].startswith("rediss:")

    @property
    def username(self) -> str:
        """Return as whom to log in."""
        return unquote(urlsplit(self._template or self.entrances[0]).username or "") or "default"

    @property
    def nodes(self) -> list[tuple[str, int]]:
        """Return hosts and ports of the entrances; none for a socket in the file system."""
        parts = [urlsplit(entrance) for entrance in self.entrances]
        return [
            (one.hostname or "localhost", one.port or REDIS_PORT) for one in parts if one.scheme != "unix"
        ]

    def at(self, host: str, port: int) -> str:
        """Return the URL of one node, with the options of this one."""
        return _at(self._template, host, port)


def check_url(url: object) -> str:
    """Return a Redis URL; ValueError if it is none, or has options that a connection cannot have."""
    address_of(url)
    assert isinstance(url, str)
    return url


def address_of(url: object) -> Address:
    """Return what a Redis URL says; ValueError if it is none, or has options that a connection cannot have."""
    try:
        address = _read(url if isinstance(url, str) else "")
        for entrance in address.entrances:
            _try_options(entrance)
        if address.kind is Kind.SENTINEL:
            _try_options(address.at("host", REDIS_PORT))
        return address
    except (ValueError, TypeError, redis.RedisError) as error:
        why = f" ({without_password(str(error))})" if str(error) else ""
    shown = without_password(url) if isinstance(url, str) else url
    raise ValueError(f"redis_url is {shown!r}: expected {EXPECTED}{why}.")


def _read(url: str) -> Address:
    parts = urlsplit(url)
    scheme, plus, kind = parts.scheme.partition("+")
    if plus:
        return _read_several(url, scheme, Kind(kind))
    if scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path) or parts.port == 0:
        raise ValueError
    if scheme != "unix":
        _check_database(parts.path.removeprefix("/"))
    return Address(Kind.ONE, without_password(url), url, (url,))


def _read_several(url: str, scheme: str, kind: Kind) -> Address:
    if scheme not in ("redis", "rediss") or kind is Kind.ONE:
        raise ValueError
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    service, database = _service_and_database(parts.path.strip("/"), kind)
    options = dict(parse_qsl(parts.query))
    query = urlencode({name: value for name, value in options.items() if name not in _SENTINEL_OPTIONS})
    template = f"{scheme}://{login}{at}host:1/{database}?{query}"
    entrance = template
    if kind is Kind.SENTINEL:
        # Sentinels have passwords of their own, and no databases
        entrance = f"{scheme}://{_login_of_sentinels(options)}host:1?{query}"
    port = SENTINEL_PORT if kind is Kind.SENTINEL else REDIS_PORT
    entrances = tuple(_at(entrance, *_node(host, port)) for host in hosts.split(","))
    return Address(kind, without_password(url), url, entrances, service, template)


def _service_and_database(path: str, kind: Kind) -> tuple[str, str]:
    if kind is Kind.CLUSTER:
        if path not in ("", "0"):
            raise ValueError(f"a cluster has database 0 and no other, not {path!r}")
        return "", ""
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("the name of the service that the Sentinels watch is missing")
    _check_database(database)
    return unquote(service), database


def _check_database(text: str) -> None:
    # redis-py takes what is no number for database 0
    if not re.fullmatch(r"[0-9]*", unquote(text)):
        raise ValueError(f"the database {text!r} is no number")


def _login_of_sentinels(options: Mapping[str, str]) -> str:
    name, password = (quote(options.get(f"sentinel_{one}", ""), safe="") for one in ("username", "password"))
    return f"{name}:{password}@" if name or password else ""


def _node(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError(f"{text!r} is no host:port")
    return parts.hostname, parts.port or default_port


def _at(template: str, host: str, port: int) -> str:
    parts = urlsplit(template)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{f'[{host}]' if ':' in host else host}:{port}").geturl()


def _try_options(url: str) -> None:
    """Build a connection as `client_of` does, without connecting: an option that cannot be raises."""
    pool = client_of(url).connection_pool
    pool.connection_class(**pool.connection_kwargs)
    for name in FILES:
        path = pool.connection_kwargs.get(name)
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"{name} is {path!r}, which is no file that can be read here")


Greeting = Callable[[Any], None]


def client_of(url: str, greet: "Greeting | None" = None) -> "redis.Redis":
    """Return a client of one node, which gives up after a second and leaves trying again to its caller.

    The second version of the protocol has no greeting but the login, so fewer rights are needed;
    host names in certificates are compared, which old versions of redis-py did not do unasked.
    """
    options: dict[str, Any] = {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
    if greet is not None:
        options["redis_connect_func"] = greet
    return redis.Redis.from_url(
        url,
        socket_timeout=SECONDS_TO_ANSWER,
        socket_connect_timeout=SECONDS_TO_ANSWER,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **options,
    )


@dataclass(frozen=True)
class Memory:
    """What Redis does when it is full: `limit` in bytes, 0 for none."""

    policy: str
    limit: int

    @property
    def may_evict(self) -> bool:
        """Tell whether streams are thrown away where memory is short.

        The policies volatile-* take keys that expire anyway, and streams do not.
        """
        return self.policy.startswith("allkeys-")

    @property
    def evicts(self) -> bool:
        """Tell whether that can happen as things are: memory is never short where there is no limit."""
        return self.may_evict and self.limit > 0


class Door:
    """The way to the node of Redis that holds a key: found when it is needed, and anew after it was shut.

    `look` is told what Redis does when it is full, at each connection that is made; None where that is not told to us.
    """

    def __init__(
        self, address: Address, key: str, look: "Callable[[Memory | None], None]" = lambda memory: None
    ) -> None:
        self.address = address
        self._key = key
        self._look = look
        self._client: redis.Redis | None = None
        self._turn = 0

    def open(self) -> "redis.Redis":
        """Return a client of that node; RedisError or OSError if it cannot be found."""
        if self._client is None:
            self._client = self._find()
        return self._client

    def shut(self) -> None:
        """Let go of the node, which may be another one the next time."""
        if self._client is not None:
            self._client.connection_pool.disconnect()
            self._client = None

    def _find(self) -> "redis.Redis":
        if self.address.kind is Kind.ONE:
            return client_of(self.address.entrances[0], self._greet)
        find = self._primary if self.address.kind is Kind.SENTINEL else self._holder
        deadline = time.monotonic() + SECONDS_TO_FIND
        trouble: Exception = redis.ConnectionError("nobody was asked")
        for _ in self.address.entrances:
            try:
                return find(self.address.entrances[self._turn])
            except (redis.RedisError, OSError) as error:
                trouble = error
                # also the next time: the first ones may take all the time there is, and be dead
                self._turn = (self._turn + 1) % len(self.address.entrances)
            if time.monotonic() > deadline:
                break
        raise trouble

    def _primary(self, sentinel: str) -> "redis.Redis":
        """Return the node that a Sentinel says is the primary."""
        client: Any = client_of(sentinel)
        try:
            answer = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.address.service)
        finally:
            client.connection_pool.disconnect()
        if not answer:
            raise NoPrimary(
                f"the Sentinel at {_host_and_port(sentinel)} knows no service {self.address.service!r}"
            )
        host, port = answer
        return client_of(self.address.at(host.decode(), int(port)), self._greet)

    def _holder(self, node: str) -> "redis.Redis":
        """Return the node of a cluster that holds the key, asking from node to node."""
        for _ in range(MAX_HOPS):
            client = client_of(node, self._greet)
            try:
                client.get(self._key)
                return client
            except ResponseError as error:
                client.connection_pool.disconnect()
                moved = _MOVED.search(str(error))
                if moved is None:
                    raise
                # who does not know its own name leaves the host out, and means the one that was asked
                node = self.address.at(moved["host"] or urlsplit(node).hostname or "", int(moved["port"]))
            except (redis.RedisError, OSError):
                client.connection_pool.disconnect()
                raise
        raise redis.ConnectionError(f"the nodes send on in circles, lastly to {_host_and_port(node)}")

    def _greet(self, connection: Any) -> None:
        """Log in, and look at what would lose records later, on each new connection and before anything is sent."""
        connection.on_connect()
        # without the right to MULTI a batch would be taken record by record, and a hole could never be filled
        _ask(connection, "MULTI")
        _ask(connection, "EXEC")
        self._look(_memory(connection))


def _ask(connection: Any, *command: str) -> Any:
    connection.send_command(*command, check_health=False)
    return connection.read_response()


def _memory(connection: Any) -> "Memory | None":
    """Return what Redis does when it is full, by whichever of two ways is permitted."""
    try:
        told = dict(
            line.split(b":", 1) for line in _ask(connection, "INFO", "memory").splitlines() if b":" in line
        )
        return Memory(told[b"maxmemory_policy"].decode(), int(told[b"maxmemory"]))
    except (ResponseError, KeyError, ValueError):
        pass
    try:
        answer = _ask(connection, "CONFIG", "GET", "maxmemory*")
        told = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
        return Memory(told[b"maxmemory-policy"].decode(), int(told[b"maxmemory"]))
    except (ResponseError, KeyError, ValueError):
        return None


def _host_and_port(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
