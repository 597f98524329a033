"""The processes that draw and send, as the server sees them: asked, waited for so long and no longer, and ended."""

import base64
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rolloutwatch_server.notify import inspector, messenger
from rolloutwatch_server.notify.drawing import Drawing
from rolloutwatch_server.notify.messenger import Job, Report
from rolloutwatch_server.notify.services import Finding

log = logging.getLogger(__name__)

SECONDS_TO_DRAW = 15.0  # the very first time fonts are looked for
SECONDS_A_PAINTER_WAITS = 600.0
MOST_BYTES_OF_A_PICTURE = 8 * 1024 * 1024


def surroundings(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of such a process: without our secrets, and with a place for matplotlib's files."""
    kept = {name: value for name, value in environment.items() if not name.startswith("ROLLOUTWATCH_")}
    return kept | {"MPLCONFIGDIR": str(folder / "matplotlib"), "MPLBACKEND": "agg"}


def _start(module: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: what lies in the working directory is no module of ours
        [sys.executable, "-P", "-m", f"rolloutwatch_server.notify.{module}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
        start_new_session=True,
    )


class Painter:
    """One process that draws for all targets, one picture after the other; started before it is needed, ended when it is not."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0.0
        self._is_over = False

    def warm(self) -> None:
        """Start the process if there is none, without waiting for it."""
        with self._lock:
            self._running()

    def draw(self, drawing: Drawing) -> bytes | None:
        """Return a picture as PNG; None if there is none to be had in time, which the log tells."""
        with self._lock:
            process = self._running()
            if process is None:
                return None
            line = _asked(process, msgspec.json.encode(drawing) + b"\n", SECONDS_TO_DRAW)
            if line:
                return base64.b64decode(line)
            if not self._is_over:
                log.warning("the picture of an alert could not be drawn; the message goes without it")
            if line is None:
                self._end()
            return None

    def rest(self) -> None:
        """End the process if nobody has asked it for long."""
        with self._lock:
            if self._process is not None and time.monotonic() - self._asked > SECONDS_A_PAINTER_WAITS:
                self._end()

    def stop(self) -> None:
        """End the process, and let none be started any more."""
        self._is_over = True
        process = self._process
        if process is not None:
            process.kill()  # not waiting for who holds the lock: that one waits for the process
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes] | None:
        if self._is_over:
            return None
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self._process = _start("painter", self._environment)
        self._asked = time.monotonic()
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            _finish(self._process)
            self._process = None


class Messenger:
    """Sends messages by Apprise, each by a process of its own."""

    def __init__(self, environment: Mapping[str, str], seconds: float = messenger.SECONDS) -> None:
        self._environment, self._seconds = environment, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def send(self, job: Job) -> Report:
        """Send a message; tell how that went, in words that may have secrets of the URL in them."""
        self._process = process = _start("messenger", self._environment)
        if self._is_over:
            process.kill()
        try:
            answer, _ = process.communicate(msgspec.json.encode(job), timeout=self._seconds)
            return msgspec.json.decode(answer, type=Report)
        except subprocess.TimeoutExpired:
            return Report(f"it took more than {self._seconds:g} s.")
        except (msgspec.MsgspecError, OSError):
            return Report("the process that sends it ended without a word.")
        finally:
            self._process = None
            _finish(process)

    def stop(self) -> None:
        """End what is being sent."""
        self._is_over = True
        process = self._process
        if process is not None:
            process.kill()


def inspected(
    urls: Sequence[str], environment: Mapping[str, str], seconds: float = inspector.SECONDS
) -> list[Finding] | None:
    """Let a process look at URLs of Apprise; None if it does not answer in time."""
    process = _start("inspector", environment)
    try:
        answer, _ = process.communicate(msgspec.json.encode(urls), timeout=seconds)
        findings = msgspec.json.decode(answer, type=list[Finding])
    except (subprocess.TimeoutExpired, msgspec.MsgspecError, OSError):
        return None
    finally:
        _finish(process)
    return findings if len(findings) == len(urls) else None


def _asked(process: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes | None:
    """Return the line with which a process answers another one; None if it does not in time."""
    assert process.stdin is not None
    assert process.stdout is not None
    until = time.monotonic() + seconds
    found = bytearray()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            while not found.endswith(b"\n"):
                if not ready.select(max(0.0, until - time.monotonic())):
                    return None
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece or len(found) > MOST_BYTES_OF_A_PICTURE:
                    return None
                found += piece
    except OSError:
        return None
    return bytes(found[:-1])


def _finish(process: subprocess.Popen[bytes]) -> None:
    """End a process and let go of what belonged to it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what it was not told, it need not know
