"""An archive whose file is not what was written to it: seen, told, and never half served."""

import contextlib
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from rolloutwatch_contract import Array, Mark, RunEnd, RunStart, StepRecord
from rolloutwatch_server.ingest import Trouble
from rolloutwatch_server.store import FOLD_AT, DamagedArchive, Store, StoreError
from rolloutwatch_server.store.database import Database
from rolloutwatch_server.store.integrity import note_beside, quarantine
from tests.processes import ROLLOUTWATCH, ServerProcess
from tests.redis_process import RedisProcess
from tests.server.asking import Asking
from tests.server.ingesting import ACK, ingesting, push
from tests.server.records import RUN, STREAM, batch, start, step, values

PAGE = 4096


def fill(path: Path) -> None:
    """Make an archive that has all there is: columns, rows, tables, marks, several sessions."""
    rng = np.random.default_rng(3)
    with contextlib.closing(Store(path, clock=lambda: 1000.0)) as store:
        records = [
            StepRecord(
                n,
                float(n),
                {"kl": rng.normal(), "ess": rng.normal(), "x/long_name": 1.0},
                sequences=Array.of(rng.normal(size=(40, 12)).astype(np.float32)) if n % 20 == 0 else None,
                histogram=Array.of(rng.integers(0, 9, 64)),
                sample_ids=Array.of(rng.integers(0, 2**40, 40)) if n % 20 == 0 else None,
            )
            for n in range(FOLD_AT + 300)
        ]
        begin = RunStart("math", "a", 1.0, {"rollout_is": "token"}, {"host": "h"})
        store.archive(STREAM, batch(begin, *records, Mark(7, 7.0, "checkpoint", {"path": "x"})))
        store.archive(STREAM, batch(RunEnd(2000.0), first=len(records) + 3))


def answers(path: Path) -> dict[str, Any]:
    """Everything that is shown of figures, tables and marks."""
    with contextlib.closing(Store(path, clock=lambda: 1000.0)) as store:
        found: dict[str, Any] = {
            metric: (one.step.tobytes(), one.value.tobytes())
            for metric, one in store.series(RUN, ["kl", "ess", "x/long_name"]).items()
        }
        found["runs"] = [run.id for run in store.runs()]
        found["tables"] = [store.attempts(RUN, n) for n in (*range(0, FOLD_AT, 60), FOLD_AT + 40)]
        found["marks"] = [(mark.step, mark.kind) for mark in store.marks(RUN)]
        found["cursor"] = store.archived_to(STREAM)
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("sound") / "archive.db"
    fill(path)
    return path, answers(path)


