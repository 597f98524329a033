"""The command `rolloutwatch backup`: copy the archive while the server runs."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import ARCHIVE, StoreError
from rolloutwatch_server.store.backup import back_up

WIDTH = 30
SECONDS_BETWEEN_DRAWINGS = 0.1


def backup(arguments: Sequence[str]) -> int:
    """Write a backup; returns the exit code: 0 when it is written and checked, 1 when not, 2 for wrong arguments."""
    os.umask(0o077)  # what is written here is for its owner alone
    options = _parser().parse_args(arguments)
    bar = _Bar()
    try:
        made = back_up(options.data_dir / ARCHIVE, options.file, replace=options.force, tell=bar.draw)
    except StoreError as error:
        bar.erase()
        print(f"rolloutwatch backup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        bar.erase()
        print("rolloutwatch backup: stopped, and nothing was written.", file=sys.stderr)
        return 1
    bar.erase()
    print(f"{made.path}: {made.bytes / 1e6:,.1f} MB, {made.runs:,} runs, checked.")
    return 0


def _parser() -> argparse.ArgumentParser:
    data_dir = next(setting for setting in SETTINGS if setting.name == "data_dir")
    default = Path(os.environ.get(data_dir.variable) or data_dir.default)
    parser = argparse.ArgumentParser(
        prog="rolloutwatch backup",
        description="Copy the archive, as it is at this moment, to FILE. A server may go on writing to it meanwhile. "
        "To restore it, put FILE as archive.db into an empty folder and name that one with --data-dir.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what the backup is to become")
    parser.add_argument(
        data_dir.flag, type=Path, default=default, metavar="DIR",
        help=f"folder of the archive (default: {data_dir.default}) [{data_dir.variable}]",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there already")
    return parser


class _Bar:
    """How far it is, on a terminal alone."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._next = 0.0

    def draw(self, done: int, everything: int) -> None:
        """Draw how many pages of all are copied, seldom enough to cost nothing."""
        if self._is_shown and (time.monotonic() >= self._next or done == everything):
            self._next = time.monotonic() + SECONDS_BETWEEN_DRAWINGS
            part = done / max(1, everything)
            told = "checking" if done == everything else f"{part:4.0%}"
            filled = "#" * round(part * WIDTH)
            print(f"\r[{filled:<{WIDTH}}] {told}  ", end="", file=sys.stderr, flush=True)

    def erase(self) -> None:
        """Make room for what is said next."""
        if self._is_shown:
            print("\r" + " " * (WIDTH + 14) + "\r", end="", file=sys.stderr, flush=True)
