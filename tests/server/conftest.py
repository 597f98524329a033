"""An archive in a file, and a Redis to read from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch_server.store import Store
from tests.redis_process import RedisProcess


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    one = Store(path)
    yield one
    one.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path / "redis") as server:
        yield server
