"""What an importer makes of files, and what the archive makes of that."""

import tempfile
from pathlib import Path

from rolloutwatch_server.imports.conversion import Summary, Target, convert
from rolloutwatch_server.imports.files import no_progress
from rolloutwatch_server.imports.restoring import restore
from rolloutwatch_server.imports.sources import AUTO, find
from rolloutwatch_server.store import Store

FIXTURES = Path(__file__).parent / "fixtures"
WANDB = FIXTURES / "run-golden.wandb"
TENSORBOARD = FIXTURES / "tensorboard"
TENSORBOARDX = FIXTURES / "tensorboardx"


def take_in(store: Store, path: Path, form: str = AUTO) -> Summary:
    """Import the only run under a path."""
    (source,) = find(path, form)
    with tempfile.NamedTemporaryFile(suffix=".rwz") as file:
        summary = convert(source.read(no_progress), Target(None, None, source.name, 1.0), file)
        file.flush()
        restore(store, Path(file.name))
    return summary


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
