"""Commands that the page of exports and imports shows do what it says, in the order in which they stand there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from rolloutwatch_contract.command import main
from rolloutwatch_server.store import Store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/import-export.md").read_text()
FIXTURES = ROOT / "tests/server/imports/fixtures"


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the page is written in: with a run in its archive, and files to import."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    shutil.copytree(FIXTURES / "tensorboardx", tmp_path / "logs/first")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    (tmp_path / "table.csv").write_text("step,loss\n1,0.5\n")
    assert main(["import", "run-golden.wandb"]) == 0
    return tmp_path


def test_every_command_of_the_page_does_what_it_says(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for command in commands():
        assert main(command) == 0, command
    written = {"rlhf~ppo-7b.csv", "ppo.jsonl", "ppo.parquet", "ppo.rwz", "part.csv"}
    assert written <= {path.name for path in folder.iterdir()}
    assert len((folder / "part.csv").read_text().splitlines()) == 4
    store = Store(folder / ".rolloutwatch/archive.db")
    assert {run.id for run in store.runs()} == {
        "rlhf~ppo-7b", "rlhf~ppo-7b-again", "rlhf~ppo-8b", "imported~tensorboard", "imported~table", "old~first",
    }  # fmt: skip
    store.close()


def test_what_the_page_says_is_printed_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main(["import", "tensorboardx"])
    (promised,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert capsys.readouterr().out == promised
