"""Lose Redis, the server and the trainer in every way there is, and see whether a record is missing afterwards.

python -m tests.chaos [--seed 7] [SCENARIO ...]
"""

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.chaos.scenarios import FULL, SCENARIOS, Result

HEADINGS = (
    "scenario",
    "records",
    "faults",
    "lost",
    "doubled",
    "different",
    "in queue",
    "streams lost",
    "seconds",
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what happens when")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.scenarios) - set(SCENARIOS):
        parser.error(f"no scenario {', '.join(sorted(unknown))}: expected {', '.join(SCENARIOS)}.")
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="rolloutwatch-chaos-"))
    names = chosen.scenarios or list(SCENARIOS)
    print(f"SEED={chosen.seed}", flush=True)
    began = time.monotonic()
    try:
        results = {name: _try(name, folder, chosen.seed) for name in names}
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    _print_table(results)
    print(f"{time.monotonic() - began:.0f} s in all, SEED={chosen.seed}")
    flawless = all(result is not None and result.is_flawless for result in results.values())
    if flawless:
        shutil.rmtree(folder)
    else:
        print(f"What is left of it is in {folder}.")
    return 0 if flawless else 1


def _try(name: str, folder: Path, seed: int) -> Result | None:
    """Run a scenario; None if it did not come to its end."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {name}: {what}", flush=True)

    where = folder / name
    try:
        result = SCENARIOS[name](FULL[name], where, seed, tell)
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        tell(f"did not come to its end: {error}")
        return None
    tell("nothing is lost" if result.is_flawless else f"FLAWS: {result}")
    if result.is_flawless:
        shutil.rmtree(where)
    return result


def _print_table(results: dict[str, Result | None]) -> None:
    rows = [HEADINGS, *(_row(name, result) for name, result in results.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    print()
    for row in rows:
        first, *others = (
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]))


def _row(name: str, result: Result | None) -> tuple[str, ...]:
    if result is None:
        return (name, *("-" for _ in HEADINGS[1:]))
    found = result.judgement
    numbers = (
        result.records, result.faults, len(found.lost), len(found.doubled), len(found.different),
        result.in_queue, result.streams_lost,
    )  # fmt: skip
    return (name, *(f"{number:,}" for number in numbers), f"{result.seconds:.1f}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End as by Ctrl-C: every process that was started is ended on the way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
