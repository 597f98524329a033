"""The command `rolloutwatch import`: past runs from files into the archive, through the server if one runs on it."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rolloutwatch_contract.names import check_name
from rolloutwatch_server import data_dir
from rolloutwatch_server.commands.progress import Bar
from rolloutwatch_server.imports.conversion import Summary, Target, convert
from rolloutwatch_server.imports.delivery import CannotDeliver, Deliver, delivery
from rolloutwatch_server.imports.mapping import BY_NAME
from rolloutwatch_server.imports.refusal import CannotImport, shown
from rolloutwatch_server.imports.restoring import Restored
from rolloutwatch_server.imports.sources import ARCHIVE, AUTO, FORMATS, Source, find
from rolloutwatch_server.store import StoreError
from rolloutwatch_server.store.restoration import Conflict

NAMES_SHOWN = 8


def import_(arguments: Sequence[str]) -> int:
    """Import runs; returns the exit code: 1 if one of several was refused, 2 if nothing could begin."""
    os.umask(0o077)  # what is written here is for its owner alone
    options = _parser().parse_args(arguments)
    try:
        for kind, name in (("--project", options.project), ("--run", options.run)):
            if name is not None:
                check_name(kind, name)
        sources = [source for path in options.paths for source in find(Path(path), options.format)]
        if options.run is not None and len(sources) > 1:
            raise CannotImport(
                f"--run {options.run}: expected one run to be called so; came {len(sources)}. Leave it out."
            )
        with delivery(data_dir.named(options.data_dir)) as deliver:
            refused = [source for source in sources if not _import(source, options, deliver)]
    except (ValueError, StoreError, CannotDeliver, data_dir.NoDataDir) as error:
        print(f"rolloutwatch import: {error}", file=sys.stderr)
        return 2
    return 1 if refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch import",
        description="Read past runs into the archive, through the server if one runs on it. A run comes whole or not at all.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH",
        help="a file, or a folder: each folder with event files of TensorBoard is a run, each run-*.wandb, each *.rwz, "
        "each metrics.jsonl",
    )  # fmt: skip
    parser.add_argument(
        "--project", help="project to import into (default: what the file says, else 'imported')"
    )
    parser.add_argument(
        "--run", metavar="NAME", help="what to call the run (default: what the file says, else its name)"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=AUTO, help="what the files are (default: found out from each)"
    )
    parser.add_argument(
        "--data-dir",
        metavar="DATA_DIR",
        help="folder of the archive (default: .rolloutwatch) [ROLLOUTWATCH_DATA_DIR]",
    )
    return parser


def _import(source: Source, options: argparse.Namespace, deliver: Deliver) -> bool:
    """Import a run and tell of it; False if it is refused."""
    label = f"{shown(str(source.files[0]))} ({source.format})"
    try:
        if source.format == ARCHIVE:
            _tell(label, deliver(source.files[0], options.project, options.run))
            return True
        folder = data_dir.named(options.data_dir)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=data_dir.IMPORT, suffix=".rwz") as file:
            with Bar(f"import {shown(source.name)}") as bar:
                summary = convert(source.read(bar.show), _target(source, options), file)
            file.flush()
            _tell(label, deliver(Path(file.name), None, None))
            _tell_more(summary)
    except (CannotImport, Conflict) as error:
        cure = " Name another with --run." if isinstance(error, Conflict) else ""
        print(f"rolloutwatch import: {error}{cure}", file=sys.stderr)
        return False
    return True


def _target(source: Source, options: argparse.Namespace) -> Target:
    try:
        written_at = source.files[0].stat().st_mtime
    except OSError as error:
        raise CannotImport(f"{shown(str(source.files[0]))}: expected a file; came {error}.") from error
    return Target(options.project, options.run, source.name, written_at)


def _tell(label: str, restored: Restored) -> None:
    if not restored.new:
        print(f"run {restored.run} is in the archive already, all the same: nothing changed. From {label}")
        return
    sessions = "1 session" if restored.sessions == 1 else f"{restored.sessions} sessions"
    print(f"imported run {restored.run}: {restored.records} records of {sessions}. From {label}")


def _tell_more(summary: Summary) -> None:
    names = summary.names
    for name, metric in names.mapped.items():
        print(f"  mapped   {name} -> {metric} ({BY_NAME[name].trainer}: {BY_NAME[name].why})")
    if kept := names.kept:
        more = f" and {len(kept) - NAMES_SHOWN} more" if len(kept) > NAMES_SHOWN else ""
        print(f"  kept     {len(kept)} under their own names: {', '.join(kept[:NAMES_SHOWN])}{more}")
    for name, own in names.changed.items():
        print(f"  renamed  {shown(name)} -> {own}")
    for text in names.alike:
        print(f"  kept     {text}")
    for what, count in summary.skipped.items():
        print(f"  skipped  {count} {what}")
    for text in summary.warnings:
        print(f"  warning  {text}")
