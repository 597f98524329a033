"""One exchange over HTTP, with an address that was vetted before, which ends at one moment whatever the other side does."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_BYTES_OF_AN_ANSWER = 64 * 1024


@dataclass(frozen=True)
class Place:
    """Where a request goes: the host by name, as the certificate has to have it, and the path."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def header(self) -> str:
        """Return what the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == usual else f"{host}:{self.port}"


@dataclass(frozen=True)
class Reply:
    """What came back, without its body, which nobody is told."""

    status: int
    retry_after: str


class Deadline:
    """A moment at which everything ends."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; TimeoutError if none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left


def post(
    place: Place,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    deadline: Deadline,
    context: ssl.SSLContext,
) -> Reply:
    """Send a body to the first of the addresses that can be connected to; OSError or HTTPException if no reply came.

    A redirection is a reply like any other. TimeoutError: the deadline has passed, connecting, sending or waiting.
    """
    connection = _Connection(place, addresses, deadline, context)
    try:
        connection.putrequest("POST", place.path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": place.header, **headers, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        reply = Reply(response.status, response.headers.get("Retry-After", ""))
        _drain(response)
        return reply
    finally:
        connection.end()


def _drain(response: http.client.HTTPResponse) -> None:
    """Read what the other side has to say, within bounds, so that it is not cut off; it has told how it went already."""
    try:
        response.read(MOST_BYTES_OF_AN_ANSWER)
    except (OSError, http.client.HTTPException, ValueError):
        return


class _Connection(http.client.HTTPConnection):
    """A connection to addresses instead of a name."""

    def __init__(
        self, place: Place, addresses: Sequence[str], deadline: Deadline, context: ssl.SSLContext
    ) -> None:
        super().__init__(place.host, place.port)
        self._place, self._addresses, self._deadline, self._context = place, addresses, deadline, context
        self._wire: socket.socket | None = None

    def end(self) -> None:
        """Hang up."""
        self.close()
        if self._wire is not None:
            self._wire.close()

    def connect(self) -> None:
        """Connect to the first address that lets us."""
        failure: OSError = ConnectionRefusedError("no address")
        for number, address in enumerate(self._addresses):
            # the last one has all the time that is left, each before it half of it
            left = self._deadline.left()
            seconds = left if number == len(self._addresses) - 1 else left / 2
            try:
                plain = socket.create_connection((address, self._place.port), timeout=seconds)
            except OSError as error:
                failure = error
                continue
            self._wire = self._secured(plain)
            # http.client asks a socket for no more than what _Timed has
            self.sock = _Timed(self._wire, self._deadline)
            return
        raise failure

    def _secured(self, plain: socket.socket) -> socket.socket:
        if self._place.scheme == "http":
            return plain
        try:
            plain.settimeout(self._deadline.left())
            return self._context.wrap_socket(plain, server_hostname=self._place.host)
        except BaseException:
            plain.close()
            raise


class _Timed:
    """A socket of which every operation ends at the deadline, however slowly bytes come or go."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._deadline.left())
            rest = rest[self._sock.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        """Leave it open: http.client closes a socket while its answer is still to be read."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)
