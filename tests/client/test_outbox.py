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
def test_whatever_happens_every_frame_not_archived_comes_into_the_last_stream(
    life: list[tuple[str, int]],
) -> None:
    """A stream may be lost at any time; the one after it begins with the first record, then what is not archived."""
    box = Outbox(LARGE)
    stream: dict[int, bytes] = {}
    archived = 0
    box.add(b"1")
    for what, amount in life:
        if what == "add":
            box.add(b"%d" % (box.last_number + 1))
        elif what == "send":
            batch = box.next_batch(amount + 1, LARGE)
            stream.update(batch)
            box.sent(len(batch))
        elif what == "lose":
            stream.clear()
            assert box.rewind() == 0
        else:
            archived = max(archived, min(archived + amount, max(stream, default=0)))
            box.acknowledge(archived)
    while batch := box.next_batch(LARGE, LARGE):
        stream.update(batch)
        box.sent(len(batch))
    missing = {n: frame for n, frame in stream.items() if n > archived}
    assert missing == {n: b"%d" % n for n in range(archived + 1, box.last_number + 1)}
    if stream:
        first = min(stream)
        assert stream[first] == b"1"
        assert sorted(stream) == list(range(first, box.last_number + 1)), "numbers without a hole"


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
    for frame in (b"first", b"12345", b"12345", b"12345"):
        box.add(frame)
    assert not box.has_room
    box.sent(4)
    assert box.has_room
    assert box.rewind() == 1
    assert box.next_batch(LARGE, LARGE) == [(2, b"first"), (3, b"12345"), (4, b"12345")]


def test_what_is_no_longer_kept_is_counted_once() -> None:
    """The record that every stream begins with is always kept, and what is archived is not missed."""
    box = Outbox(limit_bytes=10)
    for _ in range(6):
        box.add(b"12345")
    box.sent(6)
    box.acknowledge(2)
    assert box.rewind() == 2, "5 and 6 are kept, 3 and 4 may be lost"
    assert box.rewind() == 0
    assert [number for number, _ in box.next_batch(LARGE, LARGE)] == [4, 5, 6]
    assert (box.sent_to, box.unsent) == (3, 3)
