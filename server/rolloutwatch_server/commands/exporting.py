"""The command `rolloutwatch export`: a run of the archive as a file. A server may run meanwhile."""

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server import data_dir
from rolloutwatch_server.commands.progress import Bar
from rolloutwatch_server.exports.export import CannotExport, Format, Wish
from rolloutwatch_server.exports.export import export as export_run
from rolloutwatch_server.exports.parquet import NoParquet
from rolloutwatch_server.store import Store, StoreError

STDOUT = "-"


class _Refused(ValueError):
    """What was asked for cannot be done; the message says why."""


def export(arguments: Sequence[str]) -> int:
    """Write a run to a file; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        wish = Wish(_format_of(options), options.metric, options.from_step, options.to_step)
        path = data_dir.archive_of(data_dir.named(options.data_dir))
        with contextlib.closing(Store(path)) as store:
            _write(store, _find(store, options.run), wish, options.output)
    except (_Refused, CannotExport, NoParquet, StoreError, data_dir.NoDataDir) as error:
        print(f"rolloutwatch export: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # nothing is left to be flushed into it
        return 1
    except OSError as error:
        print(f"rolloutwatch export: the file cannot be written: {error}.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch export",
        description="Write a run of the archive to a file. A server may run on the archive meanwhile.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "run", metavar="RUN", help="the run's id, project~name, or its name if only one is called so"
    )
    parser.add_argument(
        "--format", choices=[one.value for one in Format],
        help="csv, jsonl and parquet have the figures that are shown; rwz has all there is of the run "
        "(default: by the name of FILE, else csv)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", metavar="FILE", help=f"where to; {STDOUT} is stdout (default: RUN.FORMAT)"
    )
    parser.add_argument(
        "--metric", action="append", default=[], help="only this metric; may be given several times"
    )
    parser.add_argument(
        "--from-step", type=int, metavar="STEP", help="the first step (default: the run's first)"
    )
    parser.add_argument("--to-step", type=int, metavar="STEP", help="the last step (default: the run's last)")
    parser.add_argument(
        "--data-dir",
        metavar="DATA_DIR",
        help="folder of the archive (default: .rolloutwatch) [ROLLOUTWATCH_DATA_DIR]",
    )
    return parser


def _format_of(options: argparse.Namespace) -> Format:
    if options.format:
        return Format(options.format)
    suffix = Path(options.output or "").suffix.lstrip(".")
    if suffix and suffix not in {one.value for one in Format}:
        raise _Refused(
            f"--output is {options.output!r}: expected a name that ends in .csv, .jsonl, .parquet or .rwz. "
            "Name the format with --format."
        )
    return Format(suffix) if suffix else Format.CSV


def _find(store: Store, asked: str) -> RunDetail:
    runs = store.runs()
    named = [one.id for one in runs if one.name == asked]
    detail = store.run(named[0] if len(named) == 1 else asked)
    if detail is not None:
        return detail
    if named:
        raise _Refused(
            f"{len(named)} runs are called {asked!r}: name one of {', '.join(sorted(named)[:10])}."
        )
    ids = [one.id for one in runs]
    near = difflib.get_close_matches(asked[:300], ids, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(ids[:10]) or 'none'}."
    raise _Refused(f"there is no run {asked[:300]!r}. {hint}")


def _write(store: Store, detail: RunDetail, wish: Wish, output: str | None) -> None:
    name = output or f"{detail.summary.id}.{wish.format.value}"
    with Bar(f"export {detail.summary.id}", "steps" if wish.format is not Format.RWZ else "records") as bar:
        pieces = export_run(store, detail, wish, bar.show)
        with _opened(name) as file:
            for piece in pieces:
                file.write(piece)
    if name != STDOUT:
        print(f"wrote {name}", file=sys.stderr)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file that is there when it is complete, and not before."""
    if name == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if Path(name).exists():
        raise _Refused(f"{name} is there already: take it away, or name another file with --output.")
    half = Path(f"{name}.part")
    try:
        with half.open("wb") as file:
            yield file
        half.replace(name)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
