"""A process that sends one message by Apprise: a job as JSON on its input, how it went as JSON on its output.

What a service does not like, and a library that hangs or leaks, is gone with it. It connects to no address of an internal
network, to which a redirection or a name may lead, unless the job allows it.
"""

import base64
import contextlib
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from rolloutwatch_server.notify.addresses import is_internal
from rolloutwatch_server.notify.services import asset, inspect

SECONDS = 30.0  # after which it ends itself, should nobody have ended it
_SIGNS_THAT_IT_GOES_SOMEWHERE = ("socket.connect", "socket.sendto", "socket.sendmsg")
_SIGNS_THAT_IT_IS_NOT_ASKED_FOR = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pty.spawn",
)


class Job(msgspec.Struct, frozen=True):
    """A message for one URL of Apprise; `severity` decides its colour, `picture` is a PNG as base64."""

    url: str
    title: str
    body: str
    severity: str = "warning"
    picture: str = ""
    allow_internal: bool = False


class Report(msgspec.Struct, frozen=True):
    """How it went: '' or why not, in words that may have secrets of the URL in them; and whether it can never go."""

    error: str = ""
    is_final: bool = False


class Refused(OSError):
    """A connection that is not permitted."""


def main() -> None:
    """Send the message that stands on the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    signal.alarm(int(SECONDS) + 1)
    # what a library prints is not to stand before the answer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answers.write(msgspec.json.encode(send(job)))


def send(job: Job) -> Report:
    """Send a message; for a process that then ends: what it refuses stays refused."""
    import apprise

    heard = _Heard()
    logging.getLogger("apprise").addHandler(heard)
    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise(asset=asset())
    if not service.add(job.url):
        return Report(inspect(job.url).problem, is_final=True)
    kinds = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
    refused = [] if job.allow_internal else refuse_internal()
    with tempfile.TemporaryDirectory() as folder:
        attached = _attached(job, Path(folder))
        sent = service.notify(
            title=job.title,
            body=job.body,
            body_format=apprise.NotifyFormat.TEXT,
            notify_type=kinds.get(job.severity, apprise.NotifyType.SUCCESS),
            attach=attached,
        )
    if sent:
        return Report()
    return Report(refused[0] if refused else heard.last or "the service did not take it")


def refuse_internal() -> list[str]:
    """Let this process connect to no internal address any more, and start no program; return where it tells what it refused."""
    refused: list[str] = []

    def refuse(event: str, about: tuple[Any, ...]) -> None:
        if event in _SIGNS_THAT_IT_GOES_SOMEWHERE:
            address = about[1]
            if address is None:  # to where it has connected, which was looked at
                return
            host = address[0] if isinstance(address, tuple) and address else str(address)
            if is_internal(str(host)):
                refused.append(
                    f"it leads to {str(host)[:100]}, an address of an internal network, to which nothing is sent. "
                    "If that is meant, set allow_internal = true for this target."
                )
                raise Refused(refused[-1])
        elif event in _SIGNS_THAT_IT_IS_NOT_ASKED_FOR:
            refused.append(
                "it would start a program on this host. If that is meant, set allow_internal = true."
            )
            raise Refused(refused[-1])

    sys.addaudithook(refuse)
    return refused


class _Heard(logging.Handler):
    """Keeps the last thing that Apprise complained about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(TypeError, ValueError):
            self.last = record.getMessage()


def _attached(job: Job, folder: Path) -> str | None:
    if not job.picture:
        return None
    file = folder / "alert.png"
    file.write_bytes(base64.b64decode(job.picture))
    return str(file)


if __name__ == "__main__":
    main()
