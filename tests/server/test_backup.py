"""Backups: of one moment, beside a writer, checked, and never half a file."""

import contextlib
import re
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from rolloutwatch_contract import Array, Mark, RunStart, StepRecord
from rolloutwatch_server.commands.backup import backup
from rolloutwatch_server.store import ARCHIVE, FOLD_AT, Entry, Position, Store
from rolloutwatch_server.store.backup import back_up
from tests.processes import wait_for
from tests.server.records import RUN, STREAM, batch, start, step, values

BATCH = 50


def record(number: int) -> RunStart | StepRecord | Mark:
    if number == 1:
        return start(time=1.0)
    if number % 97 == 0:
        return Mark(number, float(number), "checkpoint", {})
    table = Array.of(np.random.default_rng(number).normal(size=(8, 12)))
    return StepRecord(number, float(number), {"kl": number / 7, "ess": 1.0}, sequences=table)


def records(first: int) -> list[Entry]:
    return [Entry(Position(n), record(n)) for n in range(first, first + BATCH)]


def answers(store: Store) -> list[Any]:
    """Everything that can be asked of an archive of this run."""
    series = store.series(RUN, ["kl", "ess"])
    last = store.runs()[0].last_step or 0
    return [
        store.runs(),
        msgspec.json.encode(store.run(RUN)),
        {name: (one.step.tobytes(), one.value.tobytes()) for name, one in series.items()},
        store.marks(RUN),
        [store.attempts(RUN, number) for number in (2, last // 2, last)],
        store.archived_to(STREAM),
        store.dead_letters(9),
    ]


def test_a_backup_beside_a_writer_is_the_archive_of_one_moment(tmp_path: Path) -> None:
    """Restored, by being put into an empty folder, it answers as an archive does that had all up to its cursor."""
    path, copy = tmp_path / ARCHIVE, tmp_path / "copy.db"
    store = Store(path, clock=lambda: 1000.0)
    ended, begun = threading.Event(), threading.Event()
    archived = [0]

    def write() -> None:
        while not ended.is_set():
            store.archive(STREAM, records(archived[0] + 1))
            archived[0] += BATCH
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    wait_for("several folds", lambda: archived[0] > 5 * FOLD_AT)
    told: list[tuple[int, int]] = []

    def tell(done: int, everything: int) -> None:
        begun.clear()
        assert begun.wait(30)  # whatever comes while it is copied is not in it, and does not wait for it
        told.append((done, everything))

    try:
        made = back_up(path, copy, tell=tell)
        at_end = archived[0]
    finally:
        ended.set()
        writer.join()
        store.close()
    assert told[-1][0] == told[-1][1]
    assert len(told) > 2
    assert made.bytes == copy.stat().st_size
    assert made.runs == 1
    restored_dir = tmp_path / "restored"
    restored_dir.mkdir()
    copy.rename(restored_dir / ARCHIVE)
    with contextlib.closing(Store(restored_dir / ARCHIVE, clock=lambda: 1000.0)) as restored:
        cursor = restored.archived_to(STREAM)
        assert FOLD_AT < cursor < at_end
        with contextlib.closing(Store(tmp_path / "reference.db", clock=lambda: 1000.0)) as reference:
            for first in range(1, cursor + 1, BATCH):
                reference.archive(STREAM, records(first))
            assert answers(restored) == answers(reference)
        assert restored.archive(STREAM, records(cursor + 1)) == records(
            cursor + 1
        )  # and it goes on from there
    assert sorted(one.name for one in tmp_path.iterdir()) == [ARCHIVE, "reference.db", "restored"]


def filled(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with contextlib.closing(Store(folder / ARCHIVE)) as store:
        store.archive(STREAM, batch(start(), *(step(n, kl=float(n)) for n in range(2 * FOLD_AT))))
    return folder


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And that is an archive with everything in it; what is there already is replaced only if that is asked for."""
    source, target = filled(tmp_path / "data"), tmp_path / "backup.db"
    target.write_text("a diary")
    arguments = ["--data-dir", str(source), str(target)]
    assert backup(arguments) == 1
    assert target.read_text() == "a diary"
    assert "is there already: name another file, or add --force to replace it." in capsys.readouterr().err
    assert backup([*arguments, "--force"]) == 0
    assert capsys.readouterr().out == f"{target}: {target.stat().st_size / 1e6:,.1f} MB, 1 runs, checked.\n"
    with contextlib.closing(Store(target)) as store:
        assert len(values(store, "kl")) == 2 * FOLD_AT


@pytest.mark.parametrize(
    ("data_dir", "target", "complaint"),
    [
        ("nowhere", "backup.db", "there is no archive {0}/nowhere/archive.db: name the server's folder with --data-dir."),
        ("data", "no/backup.db", "there is no folder {0}/no: make it, or name another file."),
        ("data", "data", "{0}/data is a folder: name the file that the backup is to become."),
        ("data", "data/archive.db", "{0}/data/archive.db is the archive itself: name another file."),
        ("other", "backup.db", "{0}/other/archive.db has schema 0, and is no archive of this or an older Rolloutwatch."),
        ("text", "backup.db", "backup of {0}/text/archive.db to {0}/backup.db cannot be made: file is not a database."),
    ],
)  # fmt: skip
def test_what_cannot_be_copied_is_named(
    data_dir: str, target: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its cure; nothing is written, and nothing that was there is touched."""
    filled(tmp_path / "data")
    for name in ("other", "text"):
        (tmp_path / name).mkdir()
    (tmp_path / "text" / ARCHIVE).write_text("dear diary " * 500)
    with contextlib.closing(sqlite3.connect(tmp_path / "other" / ARCHIVE)) as db:
        db.execute("CREATE TABLE runs (id TEXT)")
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    assert backup(["--force", "--data-dir", str(tmp_path / data_dir), str(tmp_path / target)]) == 1
    assert capsys.readouterr().err == f"rolloutwatch backup: {complaint.format(tmp_path)}\n"
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


def test_a_damaged_archive_replaces_no_backup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The copy is read as a whole before it gets its name: the sound backup of yesterday stays."""
    source, target = filled(tmp_path / "data"), tmp_path / "backup.db"
    assert backup(["--data-dir", str(source), str(target)]) == 0
    before = target.read_bytes()
    with (source / ARCHIVE).open("r+b") as file:
        file.seek(4096 * 3)  # a page of a table
        file.write(b"\xff" * 4096)
    assert backup(["--data-dir", str(source), str(target), "--force"]) == 1
    assert re.search("not sound|cannot be made: database disk image is malformed", capsys.readouterr().err)
    assert target.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["backup.db", "data"]


def test_a_disk_that_becomes_full_leaves_no_half_backup(tmp_path: Path) -> None:
    """It says so, and what it had written is gone."""
    source, target = filled(tmp_path / "data"), tmp_path / "backup.db"
    limit = (source / ARCHIVE).stat().st_size // 2
    code = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from rolloutwatch_server.commands.backup import backup; sys.exit(backup(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "--data-dir", str(source), str(target)], capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(
        f"rolloutwatch backup: backup of {source / ARCHIVE} to {target} cannot be made: "
    )
    assert [one.name for one in tmp_path.iterdir()] == ["data"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
