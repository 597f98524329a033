"""Names in Redis: what is written can be read back, and strangers' keys are told from ours."""

import pytest

from rolloutwatch_contract import ack_key, run_id, stream_key
from rolloutwatch_contract.keys import (
    PROBE_RUN,
    ack_key_of,
    entry_id,
    first_stream_key,
    is_probe,
    part_of,
    sequence_of,
    split_run_id,
    split_stream_key,
)
from rolloutwatch_contract.names import is_metric_name


def test_stream_and_acknowledgement_of_a_session_live_in_one_slot() -> None:
    """On a Redis Cluster the part in braces decides where a key lives."""
    run = run_id("math", "grpo-7b")
    assert stream_key(run, "s1") == "rolloutwatch:stream:{math~grpo-7b}:s1"
    assert ack_key(run, "s1") == "rolloutwatch:ack:{math~grpo-7b}:s1"


def test_a_stream_key_tells_run_and_session() -> None:
    assert split_stream_key(stream_key(run_id("math", "a.b-c"), "s1")) == ("math~a.b-c", "s1")
    assert split_run_id("math~a.b-c") == ("math", "a.b-c")


@pytest.mark.parametrize("key", ["", "other:stream:{a~b}:s", "rolloutwatch:stream:a~b:s", "rolloutwatch:stream:{ab}:s",
                                 "rolloutwatch:stream:{a~b}:", "rolloutwatch:stream:{a~<b>}:s"])  # fmt: skip
def test_a_stranger_s_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        split_stream_key(key)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "ä", "x" * 129, "a~b", "a\n", None, 3])
def test_a_name_that_cannot_stand_in_a_url_is_refused(name: object) -> None:
    """The message names the argument, what came and the cure."""
    with pytest.raises(ValueError, match=r"run is .*Rename it"):
        run_id("project", name)  # type: ignore[arg-type]


def test_metric_names_may_have_a_prefix() -> None:
    assert is_metric_name("train/reward@4")
    assert not is_metric_name("/etc/passwd")
    assert not is_metric_name("reward\n")


def test_records_are_numbered_from_one_without_holes() -> None:
    assert [entry_id(n) for n in (1, 2)] == ["1-0", "2-0"]
    assert sequence_of(b"17-0") == 17


@pytest.mark.parametrize("entry", ["17", "17-1", "-0", "x-0", "1_0-0"])
def test_an_id_that_redis_chose_itself_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        sequence_of(entry)


def test_the_streams_of_a_session_lead_back_to_its_first_one() -> None:
    """A session that goes on in another stream is still the same session."""
    first = stream_key("math~a", "s1")
    assert [part_of("s1", part) for part in (0, 1, 12)] == ["s1", "s1.part1", "s1.part12"]
    for part in (0, 1, 12):
        key = stream_key("math~a", part_of("s1", part))
        assert first_stream_key(key) == first
        assert split_stream_key(key) == ("math~a", part_of("s1", part))
    assert first_stream_key(stream_key("a~b.part3", "s.part")) == stream_key("a~b.part3", "s.part")


def test_a_probe_is_told_from_a_run() -> None:
    """Its run id is one that no run can have."""
    probe = stream_key(PROBE_RUN, "s1")
    assert is_probe(probe)
    assert not is_probe(stream_key(run_id("doctor", "doctor"), "s1"))
    with pytest.raises(ValueError, match="expected project~name"):
        split_stream_key(probe)
    assert ack_key_of(probe) == ack_key(PROBE_RUN, "s1")
