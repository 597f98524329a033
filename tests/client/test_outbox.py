"""Frames and their numbers, against a list that remembers everything."""

from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch.outbox import Outbox

LARGE = 10**9


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What may happen to an outbox."""
    what = st.sampled_from(["add", "send", "lose", "archive"])
    return draw(st.lists(st.tuples(what, st.integers(0, 10)), max_size=60))


@given(lives())
def test_whatever_happens_every_frame_not_archived_can_be_sent_again(life: list[tuple[str, int]]) -> None:
    """The sink may lose its newest frames at any time; after a rewind and a sending it has them all again."""
    box = Outbox(LARGE)
    sink: dict[int, bytes] = {}
    archived = 0
    for what, amount in life:
        if what == "add":
            box.add(b"%d" % (box.last_number + 1))
        elif what == "send":
            batch = box.next_batch(amount + 1, LARGE)
            sink.update(batch)
            box.sent(len(batch))
        elif what == "lose":
            for number in sorted(sink, reverse=True)[:amount]:
                if number > archived:
                    del sink[number]
            box.rewind(max(sink, default=0))
        else:
            archived = min(archived + amount, max(sink, default=0))
            box.acknowledge(archived)
    while batch := box.next_batch(LARGE, LARGE):
        sink.update(batch)
        box.sent(len(batch))
    assert {number: frame for number, frame in sink.items() if number > archived} == {
        number: b"%d" % number for number in range(archived + 1, box.last_number + 1)
    }


def test_a_batch_is_bounded_by_number_and_size_but_never_empty() -> None:
    box = Outbox(LARGE)
    for size in (5, 5, 5, 100):
        box.add(b"x" * size)
    assert [number for number, _ in box.next_batch(2, LARGE)] == [1, 2]
    assert [number for number, _ in box.next_batch(LARGE, 12)] == [1, 2]
    box.sent(3)
    assert [number for number, _ in box.next_batch(LARGE, 12)] == [4], "larger than a batch, and still sent"


def test_what_was_sent_is_forgotten_only_when_room_is_needed() -> None:
    box = Outbox(limit_bytes=10)
    for _ in range(4):
        box.add(b"12345")
    assert not box.has_room
    box.sent(4)
    assert box.has_room
    box.rewind(0)
    assert [number for number, _ in box.next_batch(LARGE, LARGE)] == [3, 4]


def test_frames_the_sink_holds_already_count_as_sent() -> None:
    """After an answer was lost the sink says how far it has come."""
    box = Outbox(LARGE)
    for _ in range(3):
        box.add(b"frame")
    box.rewind(2)
    assert [number for number, _ in box.next_batch(LARGE, LARGE)] == [3]
    assert (box.sent_to, box.unsent) == (2, 1)
