"""docker-compose.yml is valid, and its images are built from files that exist.

No container engine is needed: what can be judged without one is judged here.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(document, dict)
    return document


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


def test_redis_keeps_what_it_was_given_and_tells_its_health(compose: dict[str, Any]) -> None:
    """An append-only file on a volume, no eviction, and a health check that others wait for."""
    redis = compose["services"]["redis"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert [volume.split(":")[0] for volume in redis["volumes"]] == ["redis"]
    assert "redis" in compose["volumes"]
    assert redis["healthcheck"]["test"][0] == "CMD"
    assert compose["services"]["server"]["depends_on"]["redis"]["condition"] == "service_healthy"


def test_nothing_is_published_beyond_this_host(compose: dict[str, Any]) -> None:
    """There is no password, so the doors open on the loopback interface alone."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


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
