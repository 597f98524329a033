"""A disk that is full: what cannot be written is not acknowledged, what is there stays, and room that comes back is used."""

import contextlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from rolloutwatch_contract import Array, RunEnd, StepRecord
from rolloutwatch_server.store import FOLD_AT, Store
from tests.processes import ServerProcess, wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import ACK, push
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step, values

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000


@contextlib.contextmanager
def no_file_beyond(limit: int, pid: int = 0) -> Iterator[None]:
    """Let a process, this one if none is named, write no file beyond so many bytes: SQLite then finds the disk full."""
    former = resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, former)


def tabled(number: int) -> StepRecord:
    table = Array.of(np.random.default_rng(number).normal(size=(256, 12)))
    return StepRecord(number, float(number), {"kl": float(number)}, sequences=table)


@pytest.mark.end_to_end
@pytest.mark.redis
def test_a_server_whose_disk_is_full_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """It acknowledges and trims nothing meanwhile, says so, and serves what it has; then everything is there, once."""
    with (
        RedisProcess(tmp_path / "redis") as redis,
        ServerProcess(tmp_path / "data", "--redis-url", redis.url) as server,
    ):
        assert server.process is not None
        push(redis, STREAM, start(), *(step(n, kl=float(n)) for n in range(10)))
        wait_for("the first steps", lambda: server.get("/runs")["runs"] or None)
        with no_file_beyond(MEGABYTE, server.process.pid):
            push(redis, STREAM, *(tabled(n) for n in range(10, 200)), first=12)

            def trouble() -> str | None:
                ready = httpx.get(f"{server.url}/readyz")
                return str(ready.json()["archive"]["why"]) if ready.status_code == 503 else None

            assert "cannot be written: " in wait_for("the trouble", trouble)
            shown = server.get(f"/runs/{RUN}")["last_step"]
            with redis.client() as client:
                acknowledged = int(client.get(ACK))
                assert acknowledged == shown + 2
                assert client.xlen(STREAM) == 190 + 11 - acknowledged
        wait_for("the rest", lambda: server.get(f"/runs/{RUN}")["last_step"] == 199)
        wait_for("its health", lambda: httpx.get(f"{server.url}/readyz").is_success)
        series = server.get(f"/runs/{RUN}/series", metric="kl")["series"]["kl"]
        assert (series["step"], series["value"]) == (list(range(200)), [float(n) for n in range(200)])
        with redis.client() as client:
            wait_for("the acknowledgement", lambda: client.get(ACK) == b"201" and client.xlen(STREAM) == 0)


def limited(code: str, path: Path, limit: int) -> subprocess.CompletedProcess[str]:
    """Run code on an archive in a process that finds the disk full beyond a size of its files."""
    begin = (
        "import resource, sys; sys.path.insert(0, sys.argv[2])\n"
        "from rolloutwatch_server.store import *; from tests.server.records import *\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    )
    command = [sys.executable, "-c", begin + code, str(path), str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_fold_that_finds_no_room_takes_nothing_away(path: Path) -> None:
    """The batch that brought it is not archived; the rows that were to become columns are there, and it works later."""
    before = {n: float(n) for n in range(FOLD_AT - 1)}
    with contextlib.closing(Store(path)) as store:
        store.archive(STREAM, batch(*(step(n, kl=float(n)) for n in before)))
    code = (
        "store = Store(sys.argv[1])\n"
        "try: store.archive(STREAM, batch(*(step(n, kl=float(n)) for n in range(1023, 1300)), first=1024))\n"
        "except StoreError as error: print(error)\n"
        "else: print('there was room')\n"
    )
    ran = limited(code, path, 40_000)
    assert "cannot be written: " in ran.stdout, ran.stderr
    with contextlib.closing(Store(path)) as store:
        assert values(store, "kl") == before
        store.archive(STREAM, batch(*(step(n, kl=float(n)) for n in range(1023, 1300)), first=1024))
        assert values(store, "kl") == {n: float(n) for n in range(1300)}


@pytest.mark.parametrize("schema", [1, 2, 3, 4, 5, 7])
def test_a_migration_that_finds_no_room_leaves_the_archive_as_it_was(schema: int, path: Path) -> None:
    """It is refused, not damaged, and taken over when there is room."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / f"archive_of_schema_{schema}.sql").read_text())
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    ran = limited("try: Store(sys.argv[1])\nexcept StoreError as error: print(error)\n", path, 20_000)
    assert "cannot be opened: " in ran.stdout, ran.stderr
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema,)
    for one in (path, copy):
        with contextlib.closing(Store(one)) as store:
            assert values(store, "kl")
    with contextlib.closing(Store(path)) as store, contextlib.closing(Store(copy)) as expected:
        assert values(store, "kl") == values(expected, "kl")
        assert [mark.step for mark in store.marks(RUN)] == [mark.step for mark in expected.marks(RUN)]


def test_a_run_can_be_deleted_when_the_archive_can_not_grow(path: Path) -> None:
    """What is free in the file then is used for what comes."""
    with contextlib.closing(Store(path)) as store:
        store.archive(STREAM, batch(start(), *(tabled(n) for n in range(200)), RunEnd(1.0)))
    size = path.stat().st_size
    code = (
        "store = Store(sys.argv[1])\n"
        "assert store.delete(RUN, 'for room')\n"
        "for _ in range(1000):\n"
        "    try:\n"
        "        if not store.sweep(): break\n"
        "    except StoreError: pass  # tried again, as the keeper does\n"
        "print(store.size()[0])\n"
    )
    ran = limited(code, path, size)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < size // 10
    with contextlib.closing(Store(path)) as store, no_file_beyond(size):
        store.archive(OTHER_SESSION, batch(*(tabled(n) for n in range(100))))
        assert len(values(store, "kl")) == 100


def test_a_file_that_cannot_be_written_is_refused_at_the_start() -> None:
    """Not at the first record, when trainers already count on it; nor is one that cannot be looked at."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.db"
        refused = refusal_by_nobody(path, 0o444, 0o755)
        assert refused == f"archive {path} cannot be opened: attempt to write a readonly database\n"
        assert refusal_by_nobody(path, 0o644, 0o700).startswith(f"archive {path} cannot be opened: ")


def refusal_by_nobody(path: Path, mode: int, mode_of_folder: int) -> str:
    with contextlib.closing(Store(path)) as store:
        store.archive(STREAM, batch(step(0, kl=1.0)))
    path.chmod(mode)
    path.parent.chmod(mode_of_folder)
    code = (
        "import os, sys\n"
        "from rolloutwatch_server.store.database import Database\n"
        "from rolloutwatch_server.store import StoreError\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: Database(sys.argv[1])\nexcept StoreError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
