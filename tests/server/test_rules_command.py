"""`rolloutwatch rules`: what rules say of a past run, and whether a file of rules can be."""

import contextlib
import json
import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_contract import Outcome, RunEnd, StepRecord
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.trial import try_rules as try_for_page
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
        "critical: reward_low - reward < 0.5 for 2 steps, until it is not for 2",
        "  The reward fell.",
        "  step 4 (2023-11-14 22:17:20) until step 9 (5 min): reward 0.1",
        "",
        "math~a: 1 alert of 1 of 1 rules over 11 steps.",
    ]
    assert told.err == ""


def test_a_program_reads_the_same_as_json(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Steps are judged from the first one on, and what stands in the range that is asked for is told."""
    assert try_rules(data_dir, str(file), "--json", "--from-step", "6", "--to-step", "8") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "run": RUN, "steps": 9, "compared": None, "by_clock": None, "same_as_recorded": None, "differences": None,
        "rules": [
            {
                "name": "reward_low", "severity": "critical", "when": "reward < 0.5", "clear": None,
                "for_steps": 2, "for_seconds": 0.0, "clear_steps": 2,
                "alerts": [
                    {
                        "firing_step": 4, "firing_time": 1_700_000_240.0, "values": {"reward": 0.1},
                        "resolved_step": None, "resolved_time": None, "reason": "", "flapping": False,
                        "by_clock": False,
                    }
                ],
            }
        ],
    }  # fmt: skip
    assert try_rules(data_dir, str(file), "--json", "--from-step", "10") == 0
    assert json.loads(capsys.readouterr().out)["rules"][0]["alerts"] == []


def test_without_a_file_a_run_is_judged_again_as_it_was_and_compared(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the rules that were in force, also where these have changed meanwhile; what cannot fire says why."""
    with contextlib.closing(Store(data_dir / "archive.db")) as store:
        store.save_rule_set('own_metrics = ["reward"]\n' + RULES, "api", "ada")
        more = [StepRecord(n, 1_700_000_000.0 + 60 * n, {"reward": 0.25}) for n in range(11, 14)]
        store.archive(STREAM, batch(*more, first=13))
    assert try_rules(data_dir) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[2:] == [
        "  step 12 (2023-11-14 22:25:20) and stands: reward 0.25",
        "",
        "Judged again by the rules that were in force: 1 alert, exactly what was recorded live.",
        "math~a: 1 alert of 1 of 1 rules over 14 steps.",
    ]


def silent_once(data_dir: Path, *documents: str) -> None:
    """A run that was silent before step 12 by the first rules, and went on by the others."""
    with contextlib.closing(Store(data_dir / "archive.db")) as store:
        first = 11
        for document in documents:
            store.save_rule_set(document, "api", "ada")
            more = [
                StepRecord(n, 1_700_000_000.0 + 60 * n, {"reward": 0.25}) for n in range(first, first + 3)
            ]
            store.archive(STREAM, batch(*more, first=first + 2))
            if first == 11:
                store.judge_by_clock(RUN, 600.0, 1.0)
            first += 3


SILENT = """
[[rule]]
name = "still"
severity = "critical"
when = "silent(300)"
"""


def test_what_the_clock_judged_is_listed_as_recorded_and_counted_apart(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = 'own_metrics = ["reward"]\n' + RULES + SILENT
    silent_once(data_dir, document, document)
    assert try_rules(data_dir) == 0
    told = capsys.readouterr()
    still, *_ = [line for line in told.out.splitlines() if "the clock of the server judged it" in line]
    assert still.startswith("  step 13 (")
    assert ") until step 14 (" in still
    assert told.out.splitlines()[-3:] == [
        "Judged again by the rules that were in force: 1 alert, exactly what was recorded live.",
        "1 alert of rules that the clock of the server judges is as recorded, and not compared.",
        "math~a: 2 alerts of 2 of 2 rules over 17 steps.",
    ]
    assert told.err == ""
    assert try_rules(data_dir, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["compared"], report["by_clock"], report["same_as_recorded"]) == (1, 1, True)
    listed = {rule["name"]: [one["by_clock"] for one in rule["alerts"]] for rule in report["rules"]}
    assert listed == {"reward_low": [False], "still": [True]}


def test_a_rule_that_was_the_clocks_once_is_compared_since_it_is_of_figures(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How often the clock has let it fire does not count."""
    own = 'own_metrics = ["reward"]\n'
    silent_once(data_dir, own + SILENT, own + RULES.replace("reward_low", "still"))
    assert try_rules(data_dir, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["compared"], report["by_clock"], report["differences"]) == (1, 1, [])
    with contextlib.closing(sqlite3.connect(data_dir / "archive.db")) as db:
        db.execute("DELETE FROM transitions WHERE rule = 'still' AND epoch = 2")
        db.commit()
    assert try_rules(data_dir, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["differences"] == ["step 15: still firing: found again, and not recorded"]
    assert (report["compared"], report["by_clock"]) == (0, 1)


def test_of_rules_in_a_file_those_of_the_clock_cannot_be_tried(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(RULES + SILENT)
    assert try_rules(data_dir, str(file)) == 0
    assert capsys.readouterr().err.splitlines() == [
        "rolloutwatch rules: rule 'still' cannot be tried on a past run: "
        "the clock of the server judges silent(300), and when nothing came is not recorded."
    ]


def test_steps_are_counted_and_what_is_noted_between_them_is_not(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That a run ended stands behind its last step, that other rules came in force within one."""
    with contextlib.closing(Store(data_dir / "archive.db")) as store:
        document = 'own_metrics = ["reward"]\n' + RULES
        store.save_rule_set(document, "api", "ada")
        store.save_rule_set(document.replace("0.5", "0.25"), "api", "ada")
        store.archive(STREAM, batch(RunEnd(1_700_001_000.0, Outcome.FINISHED), first=13))
        tried = try_for_page(store, RUN, parse_rules(document, "rules").rules)
        assert (tried.from_step, tried.to_step, tried.steps, tried.complete) == (0, 10, 11, True)
    assert try_rules(data_dir, str(file), "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 11


def test_what_is_not_as_recorded_is_listed_and_is_the_exit_code(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as after somebody's hand in the archive."""
    with contextlib.closing(Store(data_dir / "archive.db")) as store:
        store.save_rule_set('own_metrics = ["reward"]\n' + RULES, "api", "ada")
        more = [StepRecord(n, 1_700_000_000.0 + 60 * n, {"reward": 0.25}) for n in range(11, 14)]
        store.archive(STREAM, batch(*more, first=13))
    with contextlib.closing(sqlite3.connect(data_dir / "archive.db")) as db:
        db.execute("UPDATE transitions SET step = 13")
        db.commit()
    assert try_rules(data_dir, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["same_as_recorded"] is False
    assert told["differences"] == [
        "step 12: reward_low firing, the 1. time: found again, and not recorded",
        "step 13: reward_low firing, the 1. time: recorded, and not found again",
    ]


def test_a_run_that_nobody_has_judged_is_told_as_such(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_6.sql").read_text())
    Store(path).close()
    assert try_rules(path.parent) == 2
    assert "nobody has judged run 'math~a' yet" in capsys.readouterr().err


def test_rules_that_cannot_fire_say_why(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "more.toml"
    file.write_text(RULES + RULES.replace("reward_low", "weights").replace('"reward"', '"rollout_is_mean"'))
    assert try_rules(data_dir, str(file)) == 0
    assert "rule 'weights': 'rollout_is_mean' is not in this run: it needs rollout_is." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("metric", "what"),
    [
        ("ratio_std", "it comes with every step that the Monitor measures, by correct() or observe()."),
        ("ratio_std@math", "by correct() or observe(), of sequences of the group 'math'."),
        ("surprise_gap", "it needs training_entropy."),
        ("loss", "it comes when the trainer logs it, by Monitor.log(step, {'loss': ...})."),
    ],
)
def test_a_metric_that_the_run_lacks_is_told_with_what_would_bring_it(
    metric: str, what: str, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "more.toml"
    file.write_text('own_metrics = ["loss"]\n' + RULES.replace('"reward"', f'"{metric}"'))
    assert try_rules(data_dir, str(file)) == 0
    told = capsys.readouterr().err
    assert f"rule 'reward_low': '{metric}' is not in this run: it " in told
    assert told.endswith(what + "\n")


def test_a_file_is_checked_without_being_put_in_force(
    data_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures that runs of the archive have are known; without an archive those of the catalogue are."""
    assert rules(["check", str(file), "--data-dir", str(data_dir)]) == 0
    assert capsys.readouterr().out == "rules.toml: 1 rule.\n"
    assert rules(["check", str(file), "--data-dir", str(data_dir / "nowhere")]) == 2
    assert 'rule "reward_low"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule]]\nname = ", "rules.toml"),
        ("\udcff", "rules.toml"),
        (
            RULES.replace("below", "belwo"),
            "rules.toml, line 6",
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
