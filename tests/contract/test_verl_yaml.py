"""What is copied into verl's configuration means what was chosen."""

import yaml
from hypothesis import given

from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.presets import PRESETS
from rolloutwatch_contract.verl_yaml import as_verl_yaml
from tests.correction.batches import configs

ALIKE = ("rollout_is", "rollout_rs", "rollout_token_veto_threshold", "rejections", "bypass_mode", "loss_type")
OF_WEIGHTS = ("bounds", "rollout_is_mode", "rollout_is_batch_normalize")


def check(config: CorrectionConfig) -> None:
    again = CorrectionConfig.from_mapping(yaml.safe_load(as_verl_yaml(config)))
    names = (*ALIKE, *(OF_WEIGHTS if config.rollout_is else ()))
    assert {name: getattr(again, name) for name in names} == {name: getattr(config, name) for name in names}


@given(config=configs())
def test_what_is_written_is_read_back_as_the_same_correction(config: CorrectionConfig) -> None:
    """Level, mode, bounds, rejections and veto, whatever they are."""
    check(config)


def test_every_preset_is_written_so_that_it_is_read_back() -> None:
    for name in PRESETS:
        check(CorrectionConfig.preset(name))


def test_what_is_off_is_left_out_and_numbers_are_numbers() -> None:
    config = CorrectionConfig.from_mapping(
        {"rollout_is": "token", "rollout_is_threshold": "0.5_5.0", "rollout_token_veto_threshold": 1e-4}
    )
    assert as_verl_yaml(config) == (
        "algorithm:\n"
        "  rollout_correction:\n"
        "    rollout_is: token\n"
        '    rollout_is_threshold: "0.5_5.0"\n'
        "    rollout_rs: null\n"
        "    rollout_token_veto_threshold: 0.0001\n"
    )
