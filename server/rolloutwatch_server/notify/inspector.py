"""A process that looks at URLs of Apprise: a list of them as JSON on its input, what it finds as JSON on its output."""

import os
import signal
import sys

import msgspec

from rolloutwatch_server.notify.messenger import refuse_internal
from rolloutwatch_server.notify.services import inspect

SECONDS = 30.0  # after which it is ended, or ends itself


def main() -> None:
    """Look at what stands on the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    signal.alarm(int(SECONDS) + 1)
    # what a library prints is not to stand before the answer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    urls = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    refuse_internal()  # a look connects to nothing
    answers.write(msgspec.json.encode([inspect(url) for url in urls]))


if __name__ == "__main__":
    main()
