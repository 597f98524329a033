"""What `rolloutwatch doctor` looks at: the way from this host to the archive, step by step, each with its cure.

A step that must hold for the next ones is the last one where it does not.
Whatever is done to Redis is done by the commands that a trainer uses, and to a probe that the server takes away.
"""

import contextlib
import enum
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import redis

from rolloutwatch.connection import (
    SECONDS_TO_ANSWER,
    SECONDS_TO_FIND,
    Address,
    Door,
    Kind,
    Memory,
    address_of,
)
from rolloutwatch.spool import (
    DIR_VARIABLE,
    LIMIT_VARIABLE,
    abandoned,
    bytes_in,
    head_of,
    limit_of,
    transport_of,
)
from rolloutwatch.troubles import Trouble, acl_line, trouble_of
from rolloutwatch_contract import SCHEMA_VERSION, Heartbeat, __version__, ack_key, encode, stream_key
from rolloutwatch_contract.keys import PROBE_RUN, RECORD_FIELD, SERVER_KEY, entry_id
from rolloutwatch_contract.presence import Presence, decode_presence

SECONDS_TO_RESOLVE = 3.0
SECONDS_TO_ARCHIVE = 4.0
SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_OF_SKEW = 2.0
FULL_FRACTION = 0.9


class Verdict(enum.Enum):
    """What a step was found to be."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "-"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do about it if it is not well."""

    what: str
    verdict: Verdict
    found: str
    cure: str = ""


def examine(url: str, source: str, spool_root: "Path | None") -> Iterator[Finding]:
    """Look at everything between this host and the archive; each step is told when it is done."""
    yield from _examine_redis(url, source)
    yield _spool(spool_root, url)


def _examine_redis(url: str, source: str) -> Iterator[Finding]:
    try:
        address = address_of(url)
    except ValueError as error:
        yield Finding("url", Verdict.FAILED, f"from {source}: {error}", "Correct it, see docs/redis.md")
        return
    yield Finding("url", Verdict.OK, f"{address.shown}, from {source}")
    patient = _Patient(address)
    with contextlib.closing(patient):
        for number, (step, _) in enumerate(_STEPS, 1):
            try:
                yield from step(patient)
            except (redis.RedisError, OSError, ValueError) as error:
                yield _finding(trouble_of(error, address))
                yield from _not_checked(number)
                return
            except _Incurable as end:
                yield end.finding
                yield from _not_checked(number)
                return


