"""Marks of what happens in a run."""

import enum
import logging
import math
from typing import Any

import numpy as np
import pytest
import torch

from rolloutwatch import MemorySink
from rolloutwatch_contract import Mark, MarkKind, StepRecord
from rolloutwatch_contract.record import MAX_FIELD_LETTERS, MAX_FIELDS
from tests.client.batches import batch, monitor


def marks(sink: MemorySink) -> list[Mark]:
    return [record for record in sink.records if isinstance(record, Mark)]


def test_a_mark_has_a_kind_a_step_and_fields() -> None:
    """Without a step it belongs to the last one that the monitor was told of."""
    sink = MemorySink()
    with monitor(sink) as one:
        one.mark("weight_sync", version=0)
        one.observe(step=3, **batch())
        one.mark("weight_sync", version=1, seconds=2.5, full=True, note=None)
        one.log(4, {"loss": 1.0})
        one.mark(MarkKind.CHECKPOINT, path="/ckpt/4")  # type: ignore[arg-type]
        one.mark("config", step=9, kind="lr", value=1e-6)
        one.log("five", {"loss": 1.0})  # type: ignore[arg-type]
        one.mark("mine")
    assert [(mark.step, mark.kind, mark.fields) for mark in marks(sink)] == [
        (0, "weight_sync", {"version": 0}),
        (3, "weight_sync", {"version": 1, "seconds": 2.5, "full": True, "note": None}),
        (4, "checkpoint", {"path": "/ckpt/4"}),
        (9, "config", {"kind": "lr", "value": 1e-6}),
        (9, "mine", {}),
    ]
    assert marks(sink)[-1].dropped == {"bad_step": 1}


class Colour(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (torch.tensor(2.5), 2.5),
        (torch.tensor([3]), 3),
        (Colour.RED, 3),
        (math.inf, math.inf),
        (2**70, str(2**70)),
        ([1, 2], "[1, 2]"),
        (torch.tensor([1, 2]), "tensor([1, 2])"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)  # fmt: skip
def test_values_are_sent_as_what_they_are_and_anything_else_as_text(value: object, sent: object) -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.mark("mine", value=value)
        assert one.health().dropped == {}
    (mark,) = marks(sink)
    assert mark.fields == {"value": sent}
    assert type(mark.fields["value"]) is type(sent)


class Odd:
    """Something of somebody's library that has a bad day."""

    def __str__(self) -> str:
        raise KeyError("no text today")


BAD: dict[str, tuple[tuple[Any, ...], dict[str, Any], dict[str, Any] | None]] = {
    "no name": (("",), {}, None),
    "a name of two words": (("weight sync",), {}, None),
    "a name that is too long": (("x" * 129,), {}, None),
    "a number for a name": ((7,), {}, None),
    "a field that cannot be told": (("mine",), {"odd": Odd(), "version": 1}, {"version": 1}),
    "a field without a name": (("mine",), {"": 1}, {}),
    "a field of a long name": (("mine",), {"x" * 129: 1}, {}),
    "a field of half a letter": (("mine",), {"\ud800": 1}, {}),
    "a long text": (("mine",), {"text": "x" * 1001}, {"text": "x" * MAX_FIELD_LETTERS}),
    "too many fields": (
        ("mine",), {f"f{n}": n for n in range(MAX_FIELDS + 1)}, {f"f{n}": n for n in range(MAX_FIELDS)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_sent_is_left_out_counted_and_said_once(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bad field does not take the others with it."""
    sink, (names, fields, sent) = MemorySink(), BAD[what]
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        one.mark(*names, **fields)
        one.mark(*names, **fields)
        assert one.health().dropped == {"bad_mark": 2}
    assert [mark.fields for mark in marks(sink)] == ([] if sent is None else [sent] * 2)
    assert len([message for message in caplog.messages if "Training goes on" in message]) == 1


@pytest.mark.parametrize("step", [-1, 0.5, "three", True, 2**53])
def test_a_mark_of_no_step_is_not_sent(step: Any) -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.mark("mine", step)
        assert one.health().dropped == {"bad_step": 1}
    assert marks(sink) == []


def test_a_weight_sync_tells_each_measured_step_how_old_the_rollout_weights_are() -> None:
    """From the first mark on, 0 at its own step; no other mark has to do with it, nor one that is ahead."""
    sink = MemorySink()
    with monitor(sink) as one:
        for step in range(7):
            if step in (1, 4):
                one.mark("weight_sync", step)
            one.mark("checkpoint", step)
            one.observe(step=step, **batch())
        one.mark("weight_sync", 100)
        one.observe(step=7, **batch())
    measured = [record for record in sink.records if isinstance(record, StepRecord)]
    assert [record.metrics.get("weight_age_steps") for record in measured] == [None, 0, 1, 2, 0, 1, 2, None]
