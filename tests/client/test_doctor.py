"""`rolloutwatch doctor`: what it finds on the way from the trainer to the archive, and the cure it names."""

import contextlib
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch.doctor import SECONDS_AT_MOST, in_time
from rolloutwatch.doctor import doctor as main
from rolloutwatch.examination import Finding, Verdict
from rolloutwatch.spool import Head, Spool, transport_of
from rolloutwatch.troubles import OPTIONAL_RIGHTS, RIGHTS
from rolloutwatch_contract.keys import SERVER_KEY, STREAM_PATTERN
from rolloutwatch_contract.presence import Presence, encode_presence
from rolloutwatch_server.presence import Sign
from rolloutwatch_server.store import MEMORY, Store
from rolloutwatch_server.transport import connect
from tests.processes import ROOT, wait_for
from tests.redis_kin import Authority, TlsDoor, black_hole, cluster, replicated, sentinel
from tests.redis_process import RedisProcess, free_port
from tests.server.ingesting import ingesting

pytestmark = pytest.mark.redis

ROW = re.compile(r"^  (ok|warning|failed|-) +(\w[\w ]*?)?  +(.*)$")
Report = dict[str, tuple[str, str]]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Doctor":
    return Doctor(tmp_path / "spool", capsys)


class Doctor:
    """Runs the command, and reads its table."""

    def __init__(self, spool: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.spool = spool
        self.text = ""
        self._capsys = capsys

    def __call__(self, url: str, code: int, *options: str) -> Report:
        """Examine the way to a Redis; each row by its name, verdict first, cure at the end."""
        begin = time.monotonic()
        assert main(["--redis-url", url, "--spool-dir", str(self.spool), *options]) == code
        assert time.monotonic() - begin < SECONDS_AT_MOST + 5
        told = self._capsys.readouterr()
        assert told.err == ""
        assert "geheim" not in told.out
        self.text = told.out
        rows: Report = {}
        for line in told.out.splitlines():
            if row := ROW.match(line):
                last = row[2] or "rest"
                rows[last] = (row[1], row[3])
            elif line.strip().startswith("cure: "):
                rows[last] = (rows[last][0], f"{rows[last][1]} > {line.strip()}")
        return rows


@contextlib.contextmanager
def served(redis: RedisProcess) -> Iterator[None]:
    """A server at work on a Redis, that has said so."""
    store = Store(MEMORY)
    with (
        contextlib.closing(store),
        ingesting(store, redis.url) as running,
        Sign(running.ingest, lambda: connect(redis.url)),
    ):
        running.wait_for_trouble(None)
        with redis.client() as client:
            wait_for("the sign", lambda: bool(client.exists(SERVER_KEY)))
        yield


def test_where_all_is_well_every_step_says_so(redis: RedisProcess, doctor: Doctor) -> None:
    """And the probe leaves no trace."""
    with served(redis):
        rows = doctor(redis.url, 0)
        assert {what: verdict for what, (verdict, _) in rows.items()} == {
            "url": "ok", "name": "ok", "connection": "ok", "tls": "-", "login": "ok", "rights": "ok",
            "memory": "ok", "disk": "ok", "clock": "ok", "server": "ok", "round trip": "ok", "spool": "ok",
        }  # fmt: skip
        assert doctor.text.endswith("All is well.\n")
        assert rows["clock"][1] == "Redis agrees with this host, the server agrees with this host"
        with redis.client() as client:
            assert list(client.scan_iter(STREAM_PATTERN)) == []


def test_without_a_server_the_command_that_starts_one_is_named(redis: RedisProcess, doctor: Doctor) -> None:
    rows = doctor(redis.url, 1)
    assert rows["server"][0] == "failed"
    assert f"rolloutwatch serve --redis-url {redis.url}" in rows["server"][1]
    assert rows["round trip"][0] == "-"
    with served(redis), redis.client() as client:
        wait_for("the probe to be taken away", lambda: not list(client.scan_iter(STREAM_PATTERN)))


def test_what_a_server_says_of_itself_is_passed_on(redis: RedisProcess, doctor: Doctor) -> None:
    """Its trouble, another version, another schema, and a clock that is wrong by an hour."""
    now = time.time()
    sign = {"version": "9.9", "host": "monitor", "pid": 1, "time": now, "redis_time": now}
    with contextlib.closing(Store(MEMORY)) as store, ingesting(store, redis.url), redis.client() as client:
        for code, changes, what, verdict, words in (
            (0, {}, "server", "warning", "version 9.9 on monitor, here it is 0.1.0 > cure: Install the same ver"),
            (1, {"schema": 99}, "server", "failed", "reads records of another kind > cure: Install the same"),
            (1, {"trouble": "archive", "reason": "disk full"}, "server", "failed", "(archive) > cure: disk full"),
            (0, {"time": now + 3600}, "clock", "warning", "the server is 3600.0 s ahead of this host: a run"),
        ):  # fmt: skip
            client.set(SERVER_KEY, encode_presence(Presence(**(sign | changes))))  # type: ignore[arg-type]
            rows = doctor(redis.url, code)
            assert rows[what][0] == verdict
            assert words in rows[what][1]
        client.set(SERVER_KEY, b"noise")
        assert doctor(redis.url, 1)["server"][0] == "failed"


def test_a_server_that_does_not_read_is_not_waited_for_long(redis: RedisProcess, doctor: Doctor) -> None:
    """It said that it was there, and has died since, or hangs."""
    now = time.time()
    with redis.client() as client:
        sign = Presence(version="0.1.0", host="monitor", pid=1, time=now, redis_time=now)
        client.set(SERVER_KEY, encode_presence(sign))
    rows = doctor(redis.url, 1)
    assert rows["round trip"][0] == "failed"
    assert (
        "no server has read the probe within 4 s > cure: See the log of the server" in rows["round trip"][1]
    )


def test_what_would_lose_records_is_warned_of(redis: RedisProcess, doctor: Doctor) -> None:
    """Also an evicting policy that waits for a limit, of which the trainer itself says nothing."""
    with served(redis), redis.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        rows = doctor(redis.url, 0)
        assert rows["disk"][0] == rows["memory"][0] == "warning"
        assert "CONFIG SET appendonly yes" in rows["disk"][1]
        assert (
            "as soon as a limit is set (maxmemory) > cure: CONFIG SET maxmemory-policy" in rows["memory"][1]
        )
        client.config_set("maxmemory", "100mb")
        assert "throws away whole streams when memory is short" in doctor(redis.url, 0)["memory"][1]
        client.config_set("maxmemory-policy", "noeviction")
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", str(int(used * 1.08)))
        assert "Raise maxmemory" in doctor(redis.url, 0)["memory"][1]
        assert doctor.text.endswith("warnings: 2.\n")
        client.config_set("maxmemory", "1")
        rows = doctor(redis.url, 1)
        assert rows["state"][1].startswith(
            "it is full (maxmemory) > cure: See whether the server reads from it"
        )


def test_the_least_rights_are_enough_and_what_they_hide_is_left_out(
    redis: RedisProcess, doctor: Doctor
) -> None:
    url = redis.url.replace("//", "//trainer:geheim@")
    with served(redis), redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "trainer", "on", ">geheim", "~rolloutwatch:*", "-@all", *RIGHTS.split()
        )
        rows = doctor(url, 0)
        assert rows["memory"] == rows["disk"] == ("-", "not told: the right +info is missing")
        assert rows["clock"] == ("-", "not told: the right +time is missing")
        assert rows["round trip"][0] == "ok"
        client.execute_command("ACL", "SETUSER", "trainer", *OPTIONAL_RIGHTS.split())
        rows = doctor(url, 0)
        assert rows["memory"][0] == rows["clock"][0] == "ok"


