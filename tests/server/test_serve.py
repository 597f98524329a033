"""`rolloutwatch serve` as a process: how it begins, how it refuses to, and how it ends."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from rolloutwatch_contract import encode, run_id, stream_key
from rolloutwatch_contract.keys import RECORD_FIELD
from rolloutwatch_server.store import Store
from tests.processes import ROLLOUTWATCH, ServerProcess, alive, wait_for
from tests.redis_process import free_port
from tests.server.records import start, step, values

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

RUN = run_id("math", "a")
SECONDS = 60


@contextmanager
def serving(data_dir: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server on any free port; wait until it says, in the file `log`, where its dashboard is."""
    command = [
        ROLLOUTWATCH,
        "serve",
        "--port",
        "0",
        "--redis-port",
        "0",
        "--data-dir",
        str(data_dir),
        *options,
    ]
    log = data_dir.parent / "log"
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, text=True) as process:
        try:
            told = wait_for("the address", lambda: re.search(r"^Dashboard: (\S+)/$", log.read_text(), re.M))
            yield process, told[1]
        finally:
            process.terminate()
            process.wait(SECONDS)


def refused(data_dir: Path, *options: str) -> str:
    """Start a server that cannot be; return what it says."""
    command = [ROLLOUTWATCH, "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    process = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("rolloutwatch serve: ")
    assert process.stderr.count("\n") == 1, "one message, not a traceback"
    return process.stderr


def redis_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_end_takes_everything_with_it(how: signal.Signals, tmp_path: Path) -> None:
    """Though a page is open: its stream ends as a stream does, Redis is stopped, and nobody sees a traceback."""
    data_dir = tmp_path / "data"
    with serving(data_dir) as (process, url):
        told = json.loads((data_dir / "server.json").read_text())
        assert (told["pid"], told["url"]) == (process.pid, url)
        with redis.Redis.from_url(told["redis_url"]) as client:
            client.xadd(stream_key(RUN, "s"), {RECORD_FIELD: encode(start())}, id="1-0")
            wait_for("the run", lambda: httpx.get(f"{url}/api/v1/runs/{RUN}").is_success)
            with httpx.stream("GET", f"{url}/api/v1/runs/{RUN}/live", timeout=SECONDS) as answer:
                lines = answer.iter_lines()
                assert next(lines) == "event: run"
                client.xadd(stream_key(RUN, "s"), {RECORD_FIELD: encode(step(7, kl=0.5))}, id="2-0")
                assert next(line for line in lines if line.startswith("data: ") and "metrics" in line)
                process.send_signal(how)
                assert "event: step" not in list(lines)
        assert process.wait(SECONDS) == 0
    assert not redis_answers(told["redis_url"])
    assert sorted(path.name for path in data_dir.iterdir()) == ["archive.db", "lock", "redis"]
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("sign", ["redis/port", "redis/redis.pid", "server.json"])
def test_a_server_that_is_asked_to_end_while_it_starts_leaves_nothing_either(
    sign: str, how: signal.Signals, tmp_path: Path
) -> None:
    """At the instant in which its Redis is started, is up, or is announced."""
    command = [ROLLOUTWATCH, "serve", "--port", "0", "--redis-port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not (tmp_path / sign).exists():
            assert process.poll() is None
        process.send_signal(how)
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert alive(str(tmp_path)) == []


@contextmanager
def archiving(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], sqlite3.Connection]]:
    """A server that has a batch at hand, which it cannot write before the test lets go of the archive, or closes it."""
    with (
        serving(data_dir) as (process, url),
        closing(sqlite3.connect(data_dir / "archive.db", isolation_level=None)) as db,
    ):
        wait_for("readiness", lambda: httpx.get(f"{url}/readyz").is_success)
        db.execute("BEGIN IMMEDIATE")
        told = json.loads((data_dir / "server.json").read_text())
        with redis.Redis.from_url(told["redis_url"]) as client:
            for number, record in enumerate((start(), step(7, kl=0.5)), 1):
                client.xadd(stream_key(RUN, "s"), {RECORD_FIELD: encode(record)}, id=f"{number}-0")
        wait_for("the batch", lambda: "ingest_streams 1.0" in httpx.get(f"{url}/metrics").text)
        process.terminate()
        log = data_dir.parent / "log"
        wait_for("the end of requests", lambda: "Waiting for application shutdown" in log.read_text())
        yield process, db


def test_a_server_that_is_asked_to_end_finishes_the_batch_at_hand(tmp_path: Path) -> None:
    """And folds SQLite's log into the archive, which is one file then."""
    data_dir = tmp_path / "data"
    with archiving(data_dir) as (process, db):
        db.execute("ROLLBACK")
        db.close()
        assert process.wait(SECONDS) == 0
    assert sorted(path.name for path in data_dir.iterdir()) == ["archive.db", "lock", "redis"]
    with closing(Store(data_dir / "archive.db")) as store:
        assert values(store, "kl") == {7: 0.5}


