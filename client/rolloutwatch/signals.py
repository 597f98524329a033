"""SIGTERM, which a scheduler sends before it kills: monitors deliver what they can, then it takes its course."""

import os
import signal
import threading
import weakref
from types import FrameType
from typing import Protocol


class Closes(Protocol):
    """What has something to do before the end."""

    def close_on_signal(self) -> None:
        """End within a few seconds; may be called in the midst of any of its own methods."""


_open: "weakref.WeakSet[Closes]" = weakref.WeakSet()


def watch(one: Closes) -> None:
    """Close it on SIGTERM, if that would end the process at once. A handler of the trainer's own is left alone."""
    _open.add(one)
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, _terminate)


def unwatch(one: Closes) -> None:
    """Forget it; the last one leaves SIGTERM as it was found."""
    _open.discard(one)
    if (
        not _open
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is _terminate
    ):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    for one in list(_open):
        one.close_on_signal()
    # as if nobody had been asked: the exit code tells whoever sent it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
