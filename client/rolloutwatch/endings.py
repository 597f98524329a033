"""The end of a process: monitors that nobody has closed deliver what they can, all at once and within seconds.

At the interpreter's exit, and at SIGTERM, which a scheduler sends before it kills.

Python runs a handler when its main thread comes back from wherever it is, which from a collective that waits
for a dead rank is never. Without a handler SIGTERM would end such a process, so with ours it has to as well:
a thread is told of the signal too, and does what there is to do if the main thread does not.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Protocol

SECONDS_AT_EXIT = 5.0
SECONDS_FOR_THE_MAIN_THREAD = 0.5
SECONDS_AT_SIGNAL = 3.0  # of which schedulers leave thirty, and impatient ones five


class Ends(Protocol):
    """What has something to do before the end. Both may be called in the midst of any of its own methods."""

    def begin_to_end(self, deadline: float, *, crashed: bool) -> None:
        """Do what there is to do until a moment of time.monotonic(), and do not wait for it."""

    def end(self, deadline: float) -> None:
        """Wait for it, until then at most."""


_open: dict[int, Ends] = {}


def watch(one: Ends) -> None:
    """End it when the process ends, by SIGTERM too if that would end the process at once.

    A handler of the trainer's own is left alone.
    """
    if not _open:
        atexit.unregister(_exit)
        atexit.register(_exit)  # now: what was registered before is needed until then
    _open[id(one)] = one
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
        _watchman.begin()


def unwatch(one: Ends) -> None:
    """Forget it; the last one leaves SIGTERM as it was found."""
    _open.pop(id(one), None)
    if not _open and _is_main_thread() and signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _watchman.end()


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end_all(seconds: float, *, crashed: bool) -> None:
    deadline = time.monotonic() + seconds
    for one in list(_open.values()):
        one.begin_to_end(deadline, crashed=crashed)
    for one in list(_open.values()):
        one.end(deadline)


def _exit() -> None:
    # the interpreter has noted an exception that nobody caught before it comes here
    uncaught = getattr(sys, "last_value", None)
    _end_all(SECONDS_AT_EXIT, crashed=uncaught is not None and not isinstance(uncaught, KeyboardInterrupt))


def _terminate(number: int, frame: FrameType | None) -> None:
    _watchman.is_needed = False
    _end_all(SECONDS_AT_SIGNAL, crashed=True)
    # as if nobody had been asked: the exit code tells whoever sent it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class _Watchman:
    """The thread that is told of signals, by a socket that Python's own handler writes their numbers to."""

    def __init__(self) -> None:
        self.is_needed = True  # until the main thread does it
        self._sockets: tuple[socket.socket, socket.socket] | None = None

    def begin(self) -> None:
        """Watch, unless somebody else is told of signals, as an event loop is; called by the main thread."""
        told, tells = socket.socketpair()
        tells.setblocking(False)
        former = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        if former != -1:
            signal.set_wakeup_fd(former)
            told.close()
            tells.close()
            return
        self._sockets = (told, tells)
        threading.Thread(target=self._watch, args=(told,), name="rolloutwatch-signals", daemon=True).start()

    def end(self) -> None:
        """Watch no more; called by the main thread."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        told, tells = sockets
        former = signal.set_wakeup_fd(-1)
        if former not in (-1, tells.fileno()):
            signal.set_wakeup_fd(former)
        with contextlib.suppress(OSError):
            told.shutdown(socket.SHUT_RDWR)  # which ends the thread
        tells.close()

    def forget(self) -> None:
        """Leave signals as they were: this is a forked child, whose signals are no concern of its parent."""
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            for one in sockets:
                one.close()
            signal.set_wakeup_fd(-1)

    def _watch(self, told: socket.socket) -> None:
        with told:
            while numbers := told.recv(64):
                if signal.SIGTERM in numbers and signal.getsignal(signal.SIGTERM) is _terminate:
                    time.sleep(SECONDS_FOR_THE_MAIN_THREAD)
                    if self.is_needed and self._sockets is not None:
                        _end_all(SECONDS_AT_SIGNAL, crashed=True)
                        _die()


def _die() -> None:
    """End by SIGTERM, from whichever thread: Python lets only the main one say what a signal does."""
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).signal(int(signal.SIGTERM), None)  # SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)
    os._exit(128 + signal.SIGTERM)


_watchman = _Watchman()


def _after_fork_in_child() -> None:
    _open.clear()
    _watchman.forget()
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
