"""What keeps a Redis from taking records, in words: the cause, the cure, and whether a person has to do something."""

import enum
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    InvalidResponse,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from rolloutwatch.connection import SECONDS_TO_ANSWER, Address, Kind, NoPrimary
from rolloutwatch.sink import SinkError
from rolloutwatch_contract.keys import PREFIX
from rolloutwatch_contract.urls import without_password

SECONDS_UNTIL_CURED = 60.0  # between attempts at what only a person can cure
RIGHTS = "+multi +exec +xinfo|stream +xadd +xrange +get"
OPTIONAL_RIGHTS = "+info +time +select +getrange"
START_THE_SERVER = (
    "Start the server (rolloutwatch serve), or name the right Redis with redis_url= or ROLLOUTWATCH_REDIS_URL"
)
SHOW_A_CERTIFICATE = "it asks for a certificate of this side: ?ssl_certfile=...&ssl_keyfile=... in the URL"
_LETTERS = 300
_COMMAND_OF_PIPELINE = re.compile(r"\ACommand # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_TLS_ALERT = "x15\\x03"  # how a server that expects TLS begins its answer to whoever speaks none


class Stage(enum.Enum):
    """How far one comes on the way to a Redis that takes records."""

    NAME = "name"
    CONNECTION = "connection"
    TLS = "tls"
    LOGIN = "login"
    RIGHTS = "rights"
    STATE = "state"


@dataclass(frozen=True)
class Trouble:
    """What is wrong, at which stage, and what to do about it; `needs_a_person` if it does not go by itself."""

    stage: Stage
    cause: str
    cure: str
    needs_a_person: bool = False


def sink_error(error: Exception, address: Address) -> SinkError:
    """Return what a sink says of an error that redis-py has raised."""
    trouble = trouble_of(error, address)
    return SinkError(
        f"Redis at {address.shown} does not take records: {trouble.cause}. {trouble.cure}",
        SECONDS_UNTIL_CURED if trouble.needs_a_person else None,
    )


def trouble_of(error: Exception, address: Address) -> Trouble:
    """Return what an error means, judged by the first line of the table that knows it or what led to it."""
    chain = list(_chain(error))
    for kind, explain in _EXPLANATIONS:
        for one in chain:
            if isinstance(one, kind):
                return explain(one, address)
    return Trouble(Stage.STATE, f"{type(error).__name__}: {_said(error)}", START_THE_SERVER)


def acl_line(address: Address) -> str:
    """Return the command that gives the user of a URL all it needs."""
    return f"ACL SETUSER {address.username} ~{PREFIX}* {RIGHTS} {OPTIONAL_RIGHTS}"


def _chain(error: "BaseException | None") -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _said(error: BaseException) -> str:
    """Return the words of an error, without the record that was being sent and without passwords."""
    return without_password(_COMMAND_OF_PIPELINE.sub("", str(error)))[:_LETTERS].rstrip(".")


# -- one for each line of the table ------------------------------------------------------------------------------


def _certificate(error: BaseException, address: Address) -> Trouble:
    code = getattr(error, "verify_code", 0)
    said = getattr(error, "verify_message", str(error)).rstrip(".")
    cure = _CURES_OF_CERTIFICATES.get(
        code,
        "Name the certificate of the authority that signed it with ?ssl_ca_certs=/path/to/ca.pem in the URL",
    )
    return Trouble(Stage.TLS, f"its certificate is refused ({said})", cure, needs_a_person=True)


_CURES_OF_CERTIFICATES = {
    9: "Compare the clock of this host with the day from which the certificate is valid",
    10: "Have it renewed where Redis runs",
    62: "Name Redis by the host name that stands in its certificate, or have one made for this name",
    64: "Name Redis by the host name that stands in its certificate, or have one made for this address",
}


def _tls(error: BaseException, address: Address) -> Trouble:
    said = f"no encrypted connection could be made ({_said(error)})"
    if "CERTIFICATE_REQUIRED" in str(error).upper() or "HANDSHAKE_FAILURE" in str(error).upper():
        cure = f"If {SHOW_A_CERTIFICATE}"
    else:
        cure = "If Redis speaks no TLS there, name its TLS port, or say redis:// and go unencrypted"
    return Trouble(Stage.TLS, said, cure, needs_a_person=True)


def _name(error: BaseException, address: Address) -> Trouble:
    hosts = ", ".join(sorted({host for host, _ in address.nodes}))
    return Trouble(
        Stage.NAME,
        f"the name {hosts} is not known here ({_said(error)})",
        "Compare it with how the host is called, and see whether this host can resolve names",
    )


def _refused(error: BaseException, address: Address) -> Trouble:
    return Trouble(Stage.CONNECTION, "nobody listens there (connection refused)", START_THE_SERVER)


def _no_socket(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.CONNECTION,
        f"its socket cannot be opened ({getattr(error, 'strerror', error)})",
        START_THE_SERVER,
    )


def _login(error: BaseException, address: Address) -> Trouble:
    said = _said(error)
    if "without any password" in said or "no password is set" in said:
        cause, cure = "it has no password, but the URL does", "Take it out of the URL, or set one in Redis"
    elif "required" in said.lower():
        cause, cure = "it asks for a password", f"Put user and password into the URL: {_with_login(address)}"
    else:
        cause = f"it refuses the user {address.username!r} with the password of the URL ({said})"
        cure = (
            "Correct the URL, in which '@', '/', ':' and '%' of a password are written %40, %2F, %3A and %25"
        )
    return Trouble(Stage.LOGIN, cause, cure, needs_a_person=True)


def _with_login(address: Address) -> str:
    scheme, _, rest = address.shown.partition("://")
    return f"{scheme}://user:password@{rest.rpartition('@')[2]}"


def _rights(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.RIGHTS,
        f"the user {address.username!r} is not permitted what is needed ({_said(error)})",
        f"Give it the rights where Redis runs: {acl_line(address)}",
        needs_a_person=True,
    )


def _loading(error: BaseException, address: Address) -> Trouble:
    return Trouble(Stage.STATE, "it is still loading its data from disk", "It takes records when it is done")


def _read_only(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.STATE,
        "it is a replica, which may only be read",
        "Name its primary; or let Sentinels tell who that is: redis+sentinel://host:26379,host:26379/service/0",
    )


def _elsewhere(error: BaseException, address: Address) -> Trouble:
    if address.kind is Kind.CLUSTER:
        return Trouble(
            Stage.STATE, f"the keys move to another node ({_said(error)})", "They are followed by themselves"
        )
    return Trouble(
        Stage.STATE,
        "it is a node of a cluster, and the keys live on another one",
        "Say so in the URL: redis+cluster://host:6379,host:6379",
        needs_a_person=True,
    )


def _cluster_down(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.STATE, f"its cluster is not whole ({_said(error)})", "See CLUSTER INFO where Redis runs"
    )


def _full(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.STATE,
        "it is full (maxmemory)",
        "See whether the server reads from it, which makes room, or give it more memory",
    )


def _no_primary(error: BaseException, address: Address) -> Trouble:
    return Trouble(
        Stage.CONNECTION,
        _said(error),
        "Compare it with SENTINEL MASTERS, and the ports with those of Sentinels",
    )


def _silent(error: BaseException, address: Address) -> Trouble:
    cure = "See whether it hangs, and whether something on the way swallows packets"
    if address.is_encrypted and "connecting" in str(error):
        cure += "; a Redis without TLS is silent too when it is spoken to in TLS"
    return Trouble(Stage.CONNECTION, f"it did not answer within {SECONDS_TO_ANSWER:.0f} s", cure)


def _babble(error: BaseException, address: Address) -> Trouble:
    if _TLS_ALERT in str(error):
        return Trouble(
            Stage.TLS, "it expects TLS", "Say rediss:// instead of redis:// in the URL", needs_a_person=True
        )
    return Trouble(
        Stage.CONNECTION,
        f"what listens there is no Redis ({_said(error)})",
        "Compare host and port",
        needs_a_person=True,
    )


def _answered(error: BaseException, address: Address) -> Trouble:
    said = _said(error)
    if "NOPERM" in said:  # of EXEC
        return _rights(error, address)
    if said.startswith(("MOVED ", "ASK ")):  # in the words of old versions of redis-py
        return _elsewhere(error, address)
    for word, cure, needs_a_person in (
        ("DENIED", "Give it a password, or bind it to an address that only friends can reach", True),
        ("unknown command", "Use Redis 5 or newer, or Valkey; for Sentinels say redis+sentinel://", True),
        ("MISCONF", "Redis cannot write to its disk: make room there", False),
    ):
        if word in said:
            return Trouble(Stage.STATE, f"it says {said!r}", cure, needs_a_person)
    return Trouble(Stage.STATE, f"it says {said!r}", "See the log of Redis")


def _closed(error: BaseException, address: Address) -> Trouble:
    # a refused certificate is told of only if the word of it is not overtaken by the end of the connection
    hint = SHOW_A_CERTIFICATE if address.is_encrypted else "it expects TLS, say rediss:// in the URL"
    return Trouble(Stage.CONNECTION, _said(error), f"See the log of Redis; if {hint}")


# the first line that fits speaks, so what is special stands before what is general
_EXPLANATIONS: "tuple[tuple[type[BaseException], Callable[[BaseException, Address], Trouble]], ...]" = (
    (ssl.SSLCertVerificationError, _certificate),
    (ssl.SSLEOFError, _closed),
    (ssl.SSLError, _tls),
    (socket.gaierror, _name),
    (ConnectionRefusedError, _refused),
    (FileNotFoundError, _no_socket),
    (PermissionError, _no_socket),
    (AuthenticationError, _login),
    (NoPermissionError, _rights),
    (redis.BusyLoadingError, _loading),
    (ReadOnlyError, _read_only),
    (AskError, _elsewhere),
    (TryAgainError, _elsewhere),
    (ClusterDownError, _cluster_down),
    (OutOfMemoryError, _full),
    (NoPrimary, _no_primary),
    (redis.TimeoutError, _silent),
    (TimeoutError, _silent),
    (InvalidResponse, _babble),
    (ResponseError, _answered),
    (redis.ConnectionError, _closed),
)