class _Incurable(Exception):
    """A step has failed without which there is no next one."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding


def _finding(trouble: Trouble) -> Finding:
    return Finding(trouble.stage.value, Verdict.FAILED, trouble.cause, trouble.cure)


def _not_checked(done: int) -> Iterator[Finding]:
    if rest := ", ".join(name for _, name in _STEPS[done:]):
        yield Finding("", Verdict.SKIPPED, f"not checked, for the reason above: {rest}")


@dataclass
class _Patient:
    """A Redis under examination, and what former steps have found for later ones."""

    address: Address
    session: str = field(default_factory=lambda: f"doctor-{secrets.token_hex(4)}")
    presence: "Presence | None" = None

    def __post_init__(self) -> None:
        self.stream, self.ack = stream_key(PROBE_RUN, self.session), ack_key(PROBE_RUN, self.session)
        self.door = Door(self.address, self.ack)

    @property
    def client(self) -> "redis.Redis":
        return self.door.open()

    def close(self) -> None:
        self.door.shut()

    def ask(self, question: "Callable[[redis.Redis], Any]") -> Any:
        """Return an answer of Redis; None if it is not permitted."""
        try:
            return question(self.client)
        except redis.ResponseError:
            return None


# -- to Redis ----------------------------------------------------------------------------------------------------


def _name(patient: _Patient) -> list[Finding]:
    """Resolve the names of all hosts, in a thread: to resolve has no timeout of its own."""
    hosts = sorted({host for host, _ in patient.address.nodes})
    if not hosts:
        return [Finding("name", Verdict.SKIPPED, "a socket on this host")]
    known: dict[str, object] = {}
    begin = time.monotonic()
    thread = threading.Thread(target=_resolve, args=(hosts, known), daemon=True)
    thread.start()
    thread.join(SECONDS_TO_RESOLVE)
    found = {host: dict(known).get(host, TimeoutError()) for host in hosts}
    said = "; ".join(
        host if found[host] == [host] else f"{host} is {_addresses(found[host])}" for host in hosts
    )
    if all(isinstance(one, Exception) for one in found.values()):
        cure = "Compare it with how the host is called, and see whether this host can resolve names"
        raise _Incurable(Finding("name", Verdict.FAILED, said, cure))
    well = not any(isinstance(one, Exception) for one in found.values())
    return [
        Finding("name", Verdict.OK if well else Verdict.WARNING, f"{said} ({_ms(time.monotonic() - begin)})")
    ]


def _resolve(hosts: list[str], known: dict[str, object]) -> None:
    for host in hosts:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            known[host] = sorted({str(one[4][0]) for one in found})
        except (OSError, UnicodeError) as error:
            known[host] = error


def _addresses(found: object) -> str:
    if isinstance(found, TimeoutError):
        return f"not known within {SECONDS_TO_RESOLVE:.0f} s"
    if isinstance(found, OSError):
        return f"not known here ({found.strerror or found})"
    return ", ".join(found) if isinstance(found, list) else f"not known here ({found})"


def _connection(patient: _Patient) -> list[Finding]:
    """Connect to what the URL names, without a word."""
    deadline = time.monotonic() + SECONDS_TO_FIND
    reached: list[str] = []
    missed: list[str] = []
    trouble: OSError = TimeoutError()
    for name, connect in _ways_in(patient.address):
        if time.monotonic() > deadline:
            break
        begin = time.monotonic()
        try:
            connect().close()
            reached.append(f"{name} in {_ms(time.monotonic() - begin)}")
        except OSError as error:
            trouble = error
            missed.append(f"not {name}: {trouble_of(error, patient.address).cause}")
    if not reached:
        raise trouble
    cure = "The others will do, as long as one of them is left" if missed else ""
    verdict = Verdict.WARNING if missed else Verdict.OK
    return [Finding("connection", verdict, "; ".join(["connects to " + ", ".join(reached), *missed]), cure)]


def _ways_in(address: Address) -> "Iterator[tuple[str, Callable[[], socket.socket]]]":
    for host, port in address.nodes:
        yield (
            f"{host}:{port}",
            lambda host=host, port=port: socket.create_connection((host, port), SECONDS_TO_ANSWER),  # type: ignore[misc]
        )
    if not address.nodes:
        path = unquote(urlsplit(address.entrances[0]).path)
        yield path, lambda: _unix(path)


def _unix(path: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(SECONDS_TO_ANSWER)
    try:
        one.connect(path)
    except OSError:
        one.close()
        raise
    return one


def _entrance(patient: _Patient) -> list[Finding]:
    """Go in: encryption and login, by way of Sentinels or from node to node where the URL says so."""
    patient.client.get(patient.ack)
    login = f"as user {patient.address.username!r}"
    if patient.address.kind is not Kind.ONE:
        options = patient.client.connection_pool.connection_kwargs
        login += f", at {options.get('host')}:{options.get('port')}"
    return [_tls(patient), Finding("login", Verdict.OK, login)]


def _tls(patient: _Patient) -> Finding:
    if not patient.address.is_encrypted:
        return Finding("tls", Verdict.SKIPPED, "not used")
    loosened = [
        part
        for part in urlsplit(patient.address.shown).query.split("&")
        if part.lower() in ("ssl_cert_reqs=none", "ssl_check_hostname=false", "ssl_check_hostname=no")
    ]
    if loosened:
        return Finding(
            "tls",
            Verdict.WARNING,
            f"encrypted, but anybody may pretend to be Redis ({', '.join(loosened)})",
            "Name the authority with ssl_ca_certs=/path/to/ca.pem instead",
        )
    return Finding("tls", Verdict.OK, "encrypted, certificate and host name verified")


# -- what it permits ---------------------------------------------------------------------------------------------


def _rights(patient: _Patient) -> list[Finding]:
    """Do to a probe what is done to a run."""
    readings: tuple[tuple[str, Callable[[redis.Redis], Any]], ...] = (
        ("XINFO STREAM", lambda client: client.xinfo_stream(patient.stream)),
        ("XRANGE", lambda client: client.xrange(patient.stream, count=1)),
        ("GET", lambda client: client.get(patient.ack)),
    )
    denied = [name for name, do in readings if _is_denied(patient, do)]
    if not denied and _is_denied(patient, _write(patient)):
        denied = ["XADD"]
    if denied:
        found = f"{', '.join(denied)} on rolloutwatch:* is not permitted to {patient.address.username!r}"
        raise _Incurable(
            Finding("rights", Verdict.FAILED, found, f"Where Redis runs: {acl_line(patient.address)}")
        )
    return [Finding("rights", Verdict.OK, "MULTI, EXEC, XINFO STREAM, XADD, XRANGE, GET; a probe is written")]


def _write(patient: _Patient) -> "Callable[[redis.Redis], Any]":
    def write(client: "redis.Redis") -> None:
        with client.pipeline(transaction=True) as pipe:
            pipe.xinfo_stream(patient.stream)
            frame = encode(Heartbeat(time=time.time(), dropped={}))
            pipe.xadd(patient.stream, {RECORD_FIELD: frame}, id=entry_id(1))
            pipe.get(patient.ack)
            pipe.execute(raise_on_error=False)

    return write


def _is_denied(patient: _Patient, do: "Callable[[redis.Redis], Any]") -> bool:
    try:
        do(patient.client)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        if "no such key" not in str(error):
            raise
    return False


# -- how it is ---------------------------------------------------------------------------------------------------


def _state(patient: _Patient) -> list[Finding]:
    """Look at what Redis does with what it is given."""
    info = patient.ask(lambda client: client.info())
    if info is None:
        why = "not told: the right +info is missing"
        return [Finding(what, Verdict.SKIPPED, why) for what in ("memory", "disk")]
    return [_memory(info), _disk(info)]


def _memory(info: dict[str, Any]) -> Finding:
    memory = Memory(str(info.get("maxmemory_policy", "unknown")), int(info.get("maxmemory", 0)))
    used = int(info.get("used_memory", 0))
    limit = f"of {_mb(memory.limit)}" if memory.limit else "without a limit"
    found = f"{_mb(used)} used {limit}, policy {memory.policy}"
    if memory.may_evict:
        when = "when memory is short" if memory.limit else "as soon as a limit is set (maxmemory)"
        return Finding(
            "memory",
            Verdict.WARNING,
            f"{found}: throws away whole streams {when}",
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        )
    if memory.limit and used > FULL_FRACTION * memory.limit:
        cure = "Raise maxmemory, or see why the server does not make room by archiving"
        return Finding("memory", Verdict.WARNING, found, cure)
    return Finding("memory", Verdict.OK, found)


def _disk(info: dict[str, Any]) -> Finding:
    if not info.get("aof_enabled"):
        return Finding(
            "disk",
            Verdict.WARNING,
            "no append-only file: what is not archived yet is gone when Redis ends, and has to come from here again",
            "CONFIG SET appendonly yes, and in redis.conf",
        )
    if info.get("aof_last_write_status") == "err":
        return Finding(
            "disk", Verdict.FAILED, "Redis cannot write to its append-only file", "Make room on its disk"
        )
    return Finding("disk", Verdict.OK, "append-only file")


def _server(patient: _Patient) -> list[Finding]:
    """See who reads, and whose clock goes how."""
    text = patient.ask(lambda client: client.get(SERVER_KEY))
    before = time.time()
    told = patient.ask(lambda client: client.time())
    here = (before + time.time()) / 2
    with contextlib.suppress(ValueError):
        patient.presence = decode_presence(text) if text is not None else None
    return [_clock(told, here, patient.presence), _reader(patient)]


def _clock(told: "tuple[int, int] | None", here: float, presence: "Presence | None") -> Finding:
    if told is None:
        return Finding("clock", Verdict.SKIPPED, "not told: the right +time is missing")
    ahead = {"Redis": told[0] + told[1] / 1e6 - here}
    if presence is not None:
        ahead["the server"] = ahead["Redis"] + presence.time - presence.redis_time
    found = ", ".join(f"{who} {_skew(seconds)}" for who, seconds in ahead.items())
    if max(abs(seconds) for seconds in ahead.values()) > SECONDS_OF_SKEW:
        return Finding(
            "clock",
            Verdict.WARNING,
            f"{found}: a run that is resumed on another host may be taken for its own past, and a live one for stalled",
            "Let NTP set the clocks of all hosts",
        )
    return Finding("clock", Verdict.OK, found)


def _reader(patient: _Patient) -> Finding:
    presence = patient.presence
    if presence is None:
        return Finding(
            "server",
            Verdict.FAILED,
            "nobody reads from this Redis; records wait there",
            _how_to_read(patient),
        )
    found = f"version {presence.version} on {presence.host}"
    if presence.trouble:
        return Finding(
            "server", Verdict.FAILED, f"{found} cannot archive ({presence.trouble})", presence.reason
        )
    if presence.schema != SCHEMA_VERSION:
        cure = f"Install the same version on both sides; here it is {__version__}"
        return Finding("server", Verdict.FAILED, f"{found} reads records of another kind", cure)
    if presence.version != __version__:
        return Finding(
            "server", Verdict.WARNING, f"{found}, here it is {__version__}", "Install the same version"
        )
    return Finding("server", Verdict.OK, found)


def _how_to_read(patient: _Patient) -> str:
    if patient.address.kind is Kind.CLUSTER:
        return "A server cannot read from a cluster yet: use a Redis that stands alone, or Sentinels"
    url = patient.address.shown
    if patient.address.kind is Kind.SENTINEL:
        options = patient.client.connection_pool.connection_kwargs
        url = f"redis://{options['host']}:{options['port']}/{options.get('db', 0)}"
    return f"Start one: rolloutwatch serve --redis-url {url}"


def _round_trip(patient: _Patient) -> list[Finding]:
    """Wait for the server to say that it has read the probe."""
    if patient.presence is None:
        return [
            Finding(
                "round trip",
                Verdict.SKIPPED,
                "not waited for: there is no server; the next one takes it away",
            )
        ]
    begin = time.monotonic()
    while True:
        seconds = time.monotonic() - begin
        if patient.ask(lambda client: client.get(patient.ack)) == b"1":
            return [Finding("round trip", Verdict.OK, f"the server has read the probe after {seconds:.1f} s")]
        if seconds > SECONDS_TO_ARCHIVE:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    found = f"no server has read the probe within {SECONDS_TO_ARCHIVE:.0f} s"
    return [Finding("round trip", Verdict.FAILED, found, "See the log of the server, and its /readyz")]


_STEPS: "tuple[tuple[Callable[[_Patient], list[Finding]], str], ...]" = (
    (_name, "name"),
    (_connection, "connection"),
    (_entrance, "login"),
    (_rights, "rights"),
    (_state, "memory, disk"),
    (_server, "clock, server"),
    (_round_trip, "round trip"),
)


# -- on this host ------------------------------------------------------------------------------------------------


def _spool(root: "Path | None", url: str) -> Finding:
    """See whether records can wait on disk."""
    if root is None:
        return Finding(
            "spool",
            Verdict.WARNING,
            "off: records wait in memory, and are gone with the trainer's process",
            f"Name a folder with spool_dir= or {DIR_VARIABLE}",
        )
    try:
        limit = limit_of()
    except ValueError as error:
        return Finding("spool", Verdict.FAILED, str(error), f"Correct {LIMIT_VARIABLE}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(root).free
    except OSError as error:
        cure = f"Name another folder with spool_dir= or {DIR_VARIABLE}"
        return Finding("spool", Verdict.FAILED, f"{root} cannot be used: {error}", cure)
    left = list(abandoned(root))
    found = f"{root}, {_mb(free)} free, at most {_mb(limit)}"
    if left:
        waiting = _mb(sum(bytes_in(folder) for folder in left))
        found += f"; {len(left)} earlier sessions wait for the next trainer, or for `rolloutwatch deliver` ({waiting})"
        heads = [head_of(folder) for folder in left]
        if others := sum(head is not None and head.transport != transport_of(url) for head in heads):
            cure = "Deliver them there, or with `rolloutwatch deliver --any` here"
            return Finding(
                "spool", Verdict.WARNING, f"{found}, {others} of which are meant for another Redis", cure
            )
    if free < limit:
        cure = f"Make room there, or lower {LIMIT_VARIABLE}"
        return Finding(
            "spool", Verdict.WARNING, f"{found}: the disk is full before the limit is reached", cure
        )
    return Finding("spool", Verdict.OK, found)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _mb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _skew(seconds: float) -> str:
    if abs(seconds) < 0.05:
        return "agrees with this host"
    return f"is {abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this host"
