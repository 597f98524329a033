"""docker-compose.yml is valid, and its images are built from files that exist.

No container engine is needed: what can be judged without one is judged here.
"""

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from rolloutwatch.push import RedisSink
from rolloutwatch_contract import encode
from rolloutwatch_server.store import MEMORY, Store
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import ingesting
from tests.server.records import RUN, start, step

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture
def store() -> Iterator[Store]:
    one = Store(MEMORY)
    yield one
    one.close()


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_file_obeys_the_compose_specification() -> None:
    """Judged by the specification's own JSON schema, which check-jsonschema carries."""
    judgement = validate(ROOT / "docker-compose.yml")
    assert judgement.returncode == 0, judgement.stdout


def test_the_schema_would_notice_a_mistake(tmp_path: Path) -> None:
    """A validation that accepts everything proves nothing."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text((ROOT / "docker-compose.yml").read_text().replace("healthcheck:", "healthchek:"))
    assert validate(wrong).returncode != 0


def interpolated(text: str, values: dict[str, str]) -> str:
    """Put values, or else defaults, where compose does: `${NAME:-default}`, `${NAME:?complaint}`."""
    return re.sub(
        r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", lambda found: values.get(found[1], found[2] or ""), text
    )


def test_redis_keeps_what_it_was_given_and_tells_its_health(compose: dict[str, Any]) -> None:
    """An append-only file on a volume, no eviction, and a health check that others wait for."""
    redis = compose["services"]["redis"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert [volume.split(":")[0] for volume in redis["volumes"]] == ["redis"]
    assert "redis" in compose["volumes"]
    assert redis["healthcheck"]["test"][0] == "CMD-SHELL"
    assert compose["services"]["server"]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert compose["services"]["demo"]["depends_on"]["server"]["condition"] == "service_healthy"


def test_files_of_targets_and_rules_can_be_named_and_the_example_mounts_them(tmp_path: Path) -> None:
    """Not set they are not there; with the line of the example, without its comment sign, the file is still valid."""
    text = (ROOT / "docker-compose.yml").read_text()
    environment = yaml.safe_load(text)["services"]["server"]["environment"]
    given = {
        "ROLLOUTWATCH_NOTIFY_FILE": "/etc/rolloutwatch/targets.toml",
        "ROLLOUTWATCH_RULES_FILE": "/etc/rolloutwatch/rules.toml",
    }
    for name, path in given.items():
        assert interpolated(environment[name], {}) == ""
        assert interpolated(environment[name], given) == path
        assert f"{name}={path}" in text
    with_mount = tmp_path / "docker-compose.yml"
    with_mount.write_text(text.replace("# - ./alerts", "- ./alerts"))
    assert validate(with_mount).returncode == 0
    volumes = yaml.safe_load(with_mount.read_text())["services"]["server"]["volumes"]
    assert volumes == ["archive:/data", "./alerts:/etc/rolloutwatch:ro"]
    uid = re.search(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
    assert uid is not None
    assert f"chown {uid[1]} alerts/targets.toml" in text


def test_nothing_is_published_beyond_this_host_unless_somebody_says_so(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert sorted(interpolated(port, {}) for port in ports) == [
        "127.0.0.1:6379:6379",
        "127.0.0.1:8050:8050",
    ]


def test_no_container_has_more_rights_than_it_needs(compose: dict[str, Any]) -> None:
    """It writes to its volume alone, has no capability, gets none, and is not root."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name, service in compose["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        stage = dockerfile.split(f"AS {name}\n")[-1].split("\nFROM")[0]
        assert "user" in service or "USER rolloutwatch" in stage


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """What the script makes, as compose reads it."""
    (tmp_path / "deploy").mkdir()
    script = shutil.copy(ROOT / "deploy/new-secrets.sh", tmp_path / "deploy")
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    again = subprocess.run(["sh", script], check=False, capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (1, "")
    assert "is there already: move it away" in again.stderr
    lines = [line for line in (tmp_path / ".env").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_script_makes_every_secret_that_is_asked_for(
    compose: dict[str, Any], secrets: dict[str, str]
) -> None:
    """And no other one; each is long, each is another one, and none of them is read by anybody else."""
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert set(secrets) == asked
    single = re.findall(r"[0-9a-f]{48}", " ".join(secrets.values()))
    assert len(set(single)) == 4
    assert ".env" in (ROOT / ".dockerignore").read_text().split()
    assert ".env" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.redis
def test_trainer_and_server_get_along_as_the_users_of_the_file(
    compose: dict[str, Any], secrets: dict[str, str], tmp_path: Path, store: Store
) -> None:
    """In a real Redis with that very list of users nobody else gets in, and health is asked without a password."""
    users = tmp_path / "users.acl"
    users.write_text(interpolated(compose["configs"]["users"]["content"], secrets))
    server = RedisProcess(tmp_path / "redis", "--aclfile", str(users))
    server.start(wait=False)

    def url_of(service: str) -> str:
        url = interpolated(compose["services"][service]["environment"]["ROLLOUTWATCH_REDIS_URL"], secrets)
        return url.replace("@redis:6379", f"@127.0.0.1:{server.port}")

    def connected(url: str) -> redis.Redis:
        return redis.Redis.from_url(url, socket_timeout=5)

    def is_healthy() -> bool:
        with contextlib.suppress(redis.ConnectionError), connected(health) as client:
            return bool(client.ping())
        return False

    health = server.url.replace("//", "//health:none@")
    try:
        wait_for("health", is_healthy)
        refused = [
            server.url,
            server.url.replace("//", "//default:@"),
            server.url.replace("//", "//trainer:x@"),
        ]
        for url in refused:
            with connected(url) as client, pytest.raises(redis.AuthenticationError):
                client.get("rolloutwatch:server")
        for url in (health, url_of("demo"), url_of("server")):
            with connected(url) as client, pytest.raises(redis.exceptions.NoPermissionError):
                client.set("other", 1)
        with ingesting(store, url_of("server")) as running:
            sink = RedisSink(url_of("demo"), RUN, "s1")
            sink.send([(1, encode(start())), (2, encode(step(0, kl=0.5)))])
            running.wait_for(2)
            wait_for("the acknowledgement", lambda: sink.send([]) == 2)
            sink.close()
            assert running.ingest.health.trouble is None
            assert running.ingest.tally.waiting is not None
    finally:
        server.kill()


def test_the_users_have_the_rights_that_are_documented(compose: dict[str, Any]) -> None:
    """docs/redis.md says what each of them is for, and tests show that none is superfluous."""
    documented = dict(
        re.findall(r"^ACL SETUSER (trainer|server) on >\S+ (.*)$", (ROOT / "docs/redis.md").read_text(), re.M)
    )
    content = compose["configs"]["users"]["content"]
    assert dict(re.findall(r"^user (trainer|server) on >\$\{[^}]*\} (.*)$", content, re.M)) == documented


def test_the_demo_starts_only_when_asked_for(compose: dict[str, Any]) -> None:
    assert compose["services"]["demo"]["profiles"] == ["demo"]
    assert "profiles" not in compose["services"]["server"]


def test_every_image_is_built_from_what_the_repository_has(compose: dict[str, Any]) -> None:
    """Each target is a stage of the Dockerfile, and each copied path exists."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", dockerfile, re.MULTILINE))
    targets = {s["build"]["target"] for s in compose["services"].values() if "build" in s}
    assert targets == {"server", "demo"}
    assert targets <= stages
    copied = re.findall(r"^COPY (\S+) \S+$", dockerfile, re.MULTILINE)
    assert len(copied) >= 6
    for path in copied:
        assert (ROOT / path).exists(), path


def test_the_server_image_has_no_torch() -> None:
    """What the server's stage installs does not name the trainer's distributions."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    stage = dockerfile.split("AS server", 1)[1].split("AS demo", 1)[0]
    installs = re.findall(r"pip install (.*?)(?:\\|$)", stage, re.MULTILINE)
    assert len(installs) == 1
    assert "correction" not in installs[0]
    assert "client" not in installs[0]