@pytest.mark.parametrize("missing", ["+xadd", "+xrange", "+xinfo|stream", "+get", "+multi"])
def test_a_right_that_is_missing_is_named_with_the_line_that_gives_it(
    missing: str, redis: RedisProcess, doctor: Doctor
) -> None:
    rights = [one for one in RIGHTS.split() if one != missing]
    with redis.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "trainer", "on", ">geheim", "~rolloutwatch:*", "-@all", *rights
        )
    rows = doctor(redis.url.replace("//", "//trainer:geheim@"), 1)
    assert rows["rights"][0] == "failed"
    assert missing.strip("+").split("|")[0] in rows["rights"][1].lower()
    assert "ACL SETUSER trainer ~rolloutwatch:* +multi" in rows["rights"][1]
    assert rows["rest"][0] == "-"
    assert rows["spool"][0] == "ok", "what needs no Redis is looked at all the same"


def test_a_wrong_password_is_found_and_not_shown(redis: RedisProcess, doctor: Doctor) -> None:
    with redis.client() as client:
        client.config_set("requirepass", "right")
    rows = doctor(redis.url.replace("//", "//:geheim@"), 1)
    assert rows["url"][1] == f"{redis.url.replace('//', '//:***@')}, from --redis-url"
    assert rows["login"][0] == "failed"
    assert "it refuses the user 'default'" in rows["login"][1]


