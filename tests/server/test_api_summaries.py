"""Figures of a whole run in a few numbers, by the API, and when they are read anew."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.store import MEMORY, Store
from rolloutwatch_server.summaries import Summaries
from tests.server.asking import Asking
from tests.server.records import RUN, STREAM, batch, start, step

PATH = f"/runs/{RUN}/summary"


@pytest.fixture
def api(store: Store) -> Asking:
    return Asking.of(store)


class CountingStore(Store):
    """Counts the series that are read."""

    read: int = 0

    def series(self, run: str, metrics: Sequence[str], **which: Any) -> Mapping[str, Series]:
        self.read += len(metrics)
        return super().series(run, metrics, **which)


def test_every_value_counts_and_what_is_not_finite_is_spelt(api: Asking, store: Store) -> None:
    """Of a long run too, whose series a screen gets thinned."""
    values = [0.5] * 4000 + [math.inf, 2.5, math.nan]
    store.archive(STREAM, batch(start(), *(step(at, kl=value) for at, value in enumerate(values))))
    found = api.get(PATH, metric=["kl", "nothing"])
    assert found["figures"]["kl"] == {
        "finite": 4001, "infinite": 1, "nan": 1, "mean": pytest.approx(2002.5 / 4001), "last": "NaN", "last_step": 4002,
        "lowest": 0.5, "lowest_step": 0, "highest": "Infinity", "highest_step": 4000,
    }  # fmt: skip
    assert found["figures"]["nothing"]["finite"] == 0
    assert found["figures"]["nothing"]["mean"] is None


def test_an_answer_is_known_by_its_name_until_something_comes(api: Asking, store: Store) -> None:
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    first = api.ask(f"/api/v1{PATH}?metric=kl")
    tag = {"if-none-match": first.headers["etag"]}
    assert api.ask(f"/api/v1{PATH}?metric=kl", headers=tag).status_code == 304
    store.archive(STREAM, batch(step(1, kl=2.0), first=3))
    assert api.ask(f"/api/v1{PATH}?metric=kl", headers=tag).json()["figures"]["kl"]["last"] == 2.0


def test_what_is_refused(api: Asking) -> None:
    assert api.ask("/api/v1/runs/math~x/summary?metric=kl").status_code == 404
    assert api.ask(f"/api/v1{PATH}").json()["detail"].startswith("metric is missing")


def test_a_series_is_read_once_for_all_who_ask_until_something_comes() -> None:
    store = CountingStore(MEMORY)
    summaries = Summaries(store)
    store.archive(STREAM, batch(start(), step(0, kl=1.0, reward=3.0)))
    assert summaries.of(RUN, ["kl", "reward"])["kl"].last == 1.0
    assert summaries.of(RUN, ["reward"])["reward"].last == 3.0
    assert store.read == 2
    store.archive(STREAM, batch(step(1, kl=2.0), first=3))
    assert summaries.of(RUN, ["kl"])["kl"] == FigureSummary(
        finite=2, mean=1.5, last=2.0, last_step=1, lowest=1.0, lowest_step=0, highest=2.0, highest_step=1
    )
    assert store.read == 3
    assert summaries.of("math~nobody", ["kl"]) == {"kl": FigureSummary()}
    store.close()
