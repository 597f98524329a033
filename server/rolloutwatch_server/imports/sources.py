"""Which runs stand under a path, and in which format."""

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rolloutwatch_server.imports import archive_file, jsonlines, leveldb, table, tensorboard, wandb
from rolloutwatch_server.imports.files import Input, Progress
from rolloutwatch_server.imports.past import Item
from rolloutwatch_server.imports.refusal import CannotImport, shown

AUTO, ARCHIVE = "auto", "rwz"
FORMATS = (AUTO, "tensorboard", "wandb", "jsonl", "csv", ARCHIVE)
MOST_RUNS = 1000
DEEPEST_FOLDER = 8
MOST_ENTRIES = 100_000

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}
_NAMES_IN_FOLDERS = ("metrics.jsonl", "logging.jsonl")


@dataclass(frozen=True)
class Source:
    """A run in files of one format, and what it may be called after where it stands."""

    format: str
    files: tuple[Path, ...]
    name: str

    def read(self, progress: Progress) -> Iterator[Item]:
        """Yield what the files tell; not for an archive file, which is one already."""
        readers: dict[str, Callable[[], Iterator[Item]]] = {
            "tensorboard": functools.partial(tensorboard.read, self.files, progress),
            "wandb": functools.partial(wandb.read, self.files[0], progress),
            "jsonl": functools.partial(jsonlines.read, self.files[0], progress),
            "csv": functools.partial(table.read, self.files[0], progress),
        }
        return readers[self.format]()


def find(path: Path, form: str = AUTO) -> list[Source]:
    """Return the runs under a path; CannotImport if there is none."""
    if path.is_dir() and not path.is_symlink():
        found = _in_folder(path, form)
        if not found:
            what = "event files of TensorBoard, run-*.wandb, *.rwz, " + " or ".join(_NAMES_IN_FOLDERS)
            raise CannotImport(f"{shown(str(path))}: expected {what} below the folder; came none.")
        return found
    return [_of_file(path, form, path.stem)]


def _of_file(path: Path, form: str, name: str) -> Source:
    return Source(_format_of(path) if form == AUTO else form, (path,), name)


def _format_of(path: Path) -> str:
    with Input(path) as file:
        beginning = file.read(512)
    if archive_file.is_archive_file(beginning):
        return ARCHIVE
    if beginning.startswith(leveldb.MAGIC):
        return "wandb"
    if tensorboard.is_events(beginning):
        return "tensorboard"
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if beginning.lstrip().startswith(b"{"):
        return "jsonl"
    raise CannotImport(
        f"{shown(str(path))}: expected a file of TensorBoard or wandb, an archive file, .jsonl or .csv; "
        f"came {shown(beginning[:16])}. Name its format with --format."
    )


def _in_folder(top: Path, form: str) -> list[Source]:
    found: list[Source] = []
    entries = 0
    for where, folders, files in os.walk(top):  # which follows no links
        folder = Path(where)
        entries += len(folders) + len(files)
        depth = len(folder.relative_to(top).parts)
        if entries > MOST_ENTRIES or depth > DEEPEST_FOLDER or len(found) > MOST_RUNS:
            raise CannotImport(
                f"{shown(str(top))}: expected at most {MOST_RUNS} runs in {MOST_ENTRIES} files, "
                f"{DEEPEST_FOLDER} folders deep; came more. Name fewer of its folders."
            )
        folders.sort()
        found += _of_folder(top, folder, sorted(files), form)
    return found


def _of_folder(top: Path, folder: Path, files: list[str], form: str) -> list[Source]:
    label = "-".join(folder.relative_to(top).parts) or folder.resolve().name or "run"
    paths = [folder / name for name in files if not (folder / name).is_symlink()]
    found = []
    events = tensorboard.files_of(folder) if form in (AUTO, "tensorboard") else []
    if events:
        found.append(Source("tensorboard", tuple(events), label))
    for path in paths:
        if path.suffix == ".wandb" and form in (AUTO, "wandb"):
            found.append(Source("wandb", (path,), path.stem.removeprefix("run-")))
        elif path.name in _NAMES_IN_FOLDERS and form in (AUTO, "jsonl"):
            found.append(Source("jsonl", (path,), label))
        elif path.suffix == ".rwz" and form in (AUTO, ARCHIVE):
            found.append(Source(ARCHIVE, (path,), path.stem))
        elif form in ("jsonl", "csv") and _SUFFIXES.get(path.suffix.lower()) == form:
            found.append(Source(form, (path,), f"{label}-{path.stem}"))
    return found
