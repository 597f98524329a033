"""The command `rolloutwatch backup`: copy the archive while the server runs."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rolloutwatch_server.commands.progress import Bar
from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import ARCHIVE, StoreError
from rolloutwatch_server.store.backup import back_up


def backup(arguments: Sequence[str]) -> int:
    """Write a backup; returns the exit code: 0 when it is written and checked, 1 when not, 2 for wrong arguments."""
    os.umask(0o077)  # what is written here is for its owner alone
    options = _parser().parse_args(arguments)
    try:
        with Bar("copying", "pages") as bar:
            made = back_up(options.data_dir / ARCHIVE, options.file, replace=options.force, tell=bar.show)
    except StoreError as error:
        print(f"rolloutwatch backup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rolloutwatch backup: stopped, and nothing was written.", file=sys.stderr)
        return 1
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
