"""A trainer that logs a day's steps as fast as the queue takes them, and tells what its process uses.

    python -m tests.chaos.soaker STEPS SAMPLES

Prints a line of JSON at each of so many samples.
"""

import dataclasses
import json
import os
import resource
import sys
import time
from pathlib import Path

from rolloutwatch import Monitor
from rolloutwatch_correction import CorrectionConfig, correct
from tests.client.batches import batch

SCALARS = 40
SEQUENCES = 256
ROOM = 500
PAGE = resource.getpagesize()


def main(steps: int, samples: int) -> None:
    config = CorrectionConfig(rollout_is="token")
    corrections = [correct(*batch(SEQUENCES, 32, seed).values(), config) for seed in range(4)]
    with Monitor(project="chaos", run="soak", config=config) as monitor:
        for step in range(1, steps + 1):
            monitor.log(step, {f"train/scalar_{number}": step / (number + 1) for number in range(SCALARS)})
            monitor.record(step, corrections[step % len(corrections)])
            if step % 50 == 0:
                wait_for_room(monitor)
            if step % (steps // samples) == 0:
                tell(step, monitor)


def wait_for_room(monitor: Monitor) -> None:
    while monitor.health().queued > ROOM:
        time.sleep(0.002)


def tell(step: int, monitor: Monitor) -> None:
    """Print what the process uses, and how the monitor is."""
    used = {
        "step": step,
        "bytes": int(Path("/proc/self/statm").read_text().split()[1]) * PAGE,
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
    }
    sys.stdout.write(json.dumps(used | dataclasses.asdict(monitor.health())) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
