"""`rolloutwatch rules test`: what rules would have said of a past run."""

import contextlib
import json
import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_server.commands.rules import rules
from rolloutwatch_server.commands.when import days_and_hours, moment
from rolloutwatch_server.store import Store, StoreError
from tests.processes import ServerProcess
from tests.server.records import RUN, STREAM, batch, start, step

RULES = """
[[rule]]
name = "reward_low"
metric = "reward"
severity = "critical"
below = 0.5
for_steps = 2
clear_steps = 2
summary = "The reward fell."
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An archive of a run whose reward falls from step 3 to 6; a step is a minute."""
    values = [1.0, 1.0, 1.0, 0.4, 0.1, 0.3, 0.4, 1.0, math.nan, 1.0, 1.0]
    records = [
        StepRecord(n, 1_700_000_000.0 + 60 * n, {"reward": value, "mismatch_k3_kl": 0.0})
        for n, value in enumerate(values)
    ]
    with contextlib.closing(Store(tmp_path / "archive.db")) as store:
        store.archive(STREAM, batch(start(), *records))
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    one = tmp_path / "rules.toml"
    one.write_text(RULES)
    return one


def try_rules(data_dir: Path, *arguments: str, run: str = RUN) -> int:
    return rules(["test", *arguments, "--run", run, "--data-dir", str(data_dir)])


def test_it_prints_what_would_have_fired_and_when(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert try_rules(data_dir, str(file)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "critical: reward_low - reward below 0.5 for 2 steps, until good for 2",
        "  The reward fell.",
        "  step 4 (2023-11-14 22:17:20) until step 9, 4 steps (5 min): 0.1",
        "",
        "math~a: 1 alert of 1 of 1 rules over 11 steps.",
    ]
    assert told.err == ""


def test_a_program_reads_the_same_as_json(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert try_rules(data_dir, str(file), "--json", "--from-step", "4", "--to-step", "8") == 0
    (told,) = json.loads(capsys.readouterr().out)["rules"]
    assert told == {
        "name": "reward_low", "metric": "reward", "severity": "critical", "above": None, "below": 0.5,
        "for_steps": 2, "clear_steps": 2, "samples": 5,
        "alerts": [
            {
                "firing_step": 5, "firing_time": 1_700_000_300.0, "resolved_step": None, "resolved_time": None,
                "steps": 3, "bad_steps": 2, "value": 0.3, "worst": 0.1,
            }
        ],
    }  # fmt: skip


def test_without_a_file_the_default_rules_are_tried(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those whose figures the run does not have say what they need."""
    assert try_rules(data_dir) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"math~a: 0 alerts of 0 of {len(DEFAULT_LIMITS)} rules over 11 steps."
    assert (
        "metric 'rollout_is_mean' (rule 'rollout_is_mean_far_from_one') is not in this run: it needs rollout_is."
        in told.err
    )


def test_a_metric_that_nobody_knows_is_a_warning_with_the_nearest(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the catalogue or of the run; one that the run logs itself is as good as any."""
    file.write_text(RULES.replace('"reward"', '"rewrad"'))
    assert try_rules(data_dir, str(file)) == 0
    assert "metric 'rewrad' (rule 'reward_low') is unknown" in (told := capsys.readouterr().err)
    assert "Did you mean 'reward'" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\nname = ", "rules.toml is not TOML"),
        ("\udcff", "rules.toml is not TOML"),
        (
            RULES.replace("below", "belwo"),
            'rules.toml, rule "reward_low": unknown key "belwo". Did you mean "below"?',
        ),
    ],
)
def test_a_file_that_cannot_be_is_refused(
    data_dir: Path, file: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert try_rules(data_dir, str(file)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"rolloutwatch rules: {words}")


def test_what_is_not_there_is_told_with_what_is(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert try_rules(data_dir, str(data_dir / "none.toml")) == 2
    assert "none.toml cannot be read: No such file" in capsys.readouterr().err
    assert try_rules(data_dir, str(file), run="math~b") == 2
    assert "there is no run 'math~b'" in (told := capsys.readouterr().err)
    assert "expected one of math~a." in told
    assert try_rules(data_dir / "nowhere", str(file)) == 2
    assert "there is no archive" in capsys.readouterr().err
    assert not (data_dir / "nowhere").exists()


def test_an_archive_is_read_without_being_written(path: Path) -> None:
    """Nothing is made or brought up to date; what a server writes meanwhile is seen."""
    with contextlib.closing(Store(path)) as writing, contextlib.closing(Store.reading(path)) as reading:
        writing.archive(STREAM, batch(start(), step(0, kl=1.0)))
        assert [one.id for one in reading.runs()] == [RUN]
        writing.archive(STREAM, batch(step(1, kl=2.0), first=3))
        assert reading.series(RUN, ["kl"])["kl"].value.tolist() == [1.0, 2.0]
        with pytest.raises(StoreError, match="cannot be written"):
            reading.archive(STREAM, batch(step(2, kl=3.0), first=4))
    with contextlib.closing(Store.reading(path)) as alone:
        assert alone.series(RUN, ["kl"])["kl"].step.tolist() == [0, 1]


def test_an_archive_of_a_killed_server_is_read_as_it_was_left(path: Path) -> None:
    """With what stands in its log, although nobody has put that in its place yet."""
    child = os.fork()
    if child == 0:
        Store(path).archive(STREAM, batch(start(), step(0, kl=1.0)))
        os._exit(0)
    os.waitpid(child, 0)
    assert Path(f"{path}-wal").stat().st_size > 0
    with contextlib.closing(Store.reading(path)) as reading:
        assert reading.series(RUN, ["kl"])["kl"].value.tolist() == [1.0]


def test_an_older_archive_is_not_brought_up_to_date_by_reading(path: Path) -> None:
    text = (Path(__file__).parent / "archive_of_schema_3.sql").read_text()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(text)
    with pytest.raises(StoreError, match=r"has schema 3.*rolloutwatch serve"):
        Store.reading(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


@pytest.mark.end_to_end
def test_it_reads_beside_a_server(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server goes on, and is not disturbed."""
    with ServerProcess(tmp_path / "data") as server:
        told: Any = server.get("/runs")
        assert told == {"runs": []}
        assert try_rules(tmp_path / "data", str(file)) == 2
        assert "none, it is empty" in capsys.readouterr().err
        assert server.get("/runs") == {"runs": []}


def test_times_are_written_for_people() -> None:
    assert moment(0.0) == "1970-01-01 00:00:00"
    assert moment(1e30) == "1e+30 s"
    assert [days_and_hours(seconds) for seconds in (0.5, 59.0, 60.0, 3725.0, 90000.0, 86400.0, -120.0)] == [
        "0.5 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", "1 d", "-2 min",
    ]  # fmt: skip
