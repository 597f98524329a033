"""A trainer's process as a whole: how it ends, and what its children do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch_contract import Outcome, Record, RunEnd, decode
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN
from tests.client.batches import steps
from tests.processes import surroundings
from tests.redis_process import RedisProcess, free_port

pytestmark = [pytest.mark.redis, pytest.mark.end_to_end]

BEGIN = """
import os, sys, rolloutwatch
monitor = rolloutwatch.Monitor(project="math", run="grpo")
monitor.log(0, {"loss": 1.0})
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


def train(code: str, redis_url: str) -> "subprocess.CompletedProcess[str]":
    """Run a trainer to its end; it may take a minute at most."""
    environment = surroundings(redis_url)
    command = [sys.executable, "-c", BEGIN + code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def records(redis: RedisProcess) -> list[list[Record]]:
    """What stands in each stream."""
    with redis.client() as client:
        streams = [client.xrange(key) for key in client.scan_iter(STREAM_PATTERN)]
    return [[decode(fields[RECORD_FIELD]) for _, fields in entries] for entries in streams]


def outcome(redis: RedisProcess) -> Outcome:
    (stream,) = records(redis)
    assert [record.step for record in steps(stream)] == [0]
    end = stream[-1]
    assert isinstance(end, RunEnd)
    return end.outcome


def test_a_trainer_that_forgets_to_close_loses_nothing(redis: RedisProcess) -> None:
    assert train("", redis.url).returncode == 0
    assert outcome(redis) is Outcome.FINISHED


def test_an_exception_nobody_caught_ends_the_run_as_crashed(redis: RedisProcess) -> None:
    ended = train("raise RuntimeError('out of memory')", redis.url)
    assert ended.returncode == 1
    assert "out of memory" in ended.stderr
    assert outcome(redis) is Outcome.CRASHED


def test_a_terminated_trainer_delivers_what_it_has(redis: RedisProcess) -> None:
    """As a scheduler does it: the exit code is that of the signal, and the run did not get to its end."""
    ended = train("import signal; os.kill(os.getpid(), signal.SIGTERM); os.pause()", redis.url)
    assert ended.returncode == -signal.SIGTERM
    assert outcome(redis) is Outcome.CRASHED


def test_a_trainer_is_terminated_in_the_midst_of_anything(redis: RedisProcess) -> None:
    """Also of a call to the monitor: nothing hangs, and all that was logged came or is counted."""
    code = """
import signal, threading
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
step = 0
while True:
    step += 1
    monitor.log(step, {"loss": 1.0})
    print(step, flush=step % 100 == 0)
"""
    ended = train(code, redis.url)
    assert ended.returncode == -signal.SIGTERM
    deliver = [sys.executable, "-m", "rolloutwatch", "deliver"]  # what there was not enough time for
    subprocess.run(deliver, env=surroundings(redis.url), capture_output=True, timeout=60, check=False)
    (stream,) = records(redis)
    done = [record.step for record in steps(stream)]
    told = [int(line) for line in ended.stdout.split("\n")[:-1]]
    assert done == sorted(set(done))
    assert done[-1] >= told[-1]
    assert stream[-1].dropped.get("queue_full", 0) == done[-1] + 1 - len(done)


def test_a_handler_of_the_trainers_own_is_left_alone(redis: RedisProcess) -> None:
    """Its exit is one like others."""
    code = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert train(code, redis.url).returncode == 7
    assert outcome(redis) is Outcome.FINISHED


def test_a_terminated_trainer_ends_though_redis_hangs(redis: RedisProcess) -> None:
    """Within seconds; what could not be delivered is on disk."""
    redis.suspend()
    ended = train("import signal; os.kill(os.getpid(), signal.SIGTERM)", redis.url)
    redis.resume()
    assert ended.returncode == -signal.SIGTERM
    assert "3 records wait in" in ended.stderr


def test_a_trainer_is_terminated_while_it_closes(redis: RedisProcess) -> None:
    """The time that a signal leaves is shorter than the one that it had."""
    redis.suspend()
    code = """
import signal, threading
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
monitor.close(timeout=50)
"""
    ended = train(code, redis.url)
    redis.resume()
    assert ended.returncode == -signal.SIGTERM
    assert "3 records wait in" in ended.stderr


STUCK = """
import ctypes, signal, threading
def kill():
    ctypes.CDLL(None).usleep(300000)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=kill).start()
"""


def test_a_trainer_that_is_stuck_outside_python_can_be_terminated(redis: RedisProcess) -> None:
    """As in a collective that waits for a rank that is gone, where Python runs no handler."""
    lock = "libc = ctypes.CDLL(None); m = ctypes.create_string_buffer(64)\nlibc.pthread_mutex_lock(m); libc.pthread_mutex_lock(m)"
    ended = train(STUCK + lock, redis.url)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert outcome(redis) is Outcome.CRASHED


def test_a_signal_to_a_forked_child_is_the_childs_alone(redis: RedisProcess) -> None:
    """The child ends as one does, and its parent hears nothing of it."""
    code = """
import signal, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    time.sleep(60)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, 0)
time.sleep(2)
print(os.waitstatus_to_exitcode(status))
"""
    ended = train(code, redis.url)
    assert (ended.returncode, ended.stdout) == (0, "-15\n"), ended.stderr
    assert outcome(redis) is Outcome.FINISHED


def test_whoever_is_told_of_signals_already_stays_so(redis: RedisProcess) -> None:
    """An event loop, say, before the monitor or after it."""
    code = """
import asyncio, signal
async def main():
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.set)
    with rolloutwatch.Monitor(project="math", run="loop"):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(heard.wait(), 20)
        print("heard")
asyncio.run(main())
"""
    ended = train(code, redis.url)
    assert (ended.returncode, ended.stdout) == (0, "heard\n"), ended.stderr


def test_sys_exit_is_not_a_crash(redis: RedisProcess) -> None:
    assert train("sys.exit(3)", redis.url).returncode == 3
    assert outcome(redis) is Outcome.FINISHED


def test_a_trainer_ends_though_nobody_takes_its_records() -> None:
    """Bounded, with the trainer's own exit code, and one warning that names the cure."""
    ended = train("", f"redis://127.0.0.1:{free_port()}/0")
    assert ended.returncode == 0
    assert ended.stderr.count("Training goes on") == 1
    assert "Start the server (rolloutwatch serve)" in ended.stderr


@pytest.mark.parametrize("end", ["", "import signal; os.kill(os.getpid(), signal.SIGTERM)"])
def test_many_monitors_end_together(end: str) -> None:
    """In the time of one, not one after the other, which here would be too long."""
    code = """
more = [rolloutwatch.Monitor(project="math", run=f"r{number}") for number in range(30)]
for one in more:
    one.log(0, {"loss": 1.0})
"""
    ended = train(code + end, f"redis://127.0.0.1:{free_port()}/0")
    assert ended.returncode == (-signal.SIGTERM if end else 0)
    assert ended.stderr.count("3 records wait in") == 31


def test_a_user_without_a_home_is_told_that_there_is_no_spool(redis: RedisProcess) -> None:
    code = """
import os, pwd, rolloutwatch
os.environ.pop("ROLLOUTWATCH_SPOOL_DIR"), os.environ.pop("HOME", None)
unknown = next(number for number in range(60000, 64000) if number not in {one.pw_uid for one in pwd.getpwall()})
if os.geteuid() == 0:
    import encodings.idna
    os.setuid(unknown)
    with rolloutwatch.Monitor(project="math", run="homeless") as one:
        one.log(0, {"loss": 1.0})
"""
    ended = train(code, redis.url)
    assert ended.returncode == 0, ended.stderr
    if os.geteuid() == 0:
        assert ended.stderr.count("There is no spool, because this user has no home") == 1


def test_a_forked_child_never_sends(redis: RedisProcess) -> None:
    """Data loaders fork; records are their parent's, and each is sent once."""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what this is about
lock = monitor._worker._lock
lock.acquire()  # the fork may come at any instant, also while another thread holds this
child = os.fork()
if child == 0:
    monitor.log(1, {"loss": 2.0})
    monitor.close()
    print(monitor.health().dropped)
    sys.exit(0)
lock.release()
_, status = os.waitpid(child, 0)
monitor.close()
sys.exit(status)
"""
    ended = train(code, redis.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "{'closed': 1}\n"
    assert outcome(redis) is Outcome.FINISHED


def test_a_spawned_child_has_a_monitor_of_its_own(redis: RedisProcess) -> None:
    code = f"""
import subprocess
subprocess.run([sys.executable, "-c", {BEGIN!r}], check=True)
"""
    assert train(code, redis.url).returncode == 0
    assert [[record.step for record in steps(stream)] for stream in records(redis)] == [[0], [0]]


def test_a_copy_in_another_process_corrects_and_sends_nothing(redis: RedisProcess) -> None:
    """As when a trainer object that has a monitor is sent to a worker."""
    code = """
import pickle, torch
copy = pickle.loads(pickle.dumps(monitor))
one = torch.zeros(2, 3)
copy.correct(step=1, training_logprobs=one, rollout_logprobs=one, response_mask=one + 1)
copy.log(1, {"loss": 1.0})
print(copy.run_id, copy.health().state, copy.health().dropped)
"""
    ended = train(code, redis.url)
    assert ended.stdout == "math~grpo closed {'closed': 2}\n", ended.stderr
    assert outcome(redis) is Outcome.FINISHED


def test_a_trainer_that_leaves_without_a_word_loses_nothing_that_was_written_down(
    redis: RedisProcess,
) -> None:
    """os._exit runs no handlers; the next trainer says that the run crashed."""
    train("monitor.flush(20); os._exit(0)", redis.url)
    train("import time; time.sleep(2)", redis.url)
    found = [stream for stream in records(redis) if isinstance(stream[-1], RunEnd)]
    assert sorted(stream[-1].outcome.value for stream in found) == ["crashed", "finished"]


def test_spawned_workers_before_and_after_a_monitor_work(redis: RedisProcess) -> None:
    """Each that builds a monitor of its own has a session of its own, in the same spool."""
    code = """
import torch.multiprocessing as mp
import tests.client.spawned as spawned
mp.spawn(spawned.work, nprocs=2)
"""
    assert train(code, redis.url).returncode == 0
    assert sorted(len(steps(stream)) for stream in records(redis)) == [1, 5, 5]
