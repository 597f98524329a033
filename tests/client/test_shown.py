"""Nothing that a trainer hands over, whatever it is, makes a message that cannot be made."""

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rolloutwatch import MemorySink, Monitor
from rolloutwatch.arguments import seconds_of
from rolloutwatch.shown import LETTERS, shown, told
from tests.client.batches import batch, monitor, steps
from tests.client.ranks import Nothing, Unshown


class Untold(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not today")


class Text(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("not today")

    __repr__ = __len__  # type: ignore[assignment]


class Index:
    def __index__(self) -> int:
        raise Untold

    __float__ = __index__


class Meta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("not today")


class Nameless(Unshown, metaclass=Meta):
    pass


ODD: list[Any] = [
    10**5000, -(10**5000), Unshown(), Nothing(), Text("abc"), Index(), Nameless(), Untold(), "\ud800", b"\0",
    [[1] * 10**6], {1: "x" * 10**6}, torch.ones(3), np.ones(3), None, object(), math.nan,
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(ODD)))  # pytest itself does not get along with them
def test_everything_can_be_shown(place: int) -> None:
    value = ODD[place]
    text = shown(value)
    assert 0 < len(text.encode()) <= LETTERS + 50
    assert told(ValueError(value)).startswith("ValueError: ")


def test_what_can_be_shown_looks_as_it_does() -> None:
    assert [shown(value) for value in (7, "a", None)] == ["7", "'a'", "None"]
    assert shown(torch.ones(2)) == "a tensor of torch.float32 and shape (2,) on cpu"
    assert shown(10**5000) == "a int that cannot be shown"
    assert told(KeyError(3)) == "KeyError: 3"
    assert told(Untold()) == "Untold: it does not say what"


CALLS: dict[str, Callable[[Monitor, Any], Any]] = {
    "observe": lambda one, odd: one.observe(step=odd, **batch()),
    "observe logprobs": lambda one, odd: one.observe(step=1, **batch() | {"rollout_logprobs": odd}),
    "observe groups": lambda one, odd: one.observe(step=1, **batch(), groups=[odd] * 4),
    "observe ids": lambda one, odd: one.observe(step=1, **batch(), sample_ids=odd),
    "record": lambda one, odd: one.record(odd, odd),
    "log": lambda one, odd: one.log(odd, odd),
    "log a value": lambda one, odd: one.log(1, {"a": odd, "b": 1.0}),
    "mark": lambda one, odd: one.mark(odd),
    "mark a step": lambda one, odd: one.mark("mine", step=odd),
    "mark a field": lambda one, odd: one.mark("mine", step=1, odd=odd),
    "flush": lambda one, odd: one.flush(odd),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_call_raises_whatever_comes(call: str) -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        for odd in ODD:
            CALLS[call](one, odd)
        one.log(7, {"loss": 1.0})
    assert steps(sink.records)[-1].metrics == {"loss": 1.0}


def test_a_name_that_misbehaves_costs_itself() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(1, {Text("abc"): 1.0, "loss": 2.0})
    (record,) = steps(sink.records)
    assert (record.metrics, record.dropped) == ({"loss": 2.0}, {"bad_value": 1})


class Changing(dict[str, float]):
    """As if another thread were at it."""

    def __init__(self, times: int) -> None:
        super().__init__(loss=1.0)
        self.times = times

    def items(self) -> Any:
        self.times -= 1
        if self.times >= 0:
            raise RuntimeError("dictionary changed size during iteration")
        return super().items()


def test_scalars_that_another_thread_changes_are_read_again() -> None:
    """Once; a plain dict is copied before anything else can happen to it."""
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(1, Changing(1))
        one.log(2, Changing(2))
        assert one.health().dropped == {"bad_value": 1}
    assert [record.step for record in steps(sink.records)] == [1]


def test_a_dict_may_be_changed_by_another_thread_all_the_time() -> None:
    sink, values, ends = MemorySink(), {f"m{n}": float(n) for n in range(200)}, threading.Event()

    def change() -> None:
        while not ends.is_set():
            values["z"] = 1.0
            values.pop("z", None)

    thread = threading.Thread(target=change)
    thread.start()
    with monitor(sink) as one:
        for step in range(300):
            one.log(step, values)
        ends.set()
        thread.join()
        assert one.health().dropped == {}


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (2, 2.0), (0.5, 0.5), (-1, 0.0), (math.inf, 86_400.0), (-math.inf, 0.0), (1e300, 86_400.0), (10**5000, 86_400.0),
        (-(10**5000), 0.0), (math.nan, 5.0), (None, 5.0), ("2", 5.0), ([], 5.0), (Index(), 5.0), (np.float32(2), 2.0),
    ],
    ids=range(14),
)  # fmt: skip
def test_how_long_is_waited(timeout: Any, seconds: float) -> None:
    """At most a day, and what is no number is the default."""
    assert seconds_of(timeout, 5.0) == seconds


@pytest.mark.parametrize("timeout", [math.inf, 1e300, math.nan, None, "soon", 10**5000], ids=range(6))
def test_to_flush_and_to_close_never_raises(timeout: Any) -> None:
    one = monitor(MemorySink())
    assert one.flush(timeout)
    assert one.close(timeout)
