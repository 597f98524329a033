"""Redis in company: a primary with its replica and a Sentinel, a cluster of two, one behind TLS; and one that is none."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.processes import wait_for
from tests.redis_process import RedisProcess, free_port, server_binary


@contextlib.contextmanager
def replicated(directory: Path) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """A primary and a replica that has caught up with it."""
    with (
        RedisProcess(directory / "primary", "--repl-diskless-sync-delay", "0") as primary,
        RedisProcess(directory / "replica", "--replicaof", "127.0.0.1", str(primary.port)) as replica,
    ):
        with replica.client() as client:
            wait_for(
                "the replica", lambda: client.info("replication").get("master_link_status") == "up" or None
            )
        yield primary, replica


@contextlib.contextmanager
def sentinel(directory: Path, primary: RedisProcess) -> Iterator[RedisProcess]:
    """A Sentinel that watches a primary under the name "mymaster" and decides alone."""
    directory.mkdir()
    configuration = directory / "sentinel.conf"
    watched = [
        f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1",
        "sentinel down-after-milliseconds mymaster 2000",
        "sentinel failover-timeout mymaster 4000",
    ]
    configuration.write_text("\n".join([*watched, ""]))
    with Sentinel(directory, configuration) as one:
        with one.client() as client:
            # every ten seconds otherwise
            client.execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", "200", "PUBLISH-PERIOD", "200")
            wait_for("the Sentinel", lambda: client.info("sentinel")["master0"]["slaves"] == 1 or None)
        yield one


class Sentinel(RedisProcess):
    """A Sentinel, which takes its settings from a file that it writes into."""

    def __init__(self, directory: Path, configuration: Path) -> None:
        super().__init__(directory)
        self._configuration = configuration

    def command(self, *options: str) -> list[str]:
        return [server_binary(), str(self._configuration), "--sentinel", "--port", str(self.port)]


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[tuple[RedisProcess, RedisProcess]]:
    """Two nodes, of which the first holds the lower half of all slots."""
    ports = (free_port(), free_port())
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
    with (
        RedisProcess(directory / "lower", *options, str(ports[0])) as lower,
        RedisProcess(directory / "upper", *options, str(ports[1])) as upper,
        lower.client() as one,
        upper.client() as other,
    ):
        one.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        other.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        one.execute_command("CLUSTER", "MEET", "127.0.0.1", upper.port, ports[1])
        for client in (one, other):
            wait_for(
                "the cluster", lambda c=client: b"cluster_state:ok" in c.execute_command("CLUSTER", "INFO")
            )
        yield lower, upper


class Authority:
    """Signs certificates for the length of a test, with the program openssl."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self.directory = directory
        self._name = name
        self.certificate = directory / f"{name}.pem"
        self._openssl(
            *("req", "-x509", "-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=keyCertSign"),
            *self._new_key(name), "-out", str(self.certificate),
        )  # fmt: skip

    def sign(self, name: str, hosts: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> Path:
        """Return a file with a certificate and its key; one of -1 days has expired."""
        request, extensions, result = (self.directory / f"{name}.{end}" for end in ("csr", "ext", "crt"))
        extensions.write_text(f"subjectAltName={hosts}\nauthorityKeyIdentifier=keyid\n")
        self._openssl("req", "-subj", f"/CN={name}", *self._new_key(name), "-out", str(request))
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate)),
            *("-CAkey", str(self.directory / f"{self._name}.key"), "-CAcreateserial", "-days", str(days)),
            *("-extfile", str(extensions), "-out", str(result)),
        )
        both = self.directory / f"{name}.pem"
        both.write_text(result.read_text() + (self.directory / f"{name}.key").read_text())
        return both

    def _new_key(self, name: str) -> list[str]:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        return [*curve, "-keyout", str(self.directory / f"{name}.key")]

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class TlsDoor:
    """Encrypts the way to a Redis that cannot do it itself, as a proxy in front of one does in many a house."""

    def __init__(self, server: RedisProcess, certificate: Path, clients: Path | None = None) -> None:
        self._behind = server.port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
        self._context.load_cert_chain(certificate)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "TlsDoor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            outer = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        inner = socket.create_connection(("127.0.0.1", self._behind))
        self._open += [outer, inner]
        back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
        back.start()
        pump(outer, inner)


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until either side ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port of this host that swallows whoever wants to connect: nobody accepts, and the queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]
