"""What holds for all tests."""

import itertools
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("rolloutwatch", deadline=None)  # a busy machine is no bug
settings.load_profile("rolloutwatch")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def spools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spools")


@pytest.fixture(autouse=True)
def spool_dir(spools: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a spool of its own, and none writes to the home of who runs it."""
    folder = spools / str(next(_numbers))
    monkeypatch.setenv("ROLLOUTWATCH_SPOOL_DIR", str(folder))
    monkeypatch.delenv("ROLLOUTWATCH_SPOOL_LIMIT", raising=False)
    return folder