def test_a_server_that_is_asked_twice_waits_for_no_batch(tmp_path: Path) -> None:
    """What is not archived stands in the Redis of the data dir, and the next server takes it from there."""
    data_dir = tmp_path / "data"
    with archiving(data_dir) as (process, _):
        process.terminate()
        assert process.wait(SECONDS) == 0
        log = (tmp_path / "log").read_text()
        assert "database is locked" not in log, "it was waited for"
        assert "Traceback" not in log
    assert alive(str(data_dir)) == []
    with serving(data_dir) as (_, url):
        query = {"metric": "kl"}
        wait_for(
            "the run",
            lambda: (
                (answer := httpx.get(f"{url}/api/v1/runs/{RUN}/series", params=query)).is_success
                and answer.json()["series"]["kl"]["step"] == [7]
            ),
        )


def test_a_redis_that_takes_long_to_start_is_not_waited_for_by_who_wants_to_end(tmp_path: Path) -> None:
    slow = tmp_path / "bin" / "valkey-server"
    slow.parent.mkdir()
    slow.write_text('#!/bin/sh\ncd "$6" && exec sleep 60\n')
    slow.chmod(0o700)
    command = [
        ROLLOUTWATCH,
        "serve",
        "--port",
        "0",
        "--redis-port",
        "0",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(command, env=os.environ | {"PATH": path}) as process:
        wait_for("the start of Redis", (tmp_path / "data" / "redis" / "port").exists)
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert alive(str(tmp_path / "data")) == []


def test_the_pages_are_served_beside_the_api(tmp_path: Path) -> None:
    """Whatever is no API and no file is the dashboard; what is API is never a page."""
    with serving(tmp_path / "data") as (_, url):
        wait_for("readiness", lambda: httpx.get(f"{url}/readyz").is_success)
        for path in ("/", "/runs/math~none", "/anything"):
            page = httpx.get(url + path)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        for path in ("/api/anything", "/api/v1/anything"):
            problem = httpx.get(url + path)
            assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


def test_a_second_server_on_a_data_dir_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    """It names the folder, the process that has it, and the cure; the first one goes on."""
    with ServerProcess(tmp_path / "data") as first:
        assert first.process is not None
        complaint = refused(tmp_path / "data")
        assert f"--data-dir {tmp_path / 'data'} is in use" in complaint
        assert f"process id {first.process.pid}." in complaint
        assert "Stop that one, or name another folder with --data-dir." in complaint
        assert first.is_ready()
        assert redis_answers(first.redis_url)


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        complaint = refused(tmp_path, "--port", str(port))
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use" in complaint
    assert "Choose another port with --port." in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("options", ["foo=bar", "socket_timeout=x", "password=s3cret&foo=bar"])
def test_a_redis_url_with_options_that_cannot_be_is_told(options: str, tmp_path: Path) -> None:
    complaint = refused(tmp_path, "--redis-url", f"redis://127.0.0.1/0?{options}")
    assert "--redis-url is 'redis://127.0.0.1/0?" in complaint
    assert "cannot be connected to with these options (" in complaint
    assert "s3cret" not in complaint


def test_an_archive_that_is_none_is_told_and_left_alone(tmp_path: Path) -> None:
    """Nothing is started for it either."""
    (tmp_path / "archive.db").write_text("dear diary")
    assert f"archive {tmp_path / 'archive.db'} cannot be opened: file is not a database" in refused(tmp_path)
    assert (tmp_path / "archive.db").read_text() == "dear diary"
    assert not (tmp_path / "redis").exists()


def test_a_data_dir_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    complaint = refused(tmp_path / "file")
    assert f"--data-dir {tmp_path / 'file'} cannot be used: " in complaint
    assert "Name a folder you may write to." in complaint


def test_a_redis_that_cannot_be_reached_stops_nobody(tmp_path: Path) -> None:
    """History is served, readiness says why nothing new comes, the log says it once, and the password is in neither."""
    url = f"redis://user:s3cret@127.0.0.1:{free_port()}/0"
    with serving(tmp_path / "data", "--redis-url", url) as (process, site):
        why = wait_for("a reason", lambda: refusal(site))
        assert httpx.get(f"{site}/healthz").is_success
        assert httpx.get(f"{site}/api/v1/runs").json() == {"runs": []}
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert "Connection refused. Start it, or name another one with --redis-url" in why
    log = (tmp_path / "log").read_text()
    assert log.count("Redis cannot be read") == 1
    assert "s3cret" not in log + why


def refusal(url: str) -> str | None:
    """Why a server is not ready, once it has tried."""
    answer = httpx.get(f"{url}/readyz")
    assert answer.status_code == 503
    why = str(answer.json()["redis"]["why"])
    return None if why == "not connected yet" else why
