"""A process that draws: a drawing as JSON in each line of its input, a picture (PNG as base64) in each line of its output.

It ends when its input does, as it does when the server is killed. A line that cannot be drawn is answered by an empty one.
"""

import base64
import contextlib
import os
import signal
import sys

import msgspec

from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.drawing import Drawing, Panel

NICENESS = 5  # training on the same host, and the ingest, go before a picture


def main() -> None:
    """Draw until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends this
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # what a library prints is not to stand between the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    from rolloutwatch_server.notify.picture import draw

    draw(_FIRST)
    for line in sys.stdin.buffer:
        try:
            answer = base64.b64encode(draw(msgspec.json.decode(line, type=Drawing)))
        except Exception:  # noqa: BLE001  # a message without its picture is better than none
            answer = b""
        answers.write(answer + b"\n")


# the first one takes ten times as long as the others, so that it is drawn before anybody waits
_FIRST = Drawing("", "", Severity.WARNING, 1, [Panel("", [1, 2], [1.0, 2.0], [], [("above", 1.5)])])

if __name__ == "__main__":
    main()
