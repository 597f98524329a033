"""Threads that are ended from outside, and many monitors at once."""

import ctypes
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rolloutwatch import MemorySink, Monitor
from rolloutwatch.threads import Supervised
from rolloutwatch_contract import decode
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN
from tests.client.batches import monitor, steps
from tests.processes import wait_for
from tests.redis_process import RedisProcess

# that they end by an error, and in the midst of what they have open, is what this is about
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

OURS = ("rolloutwatch-recorder", "rolloutwatch-courier")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


@pytest.fixture(autouse=True)
def nobody_tells_of_ends() -> Iterator[None]:
    """A thread may be ended once more while it tells of its end, and then pytest fails."""
    told, threading.excepthook = threading.excepthook, lambda _: None
    yield
    threading.excepthook = told


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in OURS]


def end(thread: threading.Thread) -> None:
    """Have a thread raise SystemExit at whatever it does next."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def log_while_threads_end(one: Monitor, count: int) -> None:
    generator = random.Random(7)
    for step in range(count):
        one.log(step, {"loss": step / 7})
        if generator.random() < 0.01:
            for thread in threads():
                end(thread)
            one.flush(generator.choice([0.0, 0.01, 0.1]))


def test_threads_that_are_ended_again_and_again_lose_nothing_uncounted() -> None:
    """In the midst of anything: each record arrives once, or is the one that was being made and is counted."""
    sink = MemorySink()
    with monitor(sink) as one:
        log_while_threads_end(one, 5000)
        assert one.flush(60)
        assert one.health().restarts > 20
        dropped = one.health().dropped
    arrived = [record.step for record in steps(sink.records)]
    assert arrived == sorted(set(arrived))
    assert sorted(sink.frames) == list(range(1, len(sink.frames) + 1)), "no hole"
    assert len(sink.records) + sum(dropped.values()) == 5000 + 2
    assert dropped.keys() <= {"not_encoded"}


@pytest.mark.redis
def test_threads_that_are_ended_while_they_speak_to_redis_lose_nothing_uncounted(redis: RedisProcess) -> None:
    with Monitor(project="math", run="grpo", redis_url=redis.url) as one:
        log_while_threads_end(one, 3000)
        assert one.flush(60)
        dropped = one.health().dropped
    with redis.client() as client:
        (key,) = client.scan_iter(STREAM_PATTERN)
        entries = client.xrange(key)
    assert [entry for entry, _ in entries] == [b"%d-0" % number for number in range(1, len(entries) + 1)]
    arrived = [record.step for record in steps([decode(fields[RECORD_FIELD]) for _, fields in entries])]
    assert arrived == sorted(set(arrived))
    assert len(entries) + sum(dropped.values()) == 3000 + 2


def test_a_thread_that_is_gone_for_good_is_replaced_by_whoever_gives_it_work() -> None:
    """One that is ended while it gets over its last error, say."""
    working = threading.Event()

    def work() -> None:
        working.set()
        raise SystemExit

    one = Supervised("doomed", work)
    one.start()
    wait_for("its first error", lambda: one.restarts)
    (doomed,) = (thread for thread in threading.enumerate() if thread.name == "doomed")
    while doomed.is_alive():  # it sleeps now, longer and longer, before it begins again
        end(doomed)
        doomed.join(0.1)
    working.clear()
    restarts = one.restarts
    one.ensure()
    assert working.wait(20)
    assert one.restarts > restarts
    (again,) = (thread for thread in threading.enumerate() if thread.name == "doomed")
    while again.is_alive():
        end(again)
        again.join(0.1)


@pytest.mark.redis
def test_many_monitors_in_one_process_leave_nothing_behind(redis: RedisProcess) -> None:
    """Also those that were built in threads which are gone by now."""
    before = len(os.listdir("/proc/self/fd"))
    built: list[Monitor] = []

    def build(number: int) -> None:
        one = Monitor(project="math", run=f"run{number}", redis_url=redis.url)
        built.append(one)
        one.log(0, {"loss": float(number)})

    builders = [threading.Thread(target=build, args=(number,)) for number in range(64)]
    for each in builders:
        each.start()
    for each in builders:
        each.join()
    for step in range(1, 20):
        for one in built:
            one.log(step, {"loss": 1.0})
    assert all(one.flush(60) for one in built)
    assert len(threads()) == 128
    with ThreadPoolExecutor(64) as closers:
        assert all(closers.map(Monitor.close, built))
    assert threads() == []
    assert len(os.listdir("/proc/self/fd")) == before
    with redis.client() as client:
        found = [client.xrange(key) for key in client.scan_iter(STREAM_PATTERN)]
    records = [[decode(fields[RECORD_FIELD]) for _, fields in entries] for entries in found]
    assert [len(steps(each)) for each in records] == [20] * 64
