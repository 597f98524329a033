"""What is recorded and what is found again are the same, or each difference is told."""

import msgspec
import pytest

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import parse_rules
from rolloutwatch_server.alerts.comparison import differences
from rolloutwatch_server.alerts.state import Transition
from tests.server.judging import document, rule

CHANGES = (Change.FIRING, Change.FLAPPING, Change.RESOLVED, Change.STABLE)


@pytest.fixture
def high() -> Rule:
    (one,) = parse_rules(document(rule("high", "kl > 0.5")), "rules").rules
    return one


def happened(change: Change, step: int = 7, **more: object) -> Transition:
    values = {"epoch": 1, "time": float(step), "values": {"kl": 0.75}, **more}
    return msgspec.convert({"change": change.value, "step": step, **values}, Transition)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_happened_to_an_alert_has_to_be_found_again(change: Change, high: Rule) -> None:
    one = happened(change)
    assert differences([("high", one)], [(high, one)]) == []
    (missing,) = differences([("high", one)], [])
    assert missing.in_words == f"step 7: high {change.value}, the 1. time: recorded, and not found again"
    (new,) = differences([], [(high, one)])
    assert new.in_words == f"step 7: high {change.value}, the 1. time: found again, and not recorded"
    for other in ({"step": 8}, {"epoch": 2}, {"time": 8.0}, {"quiet": True}, {"reason": "x"}):
        assert len(differences([("high", one)], [(high, happened(change, **{"step": 7, **other}))])) == 2


def test_figures_are_compared_as_far_as_both_know_them(high: Rule) -> None:
    """More may have come of a step by the time it is judged again."""
    one = happened(Change.FIRING)
    assert (
        differences([("high", one)], [(high, happened(Change.FIRING, values={"kl": 0.75, "ess": 1.0}))]) == []
    )
    assert len(differences([("high", one)], [(high, happened(Change.FIRING, values={"kl": 0.5}))])) == 2


def test_that_people_were_told_again_is_nothing_that_happened(high: Rule) -> None:
    assert differences([("high", happened(Change.REPEAT))], []) == []


def test_alerts_of_the_clock_are_left_out_and_others_of_the_rules_name_are_not(high: Rule) -> None:
    """Those count on from the clock's, which are not found again."""
    clock, own = happened(Change.FIRING, 3), happened(Change.FIRING, 7, epoch=2)
    again = [(high, happened(Change.FIRING, 7))]
    recorded = [("high", clock), ("high", own)]
    assert differences(recorded, again, {("high", 1)}) == []
    (missing,) = differences(recorded, [], {("high", 1)})
    assert missing.in_words == "step 7: high firing: recorded, and not found again"
    assert len(differences(recorded, again)) == 3
