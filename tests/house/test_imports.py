"""Who may know whom, and what each side can do without."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.closure import environment_with_only
from tests.processes import wait_for

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold() -> None:
    """The same contracts as `make check` runs, from pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    judgement = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert judgement.returncode == 0, judgement.stdout
    assert "0 broken" in judgement.stdout


def run_python(environment: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code as `isolated` says."""
    return subprocess.run(
        isolated(environment, code), capture_output=True, text=True, check=False, timeout=100
    )


def isolated(environment: Path, code: str) -> list[str]:
    """Return the command that runs code in an interpreter that sees the standard library and `environment` alone."""
    program = f"import sys; sys.path.insert(0, {str(environment)!r})\n{code}"
    return [sys.executable, "-I", "-S", "-c", program]


@pytest.mark.parametrize(
    ("distribution", "code", "absent"),
    [
        ("rolloutwatch-contract", "import rolloutwatch_contract", ["torch", "redis", "dash", "fastapi"]),
        ("rolloutwatch-correction", "import rolloutwatch_correction", ["redis", "dash", "fastapi"]),
        (
            "rolloutwatch",
            "import rolloutwatch.doctor; rolloutwatch.Monitor",
            ["dash", "plotly", "fastapi", "uvicorn"],
        ),
        ("rolloutwatch-dashboard", "import rolloutwatch_dashboard", ["torch", "redis", "fastapi"]),
        (
            "rolloutwatch-server",
            "import rolloutwatch_server.cli",
            ["torch", "rolloutwatch", "rolloutwatch_correction"],
        ),
    ],
)
def test_each_distribution_works_with_what_it_declares_and_no_more(
    distribution: str, code: str, absent: list[str], tmp_path: Path
) -> None:
    """In an environment of nothing but its declared dependencies it imports, and the other side's are not there."""
    environment = environment_with_only(distribution, tmp_path)
    missing = "".join(f"\nassert importlib.util.find_spec({name!r}) is None, {name!r}" for name in absent)
    judgement = run_python(environment, f"import importlib.util{missing}\n{code}")
    assert judgement.returncode == 0, judgement.stderr


@pytest.mark.parametrize(
    ("distribution", "arguments", "code", "said"),
    [
        ("rolloutwatch-contract", ["presets", "disabled"], 0, "# disabled:"),
        ("rolloutwatch-contract", [], 0, "serve .* - not installed here, comes with rolloutwatch-server"),
        ("rolloutwatch", ["doctor", "--help"], 0, "usage: rolloutwatch doctor"),
        ("rolloutwatch", ["serve"], 2, r"comes with rolloutwatch-server; .* pip install ./contract ./dashboard ./server"),
        ("rolloutwatch-server", ["serve", "--help"], 0, "usage: rolloutwatch serve"),
        ("rolloutwatch-server", ["doctor"], 2, "comes with rolloutwatch; .* pip install ./contract ./correction ./client"),
    ],
)  # fmt: skip
def test_the_command_does_on_each_side_what_is_installed_there(
    distribution: str, arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    """And says of the rest what brings it."""
    environment = environment_with_only(distribution, tmp_path)
    run = f"from rolloutwatch_contract.command import main; sys.exit(main({arguments}))"
    judgement = run_python(environment, run)
    assert judgement.returncode == code, judgement.stderr
    assert re.search(said, judgement.stdout + judgement.stderr)


@pytest.mark.redis
def test_the_server_runs_where_there_is_no_torch(tmp_path: Path) -> None:
    """Not only its import: it starts a Redis, reads from it, and serves API and pages."""
    environment = environment_with_only("rolloutwatch-server", tmp_path / "environment")
    data_dir = tmp_path / "data"
    options = ["--port", "0", "--redis-port", "0", "--data-dir", str(data_dir)]
    code = f"from rolloutwatch_contract.command import main; sys.exit(main(['serve', *{options}]))"
    with subprocess.Popen(isolated(environment, code)) as process:
        try:
            told = wait_for("the server", lambda: read_json(data_dir / "server.json"))
            assert wait_for("readiness", lambda: answers(f"{told['url']}/readyz"))
            assert httpx.get(f"{told['url']}/api/v1/runs").json() == {"runs": []}
            assert "_dash-config" in httpx.get(told["url"]).text
            assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.terminate()
            assert process.wait(60) == 0


def read_json(path: Path) -> dict[str, str] | None:
    return json.loads(path.read_text()) if path.exists() else None


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
