"""A trainer that logs as fast as the queue takes it, up to where it is told to go.

    python -m tests.chaos.trainer SLATE SEED FIRST LAST SECONDS_A_STEP

At the end it prints, as JSON, what its monitor has to say.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

from rolloutwatch import Monitor
from tests.chaos.figures import CONFIG, MARK, correction, has_correction, has_mark, scalars
from tests.chaos.slate import Line, Slate

PROJECT, RUN = "chaos", "run"
ROOM = 2000  # in a queue of 4096
STEPS_BETWEEN_LOOKS = 100
SECONDS_TO_CLOSE = 90.0


def main(slate: Slate, seed: int, first: int, last: int, seconds: float) -> None:
    monitor = Monitor(project=PROJECT, run=RUN, config=CONFIG)
    for step in range(first, last):
        if seconds or step % STEPS_BETWEEN_LOOKS == 0 or step >= slate[Line.ALLOWED]:
            wait_for_leave(slate, monitor, step)
        monitor.log(step, scalars(seed, step))
        if has_correction(step):
            monitor.record(step, correction(step))
        if has_mark(step):
            monitor.mark(MARK, step, version=step)
        slate[Line.DONE] = step + 1
        if seconds:
            time.sleep(seconds)
    closed = monitor.close(SECONDS_TO_CLOSE)
    sys.stdout.write(
        json.dumps({"closed": closed, "session": monitor.session} | dataclasses.asdict(monitor.health()))
    )


def wait_for_leave(slate: Slate, monitor: Monitor, step: int) -> None:
    """Wait until there is room in the queue and this step is allowed; leave with whoever watches."""
    while True:
        health = monitor.health()
        # `queued` counts what stands in the spool too
        waiting = health.queued + health.pushed - health.spooled - health.archived
        if waiting == 0:
            slate[Line.WRITTEN] = step
        slate[Line.ARCHIVED] = health.archived
        slate[Line.REFUSED] = "it is full" in health.last_error
        if waiting < ROOM and step < slate[Line.ALLOWED]:
            return
        if os.getppid() != PARENT:
            os._exit(1)
        time.sleep(0.002)


PARENT = os.getppid()

if __name__ == "__main__":
    where, seed, first, last, seconds = sys.argv[1:]
    main(Slate(Path(where)), int(seed), int(first), int(last), float(seconds))