def test_encryption_is_looked_at(redis: RedisProcess, doctor: Doctor, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with served(redis), TlsDoor(redis, authority.sign("good")) as door:
        url = f"rediss://localhost:{door.port}/0"
        rows = doctor(f"{url}?ssl_ca_certs={authority.certificate}", 0)
        assert rows["tls"] == ("ok", "encrypted, certificate and host name verified")
        rows = doctor(f"{url}?ssl_cert_reqs=none", 0)
        assert rows["tls"][0] == "warning"
        assert "ssl_cert_reqs=none" in rows["tls"][1]
        rows = doctor(url, 1)
        assert rows["tls"][0] == "failed"
        assert "?ssl_ca_certs=/path/to/ca.pem" in rows["tls"][1]


def test_the_primary_is_found_by_way_of_a_sentinel(tmp_path: Path, doctor: Doctor) -> None:
    with replicated(tmp_path) as (primary, replica), sentinel(tmp_path / "sentinel", primary) as guard:
        url = f"redis+sentinel://127.0.0.1:{guard.port},127.0.0.1:{free_port()}/mymaster"
        rows = doctor(url, 1)
        assert rows["connection"][0] == "warning"
        assert rows["login"] == ("ok", f"as user 'default', at 127.0.0.1:{primary.port}")
        assert f"rolloutwatch serve --redis-url {primary.url}" in rows["server"][1]
        assert "it is a replica" in doctor(replica.url, 1)["state"][1]


def test_a_cluster_takes_records_that_no_server_can_read_yet(tmp_path: Path, doctor: Doctor) -> None:
    with cluster(tmp_path) as (lower, _):
        rows = doctor(f"redis+cluster://127.0.0.1:{lower.port}", 1)
    assert rows["rights"][0] == "ok"
    assert "A server cannot read from a cluster yet" in rows["server"][1]


def test_whatever_redis_does_the_report_comes_in_time(redis: RedisProcess, doctor: Doctor) -> None:
    """Not there, silent, swallowed, unknown; and patient beyond reason, because the URL says so."""
    assert "nobody listens there" in doctor(f"redis://127.0.0.1:{free_port()}", 1)["connection"][1]
    assert "not known here" in doctor("redis://redis.invalid", 1)["name"][1]
    with black_hole() as port:
        assert "it did not answer within 1 s" in doctor(f"redis://127.0.0.1:{port}", 1)["connection"][1]
    redis.suspend()
    assert "it did not answer within 1 s" in doctor(redis.url, 1)["connection"][1]


def test_an_examination_that_hangs_is_left() -> None:
    """A socket_timeout in the URL may make it as patient as it likes."""
    never = threading.Event()

    def hanging() -> Iterator[Finding]:
        yield Finding("url", Verdict.OK, "fine")
        never.wait()

    first, last = in_time(hanging(), 0.1)
    never.set()
    assert first.what == "url"
    assert (last.what, last.verdict) == ("time", Verdict.FAILED)
    assert "what comes after this has not ended" in last.found


def test_a_url_that_is_none_is_told_with_its_source(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = doctor("http://user:geheim@host", 1)
    assert rows["url"][1].startswith(
        "from --redis-url: redis_url is 'http://user:***@host': expected redis://"
    )
    monkeypatch.setenv("ROLLOUTWATCH_REDIS_URL", "nonsense")
    assert main(["--spool-dir", "off"]) == 1
    assert "from ROLLOUTWATCH_REDIS_URL: redis_url is 'nonsense'" in capsys.readouterr().out


def test_the_spool_is_looked_at(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off, not usable, larger than the disk, with records of former sessions."""
    url = f"redis://127.0.0.1:{free_port()}"
    assert doctor(url, 1, "--spool-dir", "off")["spool"][0] == "warning"
    (tmp_path / "file").write_text("")
    rows = doctor(url, 1, "--spool-dir", str(tmp_path / "file"))
    assert rows["spool"][0] == "failed"
    assert "cannot be used: [Errno 17] File exists" in rows["spool"][1]
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", str(shutil.disk_usage(tmp_path).total * 2))
    assert "the disk is full before the limit is reached" in doctor(url, 1)["spool"][1]
    monkeypatch.delenv("ROLLOUTWATCH_SPOOL_LIMIT")
    (doctor.spool / "sessions" / "s1").mkdir(parents=True)
    (doctor.spool / "sessions" / "s1" / "lock").touch()
    assert "1 earlier sessions wait for the next trainer" in doctor(url, 1)["spool"][1]
    left = Spool(doctor.spool, Head("math~a", "s2", transport_of("redis://elsewhere:1/0"), b"start"))
    left.append(1, b"start")
    left.close()
    assert "2 earlier sessions" in doctor(url, 1)["spool"][1]
    assert "1 of which are meant for another Redis" in doctor(url, 1)["spool"][1]
    assert doctor("redis://elsewhere:1/0", 1)["spool"][0] == "ok"
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_LIMIT", "plenty")
    assert "Correct ROLLOUTWATCH_SPOOL_LIMIT" in doctor(url, 1)["spool"][1]


def test_it_is_a_command_beside_the_trainer(tmp_path: Path) -> None:
    """By name and as a module; wrong arguments are another exit code than a way that is not free."""
    for command, options, code in (
        (
            [str(Path(sys.executable).with_name("rolloutwatch"))],
            [f"--redis-url=redis://127.0.0.1:{free_port()}"],
            1,
        ),
        ([sys.executable, "-m", "rolloutwatch"], ["--redis"], 2),
    ):
        run = [*command, "doctor", "--spool-dir=off", *options]
        ended = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == code, ended.stderr
