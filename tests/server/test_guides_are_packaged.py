"""The guides, their pictures, and the documentation they lead to come with the server, however it is installed."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from rolloutwatch_server import guides

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_bytes() for path in DOCS.rglob("*.md")}
PICTURES = {str(path.relative_to(DOCS)): path.read_bytes() for path in DOCS.glob("images/diagnosis/*.svg")}
PLACE = "rolloutwatch_server/documentation/"


def built(target: str, project: Path, folder: Path) -> Path:
    """Build a wheel or an sdist with the back-end that pip would use."""
    code = f"import sys, hatchling.build; print(hatchling.build.build_{target}(sys.argv[1]))"
    answer = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=project, check=True, capture_output=True, text=True
    )
    return folder / answer.stdout.split()[-1]


def documentation_in(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(PLACE)]
        return {name.removeprefix(PLACE): archive.read(name) for name in names}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", ROOT / "server", tmp_path_factory.mktemp("wheel"))


def test_a_wheel_has_all_of_them(wheel: Path) -> None:
    assert len(PAGES) > len(DEFAULT_RULES)
    assert len(PICTURES) == len(HYPOTHESES)
    assert documentation_in(wheel) == PAGES | PICTURES


def test_a_wheel_that_is_made_of_an_sdist_has_them_too(tmp_path: Path) -> None:
    """As `python -m build` and package indexes do it, without the repository around it."""
    sdist = built("sdist", ROOT / "server", tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (project,) = (tmp_path / "unpacked").iterdir()
    assert documentation_in(built("wheel", project, tmp_path)) == PAGES | PICTURES


def test_a_server_without_guides_is_not_built(tmp_path: Path) -> None:
    """It would be found out when somebody needs one."""
    project = tmp_path / "elsewhere" / "server"
    project.mkdir(parents=True)
    for name in ("pyproject.toml", "hatch_build.py", "README.md"):
        (project / name).write_bytes((ROOT / "server" / name).read_bytes())
    (project / "rolloutwatch_server").mkdir()
    (project / "rolloutwatch_server" / "__init__.py").touch()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        built("wheel", project, tmp_path)
    assert "docs/guides is not there" in failed.value.stderr


def test_what_is_installed_finds_them_in_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "from rolloutwatch_server import guides; "
        "print(guides.folder(), len(guides.names()), len(guides.pages()), len(guides.pictures()))"
    )
    others = [ROOT / "contract", ROOT / "dashboard"]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [tmp_path, *others]))},
    )  # fmt: skip
    assert answer.stdout.split() == [
        str(tmp_path / "rolloutwatch_server/documentation"), str(len(DEFAULT_RULES) + len(HYPOTHESES)),
        str(len(PAGES)), str(len(PICTURES)),
    ]  # fmt: skip


def test_what_runs_from_the_repository_finds_them_there() -> None:
    assert guides.folder() == DOCS
    assert guides.pages().keys() == PAGES.keys()
    assert guides.pictures().keys() == PICTURES.keys()
    for rule in DEFAULT_RULES:
        title, html = guides.page(f"/guides/{rule.name}") or ("", "")
        assert title
        assert "When it cannot fire</h2>" in html
