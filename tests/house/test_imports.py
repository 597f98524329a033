"""Who may know whom, and what each side can do without."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.closure import environment_with_only

ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold() -> None:
    """The same contracts as `make check` runs, from pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    judgement = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert judgement.returncode == 0, judgement.stdout
    assert "0 broken" in judgement.stdout


def run_python(environment: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that sees the standard library and `environment`, nothing else."""
    program = f"import sys; sys.path.insert(0, {str(environment)!r})\n{code}"
    command = [sys.executable, "-I", "-S", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize(
    ("distribution", "code", "absent"),
    [
        ("rolloutwatch-contract", "import rolloutwatch_contract", ["torch", "redis", "dash", "fastapi"]),
        ("rolloutwatch-correction", "import rolloutwatch_correction", ["redis", "dash", "fastapi"]),
        (
            "rolloutwatch",
            "import rolloutwatch; rolloutwatch.Monitor",
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


def test_the_server_runs_where_there_is_no_torch(tmp_path: Path) -> None:
    """Not only its import: the command starts, and tells what it can do."""
    environment = environment_with_only("rolloutwatch-server", tmp_path)
    code = "from rolloutwatch_server.cli import main; sys.argv = ['rolloutwatch', 'serve', '--help']; main()"
    judgement = run_python(environment, code)
    assert judgement.returncode == 0, judgement.stderr
    assert "--data-dir" in judgement.stdout
