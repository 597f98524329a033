"""A run as a Parquet file; needs pyarrow, which is not installed with the server unless it is asked for."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_server import __version__
from rolloutwatch_server.exports.secrets import without_secrets
from rolloutwatch_server.store import Portion


class NoParquet(RuntimeError):
    """pyarrow is not installed; the message says how to get it."""

    def __init__(self) -> None:
        super().__init__(
            "Parquet needs pyarrow, which is not installed here: pip install 'rolloutwatch-server[parquet]' "
            "(in the repository: pip install './server[parquet]'), or choose another format."
        )


def as_parquet(portions: Iterable[Portion], metrics: Sequence[str], detail: RunDetail) -> Iterator[bytes]:
    """Yield a file with step int64, time and metrics float64, null where there is none, a row group for each portion.

    Its metadata tells the run, its configuration, its environment, and the version that wrote it. NoParquet.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise NoParquet from error
    names = ["step", "time", *(_column(metric) for metric in metrics)]
    types = [pa.int64(), *[pa.float64()] * (len(metrics) + 1)]
    schema = pa.schema(list(zip(names, types, strict=True)), metadata=_metadata(detail))
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for portion in portions:
            columns = [pa.array(portion.step), pa.array(portion.time, mask=np.isnan(portion.time))]
            columns += [pa.array(portion.values[metric], mask=~portion.present[metric]) for metric in metrics]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            yield sink.take()
    yield sink.take()


def _column(metric: str) -> str:
    """Return what a metric's column is called; no other column may have the names of the first two."""
    return f"{metric}_" if metric in ("step", "time") else metric


def _metadata(detail: RunDetail) -> dict[str, str]:
    config = {
        name: value if not isinstance(value, float) or math.isfinite(value) else repr(value)
        for name, value in without_secrets(detail.config).items()
    }
    return {
        "rolloutwatch.run": detail.summary.id,
        "rolloutwatch.config": json.dumps(config),
        "rolloutwatch.environment": json.dumps(detail.environment),
        "rolloutwatch.version": __version__,
    }


class _Sink:
    """A file that is taken away as it is written."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Do nothing: it is in memory."""

    def close(self) -> None:
        """Do nothing: what was written is still to be taken."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def take(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
