"""Which steps a run has, and its alerts as they stood after one: what a replay in the browser reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.source import DashboardSource
from rolloutwatch_server.store import Store
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

HIGH = """
own_metrics = ["kl"]

[[rule]]
name = "high"
severity = "critical"
summary = "It is high."
cure = "Lower it."
when = "kl > 0.5"
"""


def get(store: Store, **query: Any) -> Any:
    return Asking.of(store).get(f"/runs/{RUN}/steps", **query)


def told(store: Store, **query: Any) -> tuple[Sequence[int], Sequence[float | None], int | None, int | None]:
    answer = get(store, **query)
    return answer["step"], answer["time"], answer["previous"], answer["next"]


def test_steps_come_with_their_times_and_with_those_beside_them(store: Store) -> None:
    """Steps are far apart or close together; what comes beyond the number asked for is where `next` says."""
    store.archive(
        STREAM, batch(start(), *(step(number, kl=1.0) for number in (2, 3, 5, 70_000, 9_000_000))
    ))  # fmt: skip
    assert told(store) == ([2, 3, 5, 70_000, 9_000_000], [2.0, 3.0, 5.0, 7e4, 9e6], None, None)
    assert told(store, most=2) == ([2, 3], [2.0, 3.0], None, 5)
    assert told(store, from_step=4, to_step=1000) == ([5], [5.0], 3, 70_000)
    assert told(store, from_step=6, to_step=69_999) == ([], [], 5, 70_000)
    assert told(store, from_step=70_000, most=1) == ([70_000], [7e4], 5, 9_000_000)


def test_a_step_without_figures_is_a_step(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0), step(2)))
    assert told(store) == ([1, 2], [1.0, 2.0], None, None)


def test_steps_that_were_given_up_do_not_come(store: Store) -> None:
    store.archive(STREAM, batch(start(), *(step(number, kl=1.0) for number in range(10))))
    before = get(store)["generation"]
    store.archive(OTHER_SESSION, batch(start(time=20.0), step(4, kl=1.0), step(6, kl=1.0)))
    answer = get(store)
    assert answer["step"] == [0, 1, 2, 3, 4, 6]
    assert answer["generation"] != before


def test_an_answer_that_is_known_is_not_sent_again(store: Store) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    asking = Asking.of(store)
    path = f"/api/v1/runs/{RUN}/steps"
    tag = asking.ask(path).headers["etag"]
    assert asking.ask(path, headers={"If-None-Match": tag}).status_code == 304
    store.archive(STREAM, batch(step(2, kl=1.0), first=3))
    assert asking.ask(path, headers={"If-None-Match": tag}).json()["step"] == [1, 2]


@pytest.mark.parametrize(
    ("url", "status", "detail"),
    [
        (f"{RUN}/steps?from_step=3&to_step=2", 422, "from_step is 3 and to_step is 2"),
        (f"{RUN}/steps?from_step=x", 422, "from_step is 'x'"),
        (f"{RUN}/steps?most=0", 422, "most is '0'"),
        ("math~none/steps", 404, "there is no run 'math~none'"),
    ],
)
def test_what_cannot_be_is_refused(store: Store, url: str, status: int, detail: str) -> None:
    store.archive(STREAM, batch(start(), step(1, kl=1.0)))
    answer = Asking.of(store).ask(f"/api/v1/runs/{url}")
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def judged(tmp_path: Path, clock: Clock) -> Store:
    store = Store(tmp_path / "judged.db", clock)
    store.save_rule_set(HIGH, "api", "ada")
    figures = (0.0, 0.75, 0.75, 0.0)
    store.archive(STREAM, batch(*(step(number, kl=value) for number, value in enumerate(figures))))
    store.archive(STREAM, batch(step(4, kl=0.75), first=5))
    return store


def said_at(store: Store, step: int, time: float) -> list[tuple[int, str, str, float | None]]:
    found = DashboardSource(store, Rulebook(store)).alerts_at(RUN, step, time)
    return [(one.firing_step, one.acknowledged_by, one.note, one.silenced_until) for one in found]


def test_alerts_stand_from_the_step_at_which_they_began_until_the_one_at_which_they_ended(
    judged: Store,
) -> None:
    stood = {at: [step for step, *_ in said_at(judged, at, 1000.0)] for at in range(6)}
    assert stood == {0: [], 1: [1], 2: [1], 3: [], 4: [4], 5: [4]}


def test_who_looked_after_an_alert_is_told_as_it_was_then(judged: Store, clock: Clock) -> None:
    """Before somebody did, while they did, after it was taken back; and silences likewise."""
    (alert,) = judged.alerts()
    clock.now = 1010.0
    judged.acknowledge(alert.id, "ada", 1030.0, "I look.")
    clock.now = 1012.0
    silence = judged.silence("math~*", "high", 1020.0, "bob")
    clock.now = 1015.0
    assert judged.unsilence(silence)
    clock.now = 1016.0
    judged.silence("math~*", "high", 1018.0, "bob")
    clock.now = 1040.0
    judged.acknowledge(alert.id, "eve", None)
    clock.now = 1050.0
    judged.unacknowledge(alert.id, "ada")
    assert {
        time: said_at(judged, 4, float(time))[0][1:] for time in (1009, 1011, 1013, 1015, 1017, 1018)
    } == {
        1009: ("", "", None),
        1011: ("ada", "I look.", None),
        1013: ("ada", "I look.", 1020.0),
        1015: ("ada", "I look.", None),
        1017: ("ada", "I look.", 1018.0),
        1018: ("ada", "I look.", None),
    }
    assert {time: said_at(judged, 4, float(time))[0][1] for time in (1030, 1040, 1050)} == {
        1030: "",
        1040: "eve",
        1050: "",
    }
