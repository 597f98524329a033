"""Who is measured: Rolloutwatch, and the loggers that a user would pick instead, each of them optional.

They all log the same forty scalars, and of each sequence what they are made for: ours its whole table,
and the metrics and the histogram of the batch besides; the others a histogram of the mean log ratio.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import rolloutwatch
from benchmarks.client_cost.batches import Content
from benchmarks.client_cost.content import CONFIG

LOGGERS_PATH = "ROLLOUTWATCH_LOGGERS_PATH"
HISTOGRAM = "mismatch/log_ratio"
SECONDS_TO_CONNECT = 10.0

Call = Callable[[], object]


class Logger(Protocol):
    """A logger with an open run."""

    def calls(self, step: int, content: Content) -> list[Call]:
        """Return the calls by which a trainer logs a step; they are what is timed."""

    def undelivered(self, seconds: float) -> int | None:
        """Return how many records are not where they belong after so many seconds; None if that cannot be told."""

    def close(self) -> None:
        """End the run, wait for little."""


class Ours:
    """Rolloutwatch: `record` what was measured, then `log` scalars."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        os.environ["ROLLOUTWATCH_SPOOL_DIR"] = str(folder)
        self._monitor = rolloutwatch.Monitor(project="bench", config=CONFIG, redis_url=redis_url)
        self._monitor.flush(SECONDS_TO_CONNECT)

    def calls(self, step: int, content: Content) -> list[Call]:
        log = partial(self._monitor.log, step, content.scalars)
        if content.batch is None:
            return [log]
        return [partial(self._monitor.record, step, content.batch.correction), log]

    def undelivered(self, seconds: float) -> int | None:
        self._monitor.flush(seconds)
        health = self._monitor.health()
        return health.queued + sum(health.dropped.values())

    def close(self) -> None:
        self._monitor.close(timeout=0.1)


class TensorBoard:
    """TensorBoard's writer, as PyTorch has it."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def calls(self, step: int, content: Content) -> list[Call]:
        return [partial(self._log, step, content)]

    def _log(self, step: int, content: Content) -> None:
        for name, value in content.scalars.items():
            self._writer.add_scalar(name, value, step)
        if content.batch is not None:
            self._writer.add_histogram(HISTOGRAM, content.batch.log_ratios, step)

    def undelivered(self, seconds: float) -> int | None:
        return None

    def close(self) -> None:
        self._writer.close()


class _Run:
    """A run of trackio or of wandb, whose interfaces agree."""

    def __init__(self, package: Any, run: Any) -> None:
        self._package, self._run = package, run

    def calls(self, step: int, content: Content) -> list[Call]:
        return [partial(self._log, step, content)]

    def _log(self, step: int, content: Content) -> None:
        values: dict[str, Any] = dict(content.scalars)
        if content.batch is not None:
            values[HISTOGRAM] = self._package.Histogram(content.batch.log_ratios)
        self._run.log(values, step=step)

    def undelivered(self, seconds: float) -> int | None:
        return None

    def close(self) -> None:
        self._run.finish()


def _tensorboard(_: Path) -> tuple[str, Callable[[Path], Logger]]:
    import tensorboard
    import torch.utils.tensorboard  # noqa: F401 - what is missing is to be noticed here

    return tensorboard.__version__, TensorBoard


def _trackio(home: Path) -> tuple[str, Callable[[Path], Logger]]:
    os.environ |= {"TRACKIO_DIR": str(home), "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    for elsewhere in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL"):
        os.environ.pop(elsewhere, None)
    import trackio

    return trackio.__version__, lambda folder: _Run(
        trackio, trackio.init(project="bench", name=folder.name, embed=False)
    )


def _wandb(home: Path) -> tuple[str, Callable[[Path], Logger]]:
    folders = ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR")
    os.environ |= {name: str(home) for name in folders}
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    import wandb

    return wandb.__version__, lambda folder: _Run(wandb, wandb.init(project="bench", name=folder.name))


TENSORBOARD, TRACKIO, WANDB = "TensorBoard", "trackio", "wandb, offline"
OTHERS = {TENSORBOARD: _tensorboard, TRACKIO: _trackio, WANDB: _wandb}


def find(name: str, home: Path) -> tuple[str, Callable[[Path], Logger]] | str:
    """Return another logger's version, and what opens a run of it with its files in `home`; or why there is none."""
    if extra := os.environ.get(LOGGERS_PATH):
        sys.path.append(extra)  # last, so that torch and numpy stay the project's
    try:
        return OTHERS[name](home)
    except ImportError as error:
        return f"{name} cannot be imported ({error})"
