"""How fast four series of a long run are read, in the store and over HTTP."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.measure import interleaved
from benchmarks.server.backlog import POINTS
from benchmarks.server.content import FIGURES, LONG
from benchmarks.server.servers import Server
from rolloutwatch_server.store import Store

ROUNDS = 20
STORE, HTTP, NEWEST = "store", "HTTP", "newest"
NEWEST_STEPS = 100


def read(path: Path, server: Server, steps: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median milliseconds of each way to read four metrics; no two questions in a row are the same."""
    store, fours = Store(path), _fours()
    try:
        with httpx.Client(base_url=server.url, timeout=60) as client:

            def ask(first: int) -> None:
                parameters = {"metric": next(fours), "points": POINTS, "from_step": first}
                answer = client.get(f"/api/v1/runs/{LONG}/series", params=parameters)
                answer.raise_for_status()
                if min(len(one["step"]) for one in answer.json()["series"].values()) == 0:
                    raise RuntimeError("a series came back empty.")

            medians = interleaved(
                {
                    STORE: lambda: store.series(LONG, next(fours), points=POINTS),
                    HTTP: lambda: ask(0),
                    NEWEST: lambda: ask(steps - NEWEST_STEPS),
                },
                rounds,
            )
    finally:
        store.close()
    return {name: 1e3 * seconds for name, seconds in medians.items()}


def _fours() -> Iterator[tuple[str, ...]]:
    """Yield four metrics at a time, all of them in turn."""
    metrics = itertools.cycle(FIGURES)
    while True:
        yield (*itertools.islice(metrics, 3), FIGURES[0])
