"""A small dose of what `make chaos` does: whatever is killed, hung, wiped, cut short or full, every record arrives once,

and people are told of every alert.
"""

from pathlib import Path

import pytest

from tests.chaos.scenarios import SCENARIOS, SMALL

pytestmark = [pytest.mark.redis, pytest.mark.end_to_end]


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_record_is_lost_doubled_or_changed(name: str, tmp_path: Path) -> None:
    """Bit for bit, with its table and histogram; of a trainer that was killed, all that had left its queue.

    Nor is a transition of an alert, which people are told of under one key.
    """
    told: list[str] = []
    result = SCENARIOS[name](SMALL[name], tmp_path / name, 7, told.append)
    assert result.is_flawless, (result, told)
