"""What the trainer counts, the page has words for; neither side knows the other."""

from rolloutwatch.drops import DropReason
from rolloutwatch_contract.drops import DROPS, describe_drop


def test_every_reason_that_a_client_may_count_has_words() -> None:
    """The client's reasons are its own, the words are the contract's; here is looked whether they are the same."""
    assert {reason.value for reason in DropReason} == DROPS.keys()
    for what, meaning, cure in DROPS.values():
        assert what
        assert not what.endswith("."), "it goes on in a sentence"
        assert all(not text or text.endswith(".") for text in (meaning, cure))


def test_a_reason_of_a_newer_client_is_shown_as_it_came() -> None:
    assert describe_drop("queue_full") == "lost, the queue was full"
    assert describe_drop("moon_phase") == "lost: moon_phase"
