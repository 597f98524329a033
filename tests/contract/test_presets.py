"""Presets are there by every name that verl gave them, and print as YAML that reads back as the same."""

import re

import pytest
import yaml

from rolloutwatch_contract.presets import PRESETS, Preset, as_yaml, preset

each_preset = pytest.mark.parametrize("one", PRESETS.values(), ids=PRESETS)

NEWEST = (
    "decoupled_token_is decoupled_seq_is decoupled_token_icepop decoupled_seq_is_rs decoupled_geo_rs "
    "decoupled_geo_rs_seq_tis decoupled_geo_rs_token_tis decoupled_k3_rs decoupled_k3_rs_seq_tis "
    "decoupled_k3_rs_token_tis bypass_ppo_clip bypass_ppo_clip_geo_rs bypass_ppo_clip_k3_rs bypass_pg_is "
    "bypass_pg_token_icepop bypass_pg_geo_rs bypass_pg_geo_rs_seq_tis bypass_pg_geo_rs_token_tis disabled"
).split()
OLDER = (
    "token_is token_tis seq_is seq_is_rs seq_mis geo_rs geo_mis ppo_is_bypass pure_is pg_is pg_rs bypass_pg_rs "
    "geo_rs_seq_tis"
).split()


def test_the_missions_five_examples_come_first() -> None:
    assert [name.split("_")[:2] for name in list(PRESETS)[:5]] == [["example", str(n)] for n in range(1, 6)]


@pytest.mark.parametrize("name", NEWEST)
def test_every_name_of_verls_newest_version_is_a_preset(name: str) -> None:
    assert preset(name).name == name


@pytest.mark.parametrize("name", OLDER)
def test_every_name_of_an_older_version_is_understood(name: str) -> None:
    found = preset(name)
    assert name in (found.name, *found.earlier_names)


def test_no_name_means_two_things() -> None:
    names = [name for one in PRESETS.values() for name in (one.name, *one.earlier_names)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("token_tis", {"rollout_is": "token", "rollout_is_threshold": 2.0}),
        ("decoupled_geo_rs", {"rollout_rs": "seq_mean_k1", "rollout_rs_threshold": "0.999_1.001"}),
        (
            "geo_rs",
            {"rollout_rs": "geometric", "rollout_rs_threshold": 1.001, "rollout_token_veto_threshold": 1e-4},
        ),
        (
            "bypass_pg_token_icepop",
            {
                "rollout_is": "token",
                "rollout_is_threshold": "0.5_5.0",
                "bypass_mode": True,
                "loss_type": "reinforce",
            },
        ),
    ],
)
def test_a_preset_has_verls_values(name: str, keys: dict[str, object]) -> None:
    """verl's newest ones, and those of the version that a name comes from where it had the veto."""
    assert keys == preset(name).keys


@each_preset
def test_a_preset_is_told_in_one_sentence(one: Preset) -> None:
    assert re.fullmatch(r"[A-Z].*[^.]\.", one.summary)
    assert not re.search(r"\. [A-Z]", one.summary)


@each_preset
def test_the_yaml_reads_back_as_the_same_values(one: Preset) -> None:
    """Of the same type too: PyYAML would read 1e-09 as text, and 0.5_2 as a number."""
    read = yaml.safe_load(as_yaml(one))
    assert read == {"algorithm": {"rollout_correction": one.keys}}
    kept = read["algorithm"]["rollout_correction"]
    assert [type(kept[key]) for key in one.keys] == [type(value) for value in one.keys.values()]


def test_the_yaml_begins_with_name_and_meaning() -> None:
    """A block as a person sees it; bounds stand in quotes, which YAML needs for some of them."""
    one = Preset(
        name="mine",
        summary="Does this.",
        keys={"rollout_is": "token", "rollout_is_threshold": "0.5_2", "bypass_mode": True, "rollout_rs": None,
              "rollout_token_veto_threshold": 1e-9},
        earlier_names=("ours", "theirs"),
    )  # fmt: skip
    assert as_yaml(one) == (
        "# mine: Does this.\n"
        "# Earlier: ours, theirs.\n"
        "algorithm:\n"
        "  rollout_correction:\n"
        "    rollout_is: token\n"
        '    rollout_is_threshold: "0.5_2"\n'
        "    bypass_mode: true\n"
        "    rollout_rs: null\n"
        "    rollout_token_veto_threshold: 1.0e-09\n"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("decoupled_goe_rs", r"no preset is called 'decoupled_goe_rs'. Did you mean 'decoupled_geo_rs'"),
        ("zzz", r"no preset is called 'zzz'. `rolloutwatch presets` lists all"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preset(name)
