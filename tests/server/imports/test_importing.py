"""Past runs on their way into the archive: through the API, through the command, with a server and without."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from rolloutwatch_server.commands.importing import import_
from rolloutwatch_server.data_dir import owned
from rolloutwatch_server.imports.delivery import TOKEN_VARIABLE
from rolloutwatch_server.store import MEMORY, Store
from tests.processes import ROLLOUTWATCH, ServerProcess
from tests.server.asking import Asking
from tests.server.exports.test_archive_file import answers, exported, rows
from tests.server.imports.importing import FIXTURES, WANDB, written
from tests.server.records import RUN, STREAM, batch, start, step


def post(store: Store, data: bytes, **names: str) -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 100):
            yield data[at : at + 100]

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(Asking.of(store).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            kind = {"Content-Type": "application/octet-stream"}
            return await client.post("/api/v1/imports", content=pieces(), params=names, headers=kind)

    return asyncio.run(answer())


@pytest.fixture
def data() -> bytes:
    """An archive file of a small run."""
    store = Store(MEMORY, clock=lambda: 10.0)
    store.archive(STREAM, batch(start(), step(1, kl=1.0), step(2, kl=2.0)))
    return exported(store)


def test_an_archive_file_that_is_posted_is_a_run(store: Store, data: bytes) -> None:
    """Posted again it changes nothing, and the answer says so."""
    answer = post(store, data)
    assert (answer.status_code, answer.json()) == (
        201,
        {"run": RUN, "new": True, "sessions": 1, "records": 2},
    )
    before = answers(store)
    again = post(store, data)
    assert (again.status_code, again.json()["new"]) == (200, False)
    assert answers(store) == before


def test_a_run_of_the_same_id_is_refused_unless_another_name_is_given(store: Store, data: bytes) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=7.0)))
    before = answers(store)
    refused = post(store, data)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert "under another name" in refused.json()["detail"]
    assert answers(store) == before
    assert post(store, data, run="b").json()["run"] == "math~b"


@pytest.mark.parametrize(
    ("make", "status", "said"),
    [
        (lambda data: b"", 422, "'the archive file', block at byte 0: expected"),
        (lambda data: data[:-1], 422, "the file is cut"),
        (lambda data: data + b"x", 422, "more behind it"),
        (lambda data: b"PK\x03\x04" + data, 422, "as an archive file begins"),
    ],
)
def test_what_is_no_archive_file_is_a_problem_and_leaves_nothing(
    store: Store, data: bytes, make: Callable[[bytes], bytes], status: int, said: str
) -> None:
    answer = post(store, make(data))
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert rows(store) == set()
    assert not [one for one in Path(store.path).parent.iterdir() if one.name.startswith(".import")]


@pytest.mark.parametrize("name", ["../x", "a~b", "", "x" * 129, "a\n"])
def test_a_name_that_is_none_is_refused(store: Store, data: bytes, name: str) -> None:
    assert post(store, data, run=name).status_code == 422
    assert rows(store) == set()


KILLED = """
import os, sys
from rolloutwatch_server.store import Store
with Store(sys.argv[1]).restoration() as restoration:
    restoration.begin_session()
    os._exit(9)
"""


def test_what_a_killed_import_left_is_taken_away_by_the_next_one(path: Path, data: bytes) -> None:
    """And nobody is shown it before."""
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    store = Store(path)
    assert store.runs() == []
    assert rows(store) != set()
    assert post(store, data).status_code == 201
    assert rows(store) == {RUN}
    store.close()


def test_the_command_brings_every_run_below_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells what was mapped, what kept its name, and what was left out; a second time nothing changes."""
    arguments = [str(FIXTURES), "--data-dir", str(tmp_path)]
    assert import_(arguments) == 0
    said = capsys.readouterr().out
    assert "imported run rlhf~ppo-7b: 8 records of 1 session" in said
    assert "imported run imported~tensorboard: 11 records of 2 sessions" in said
    assert "mapped   optim/kl_sample_train_v1 -> mismatch_kl (Tinker:" in said
    assert (
        "ppo_actor/update/behave_approx_kl/avg (AReaL) is not mismatch_kl: mean_t(training - rollout)" in said
    )
    assert "skipped  32 values that are no numbers" in said
    assert import_(arguments) == 0
    assert capsys.readouterr().out.count("nothing changed") == 3


def test_one_refused_file_does_not_keep_the_others_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = written(tmp_path, "bad.jsonl", '{"step": 1, "a": 1}\n{"step": "x"}\n')
    assert import_([str(bad), str(WANDB), "--data-dir", str(tmp_path / "data")]) == 1
    told = capsys.readouterr()
    assert "line 2: expected step from 0 to 2^53 - 1; came 'x'" in told.err
    assert "rlhf~ppo-7b" in told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.jsonl"], "No such file"),
        ([str(WANDB), "--run", "../x"], "expected 1 to 128 letters"),
        ([str(FIXTURES), "--run", "x"], "expected one run to be called so; came 3"),
    ],
)
def test_what_cannot_begin_is_said_with_a_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert import_([*arguments, "--data-dir", str(tmp_path / "data")]) == 2
    assert said in capsys.readouterr().err


def test_a_data_dir_that_is_in_use_by_no_server_is_not_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with owned(tmp_path):
        assert import_([str(WANDB), "--data-dir", str(tmp_path)]) == 2
    assert "in use by a process that is no server that is ready" in capsys.readouterr().err
    assert not (tmp_path / "archive.db").exists()


@pytest.mark.end_to_end
@pytest.mark.redis
def test_the_file_that_a_killed_import_left_is_taken_away(tmp_path: Path) -> None:
    """It lies in the data dir, where the next import or server finds it, and nothing else of that folder goes."""
    left, other = tmp_path / ".import-abc.rwz", tmp_path / "mine.rwz"
    left.write_bytes(b"half")
    other.write_bytes(b"whole")
    assert import_([str(WANDB), "--data-dir", str(tmp_path)]) == 0
    assert not left.exists()
    assert other.exists()
    left.write_bytes(b"half")
    with ServerProcess(tmp_path):
        assert not left.exists()


@pytest.mark.end_to_end
def test_while_a_server_runs_the_command_hands_runs_to_it(tmp_path: Path) -> None:
    """Only the server writes to its archive. It shows the run at once, and goes on showing it.

    The command asks it where it listens: its public address, on another host, may not even lead here.
    """
    with ServerProcess(tmp_path / "data", "--public-url", "https://watch.example") as server:
        command = [ROLLOUTWATCH, "import", str(WANDB), "--data-dir", str(server.data_dir)]
        environment = os.environ | {TOKEN_VARIABLE: "not-asked-for"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "imported run rlhf~ppo-7b" in done.stdout
        assert done.stderr == ""
        assert server.get("/runs")["runs"][0]["id"] == "rlhf~ppo-7b"
        again = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "nothing changed" in again.stdout
        exported = [ROLLOUTWATCH, "export", "ppo-7b", "-o", "-", "--data-dir", str(server.data_dir)]
        text = subprocess.run(exported, capture_output=True, text=True, check=True).stdout
        sent = httpx.get(f"{server.url}/api/v1/runs/rlhf~ppo-7b/export").text
        assert text == sent
