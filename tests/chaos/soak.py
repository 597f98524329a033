"""A day's steps through one monitor: whether memory, threads and open files stay what they are.

python -m tests.chaos.soak
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rolloutwatch_contract import ack_key
from rolloutwatch_contract.keys import STREAM_PATTERN, split_stream_key
from tests.processes import ROOT, surroundings
from tests.redis_process import RedisProcess

DAY = 86_400  # at a step a second
SAMPLES = 48
WARM = 10_000  # steps after which nothing may grow
MOST_GROWTH = 8 * 1024 * 1024  # bytes: what an allocator wavers by, and no more


@dataclass(frozen=True)
class Sample:
    """What the process of a trainer uses at a step, and what its monitor has lost."""

    step: int
    bytes: int
    threads: int
    files: int
    dropped: dict[str, int]
    restarts: int


def soak(folder: Path, steps: int, samples: int, tell: Callable[[Sample], None]) -> list[Sample]:
    """Run a trainer for so many steps, its records acknowledged as they come."""
    found = []
    with RedisProcess(folder / "redis") as redis:
        ending = threading.Event()
        archive = threading.Thread(target=_acknowledge, args=(redis, ending))
        archive.start()
        command = [sys.executable, "-m", "tests.chaos.soaker", str(steps), str(samples)]
        try:
            with subprocess.Popen(
                command,
                cwd=ROOT,
                env=surroundings(redis.url, folder / "spool"),
                stdout=subprocess.PIPE,
                text=True,
            ) as trainer:
                assert trainer.stdout is not None
                try:
                    for line in trainer.stdout:
                        told = json.loads(line)
                        found.append(Sample(**{name: told[name] for name in Sample.__annotations__}))
                        tell(found[-1])
                finally:
                    trainer.kill()
        finally:
            ending.set()
            archive.join()
    return found


def growth(samples: list[Sample], warm: int) -> Sample:
    """How much more is used at the end than when the trainer was warm."""
    begin = next(one for one in samples if one.step >= warm)
    end = samples[-1]
    return Sample(
        end.step - begin.step, end.bytes - begin.bytes, end.threads - begin.threads, end.files - begin.files,
        end.dropped, end.restarts,
    )  # fmt: skip


def is_flat(grown: Sample) -> bool:
    return (
        grown.bytes < MOST_GROWTH
        and (grown.threads, grown.files) == (0, 0)
        and not grown.dropped
        and not grown.restarts
    )


def _acknowledge(redis: RedisProcess, ending: threading.Event) -> None:
    """Let go of what comes, as a server that archives."""
    with redis.client() as client:
        while not ending.wait(0.05):
            for key in client.scan_iter(STREAM_PATTERN):
                last = client.xrevrange(key, count=1)
                if last:
                    number = int(last[0][0].split(b"-")[0])
                    with client.pipeline(transaction=True) as pipe:
                        pipe.xtrim(key, minid=number + 1, approximate=False)
                        pipe.set(ack_key(*split_stream_key(key.decode())), number)
                        pipe.execute()


def main() -> int:
    began = time.monotonic()

    def tell(one: Sample) -> None:
        print(
            f"{time.monotonic() - began:6.1f} s  step {one.step:6,}  {one.bytes / 2**20:7.1f} MiB  "
            f"{one.threads} threads  {one.files} files",
            flush=True,
        )

    with tempfile.TemporaryDirectory(prefix="rolloutwatch-soak-") as folder:
        samples = soak(Path(folder), DAY, SAMPLES, tell)
    grown = growth(samples, WARM)
    print(
        f"{DAY:,} steps, {time.monotonic() - began:.0f} s; since step {samples[-1].step - grown.step:,}: "
        f"{grown.bytes / 2**20:+.1f} MiB, {grown.threads:+d} threads, {grown.files:+d} files, dropped {grown.dropped or 0}"
    )
    return 0 if is_flat(grown) else 1


if __name__ == "__main__":
    sys.exit(main())
