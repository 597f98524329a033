"""The end of a process: monitors that nobody has closed deliver what they can, all at once and within seconds.

At the interpreter's exit, and at SIGTERM, which a scheduler sends before it kills.
"""

import atexit
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Protocol

SECONDS_AT_EXIT = 5.0
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


def unwatch(one: Ends) -> None:
    """Forget it; the last one leaves SIGTERM as it was found."""
    _open.pop(id(one), None)
    if not _open and _is_main_thread() and signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
    _end_all(SECONDS_AT_SIGNAL, crashed=True)
    # as if nobody had been asked: the exit code tells whoever sent it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