def flipped(original: bytes, seed: int) -> bytes:
    """Flip a few bits, more often where a file has its structure: in its header and where pages begin."""
    dice = random.Random(seed)
    damaged = bytearray(original)
    for _ in range(dice.choice((1, 1, 1, 8))):
        page = dice.randrange(len(original) // PAGE) * PAGE
        place = dice.choice((dice.randrange(100), page + dice.randrange(16), page + dice.randrange(PAGE)))
        damaged[min(place, len(original) - 1)] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def test_what_is_shown_of_a_file_with_flipped_bits_is_what_was_archived(
    sound: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Wherever they are, in header, trees, values or nowhere: the right figures, tables and marks, or a refusal."""
    path, expected = sound
    original = path.read_bytes()
    refused = 0
    for seed in range(200):
        damaged = tmp_path / f"{seed}.db"
        damaged.write_bytes(flipped(original, seed))
        try:
            found = answers(damaged)
        except StoreError:
            refused += 1
        else:
            assert found == expected, seed
        for one in tmp_path.iterdir():
            one.unlink()
    assert 100 < refused < 200


def cut(to: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, to(path.stat().st_size))


def over_a_page(number: int, fill: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(number * PAGE)
            file.write(fill * PAGE)

    return write


@pytest.mark.parametrize(
    "damage",
    [
        cut(lambda size: size // 2),
        cut(lambda size: size - PAGE),
        cut(lambda size: size - 1),
        cut(lambda size: PAGE),
        cut(lambda size: 200),
        over_a_page(4, b"\0"),
        over_a_page(4, b"\xff"),
    ],
    ids=["half", "a page less", "a byte less", "one page", "no page", "zeros", "ones"],
)  # fmt: skip
def test_a_file_that_was_cut_or_overwritten_is_refused_as_damaged(
    damage: Callable[[Path], None], sound: tuple[Path, dict[str, Any]], path: Path
) -> None:
    """With what to do, also the next time, though nobody looks again; not a byte of it changes."""
    shutil.copy(sound[0], path)
    damage(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(
            DamagedArchive,
            match=f"archive {path} is damaged: .* put a backup .* or start it with --quarantine",
        ):
            Store(path)
    assert path.read_bytes() == before
    assert note_beside(path).exists()


def test_a_schema_that_is_no_text_is_damage(sound: tuple[Path, dict[str, Any]], path: Path) -> None:
    """A flipped bit in the words of a table makes them undecodable; that is told as any damage is."""
    original = sound[0].read_bytes()
    refused = 0
    for place in range(original.index(b"CREATE TABLE runs"), original.index(b"CREATE TABLE runs") + 300, 3):
        damaged = bytearray(original)
        damaged[place] ^= 0x80
        path.write_bytes(damaged)
        with contextlib.suppress(StoreError):
            assert answers(path) == sound[1]
            refused -= 1
        refused += 1
        note_beside(path).unlink(missing_ok=True)
    assert refused > 50


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET config = '{\"rollout_is'",
        "UPDATE sessions SET started_at = 'soon'",
        "UPDATE runs SET last_step = x'00'",
        "UPDATE runs SET name = CAST(x'ff41' AS TEXT)",
        "UPDATE marks SET fields = x'c1'",
        "UPDATE marks SET fields = 5",
        "UPDATE marks SET session = 77",
        "UPDATE marks SET kind = CAST(x'ff' AS TEXT)",
        "UPDATE beginnings SET session = session + 9",
        "UPDATE step_tables SET histogram = 7",
        "UPDATE step_tables SET sequences = 'text'",
    ],
)
@pytest.mark.parametrize("is_running", [False, True], ids=["when opened", "while served"])
def test_a_value_of_another_kind_is_damage(
    change: str, is_running: bool, sound: tuple[Path, dict[str, Any]], path: Path
) -> None:
    """Seen when the archive is opened, or else by whoever stumbles over it, never a mistake of the server's."""
    shutil.copy(sound[0], path)
    store = Store(path) if is_running else None
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(change)
        db.commit()
    with contextlib.closing(store) if store else contextlib.nullcontext():
        try:
            store = store or Store(path)
        except DamagedArchive:
            return
        api = Asking.of(store)
        paths = (
            "/runs",
            f"/runs/{RUN}",
            f"/runs/{RUN}/marks",
            f"/runs/{RUN}/series?metric=kl",
            f"/runs/{RUN}/steps/20",
        )
        answered = [api.ask(f"/api/v1{one}") for one in paths]
        assert [one.status_code for one in answered if one.status_code not in (200, 503)] == []
        assert "is damaged" in answered[-1].json()["detail"]
        store.close()
    assert note_beside(path).exists()


def test_a_mistake_of_the_server_is_no_damage(path: Path) -> None:
    """Nothing is noted of an archive that is sound."""
    with contextlib.closing(Database(path)) as database:
        with pytest.raises(TypeError), database.read():
            raise TypeError("a mistake")
        assert not database.damage
    assert not note_beside(path).exists()


def test_a_damaged_archive_is_put_aside_with_all_that_belongs_to_it(
    sound: tuple[Path, dict[str, Any]], path: Path
) -> None:
    """Under a name with the time; a new one begins in its place, and the note does not speak of that."""
    shutil.copy(sound[0], path)
    cut(lambda size: size // 2)(path)
    Path(f"{path}-wal").write_bytes(b"of the old one")
    with pytest.raises(DamagedArchive):
        Store(path)
    before = path.read_bytes()
    aside = quarantine(path)
    assert aside.name.startswith("archive-damaged-2")
    assert aside.read_bytes() == before
    assert Path(f"{aside}-wal").read_bytes() == b"of the old one"
    with contextlib.closing(Store(path)) as store:
        assert store.runs() == []
        assert store.quarantined() == [aside]
        assert Asking.of(store).ask("/readyz").json()["quarantined"] == [aside.name]


def test_a_large_file_is_served_while_it_is_read_as_a_whole(
    sound: tuple[Path, dict[str, Any]], path: Path
) -> None:
    """What is wrong with it is found a little later, and then nothing is served any more."""
    shutil.copy(sound[0], path)
    over_a_page(path.stat().st_size // PAGE - 3, b"\xff")(path)
    database = Database(path, read_up_to=0)
    assert not database.is_read
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    with pytest.raises(DamagedArchive):
        database.read_as_a_whole()
    with pytest.raises(DamagedArchive), database.write():
        pass
    database.close()
    shutil.copy(sound[0], path)
    note_beside(path).unlink()
    with contextlib.closing(Database(path, read_up_to=0)) as database:
        database.read_as_a_whole()
        assert database.is_read


def test_an_empty_file_is_the_archive_of_a_server_that_was_killed_at_once(path: Path) -> None:
    path.touch()
    with contextlib.closing(Store(path)) as store:
        store.archive(STREAM, batch(step(0, kl=1.0)))
        assert values(store, "kl") == {0: 1.0}


def test_a_database_of_something_else_with_a_number_that_we_know_is_not_migrated(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE runs (id TEXT); PRAGMA user_version = 2;")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of something else"):
        Store(path)
    assert path.read_bytes() == before


@contextlib.contextmanager
def killed_with(path: Path, *, keep: str = "-wal") -> Iterator[None]:
    """Leave an archive as a server that was killed does: what it had last committed is in the WAL alone."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from tests.server.records import *\n"
        "store = Store(sys.argv[1]); store._database._writer.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "for n in range(20): store.archive(STREAM, batch(step(n, kl=float(n)), first=n + 1))\n"
        "os.kill(os.getpid(), 9)"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, str(path), root], check=False)
    assert Path(f"{path}{keep}").exists()
    yield


def test_what_a_killed_server_had_committed_is_there_without_its_shared_memory(path: Path) -> None:
    """The -shm file is an index, and is made again."""
    with killed_with(path):
        Path(f"{path}-shm").unlink()
        with contextlib.closing(Store(path)) as store:
            assert values(store, "kl") == {n: float(n) for n in range(20)}


def test_a_wal_with_a_torn_end_costs_what_was_not_committed(path: Path) -> None:
    """Half a frame, or noise, behind what was committed is what a power cut leaves."""
    with killed_with(path):
        with Path(f"{path}-wal").open("ab") as wal:
            wal.write(b"\x17" * 3000)
        with contextlib.closing(Store(path)) as store:
            assert values(store, "kl") == {n: float(n) for n in range(20)}


def test_damage_that_shows_while_the_server_runs_ends_all_reading_and_writing(
    sound: tuple[Path, dict[str, Any]], path: Path, redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is acknowledged or trimmed from then on, the health says why and what to do, and no answer is half."""
    shutil.copy(sound[0], path)
    store = Store(path)
    api = Asking.of(store)
    other = STREAM.replace("s1", "s2")
    with ingesting(store, redis.url) as running:
        push(redis, other, start(time=2000.0), step(5000, kl=1.0))
        running.wait_for(records=2)
        with path.open("r+b") as file:
            file.seek(PAGE)
            file.write(b"\xff" * (path.stat().st_size - PAGE))
        answer = api.ask(f"/api/v1/runs/{RUN}/series", metric="kl")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "is damaged" in answer.json()["detail"]
        assert api.ask("/api/v1/runs").status_code == 503
        push(redis, other, step(5001, kl=1.0), first=3)
        reason = running.wait_for_trouble(Trouble.ARCHIVE)
        with redis.client() as client:
            assert client.xlen(other) == 1
            assert client.get(ACK.replace("s1", "s2")) == b"2"
    ready = api.ask("/readyz")
    assert ready.status_code == 503
    assert ready.json()["archive"] == {"ok": False, "why": reason}
    assert "start it with --quarantine" in reason
    told = [one.message for one in caplog.records if one.levelno == logging.ERROR]
    assert told == [reason]
    store.close()
    with pytest.raises(DamagedArchive, match=r"so says .*archive\.db\.damaged"):
        Store(path)


@pytest.mark.end_to_end
def test_a_server_refuses_a_damaged_archive_or_begins_a_new_one(
    sound: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """It says what to do; told to, it puts the damaged one aside and says so as long as that is there."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copy(sound[0], data_dir / "archive.db")
    over_a_page(4, b"\xff")(data_dir / "archive.db")
    refused = subprocess.run(
        [ROLLOUTWATCH, "serve", "--data-dir", str(data_dir), "--port", "0", "--redis-url", "redis://127.0.0.1:1"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stderr.count("\n") <= 2
    assert "is damaged" in refused.stderr
    assert "--quarantine" in refused.stderr
    with ServerProcess(data_dir, "--quarantine") as server:
        (aside,) = httpx.get(f"{server.url}/readyz").json()["quarantined"]
        assert server.get("/runs") == {"runs": []}
        assert (data_dir / aside).exists()
