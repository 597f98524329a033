"""The command `rolloutwatch`: what it can do depends on what is installed."""

import pytest
import yaml

from rolloutwatch_contract import __version__
from rolloutwatch_contract.command import main
from rolloutwatch_contract.presets import PRESETS, as_yaml


def test_all_presets_are_printed_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    """One document each, in the order of the table, with its name and sentence above it."""
    assert main(["presets"]) == 0
    told = capsys.readouterr()
    documents = list(yaml.safe_load_all(told.out))
    assert documents == [{"algorithm": {"rollout_correction": one.keys}} for one in PRESETS.values()]
    for one in PRESETS.values():
        assert f"# {one.name}: {one.summary}\n" in told.out
    assert told.err == ""


def test_those_that_are_named_are_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """An earlier name will do; a single one can be written into a file as it comes."""
    assert main(["presets", "token_tis"]) == 0
    assert capsys.readouterr().out == as_yaml(PRESETS["decoupled_token_is"])
    assert main(["presets", "disabled", "bypass_ppo_clip"]) == 0
    assert capsys.readouterr().out == "---\n".join(
        [as_yaml(PRESETS["disabled"]), as_yaml(PRESETS["bypass_ppo_clip"])]
    )


def test_a_name_that_is_none_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed of those that are."""
    assert main(["presets", "disabled", "decoupled_geo"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "rolloutwatch presets: no preset is called 'decoupled_geo'. Did you mean 'decoupled_geo_rs'?\n"
    )


def test_the_command_tells_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "presets    print configurations of the correction by name" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["presets", "--help"])
    assert "usage: rolloutwatch presets [-h] [NAME ...]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["version"], 0, f"rolloutwatch {__version__}\n", ""),
        (["--help"], 0, "usage: rolloutwatch COMMAND", ""),
        ([], 0, "usage: rolloutwatch COMMAND", ""),
        (["sevre"], 2, "", "rolloutwatch: no command 'sevre'.\nusage: rolloutwatch COMMAND"),
        (["serve", "--port", "x"], 2, "", "rolloutwatch serve: --port is 'x': expected a port"),
    ],
)  # fmt: skip
def test_the_command_answers_on_the_right_channel(
    arguments: list[str], code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was asked for on stdout with code 0, a complaint on stderr with code 2."""
    assert code == main(arguments)
    told = capsys.readouterr()
    assert told.out.startswith(out)
    assert told.err.startswith(err)
    assert (bool(told.out), bool(told.err)) == (bool(out), bool(err))
