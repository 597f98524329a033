"""The situations of tests/rules: what each rule does, step after step, exactly as it is written there."""

from pathlib import Path

import pytest

from rolloutwatch_contract.default_rules import DEFAULT_RULES
from tests.oracle.alerts import happenings
from tests.server.rule_scenarios import FOLDER, Played, event_lines, note_line, read

FILES = sorted(FOLDER.glob("*.toml"))


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def path(request: pytest.FixtureRequest) -> Path:
    assert isinstance(request.param, Path)
    return request.param


@pytest.mark.parametrize("how", ["whole", "figure_by_figure", "restarts"])
def test_rules_stand_as_is_written(path: Path, how: str) -> None:
    """Whether a step comes at once or figure by figure, and though the server is started anew after each."""
    scenario = read(path)
    played = Played(scenario, **({} if how == "whole" else {how: True}))
    for at, row in enumerate(scenario.rows):
        played.play(row)
        stand = {rule: played.letters(rule) for rule in row.expect}
        assert stand == row.expect, f"{scenario.about}; row {at}: {row.piece}"
        if row.notes is not None:
            assert [note_line(note) for note in played.notes] == row.notes
    for rule, lines in scenario.events.items():
        assert event_lines(played.fed, rule) == lines


def test_what_is_written_is_what_a_slow_computation_finds(path: Path) -> None:
    scenario = read(path)
    if not scenario.is_plain:
        pytest.skip("it is more than steps one after the other")
    played = Played(scenario)
    for row in scenario.rows:
        played.play(row)
    pieces = [row.piece for row in scenario.rows if row.piece]
    steps = [(piece.step, piece.time, piece.metrics) for piece in pieces]
    sessions = [dict.fromkeys(piece.metrics, piece.session) for piece in pieces]
    expected = happenings(scenario.rules, steps, sessions)
    found = [
        (rule.name, one.change.value, one.epoch, one.step, one.time, one.quiet, one.reason)
        for some in played.fed
        for rule, one in some.transitions
    ]
    assert sorted(found) == sorted(map(tuple, expected))


def test_two_hundred_steps_that_alternate_are_little_to_be_told_of() -> None:
    """Six events, that it flaps, and that it is stable; then the next alert is told as ever."""
    played = Played(read(FOLDER / "flapping.toml"))
    for row in read(FOLDER / "flapping.toml").rows:
        played.play(row)
    lines = event_lines(played.fed, "ratios_spread")
    told = [line for line in lines if not line.endswith("quiet")]
    assert [line.split()[1] for line in told] == [
        *["firing", "resolved"] * 3, "flapping", "stable", "firing", "resolved",
    ]  # fmt: skip
    assert len(lines) == 200 + 2 + 2


def test_every_rule_of_a_file_is_expected_to_stand_somehow(path: Path) -> None:
    scenario = read(path)
    assert {rule.name for rule in scenario.rules} == set(scenario.rows[0].expect)


def test_there_is_a_file_for_every_default_rule() -> None:
    """Written out in full there, so that a change of the default rules has to be meant."""
    of_files = {
        rule.name: rule for path in FILES if path.stem.startswith("default_") for rule in read(path).rules
    }
    default = {rule.name: rule for rule in DEFAULT_RULES}
    assert of_files.keys() == default.keys()
    for name, rule in default.items():
        assert of_files[name].fingerprint == rule.fingerprint, name
        assert of_files[name].severity == rule.severity, name


def test_there_are_many_situations() -> None:
    assert len(FILES) >= 45
