"""A run as it happens, over a real connection."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rolloutwatch_contract import Heartbeat, RunEnd, RunStart, StepRecord
from rolloutwatch_server.store import SECONDS_UNTIL_STALLED
from tests.browser.site import Site
from tests.redis_process import free_port
from tests.server.records import RUN

EVERYTHING = {"Accept-Encoding": "gzip, deflate", "Accept": "text/event-stream"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path, f"redis://127.0.0.1:{free_port()}")
    one.start()
    yield one
    one.stop()
    one.close()


@contextmanager
def watching(
    url: str, run: str = RUN, **query: str
) -> Iterator[tuple[httpx.Response, Iterator[tuple[str, Any]]]]:
    """Open a run's stream; its events come as name and data."""
    live = f"{url}/api/v1/runs/{run}/live"
    with httpx.stream("GET", live, params=query, headers=EVERYTHING, timeout=20) as answer:
        yield answer, events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_viewer_is_told_how_the_run_is_and_then_each_step(site: Site) -> None:
    """The summary at once, a step as soon as it is archived, neither collected nor compressed on the way."""
    site.begin(RUN)
    site.step(RUN, 1, {"kl": 0.5})
    summary = httpx.get(f"{site.url}/api/v1/runs").json()["runs"][0]
    with watching(site.url) as (answer, happening):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
        detail = httpx.get(f"{site.url}/api/v1/runs/{RUN}").json()
        told = summary | {"generation": detail["generation"], "dropped": {}, "rivals": []}
        assert next(happening) == ("run", told)
        for step in (2, 3):
            site.step(RUN, step, {"kl": step / 7, "ppl": float("nan")})
            name, data = next(event for event in happening if event[0] != "run")
            assert name == "step"
            assert (data["step"], data["metrics"]) == (step, {"kl": step / 7, "ppl": None})


def test_a_viewer_learns_what_happens_to_alerts(site: Site) -> None:
    """Of its run, after the figures that made it, with the id by which the rest is found."""
    site.begin(RUN)
    with watching(site.url) as (_, happening):
        next(happening)
        for step in range(3):
            site.step(RUN, step, {"mismatch_k3_kl": 0.5})
        site.put(RUN, RunEnd(time=9.0))
        seen = []
        while len([name for name, _ in seen if name == "alert"]) < 4:
            seen.append(next(happening))
    names = [name for name, _ in seen if name != "run"]
    assert names == ["step", "step", "step", *["alert"] * 4]
    fired = [data for name, data in seen if name == "alert"][:2]
    assert [(one["rule"], one["severity"], one["change"]) for one in fired] == [
        ("kl_high", "warning", "firing"),
        ("kl_very_high", "critical", "firing"),
    ]
    for one in fired:
        whole = httpx.get(f"{site.url}/api/v1/alerts/{one['alert']}").json()
        assert (whole["rule"], whole["firing_step"], one["step"]) == (one["rule"], 2, 2)
        assert one["values"] == whole["values"] == {"mismatch_k3_kl": 0.5}
        assert (one["epoch"], one["quiet"], one["reason"]) == (1, False, "")
    ended = [data for name, data in seen if name == "alert"][2:]
    assert {(one["change"], one["reason"]) for one in ended} == {("resolved", "the run ended")}


def test_a_viewer_learns_that_a_run_has_ended(site: Site) -> None:
    """Also if it ends in the instant after the page was opened."""
    site.begin(RUN)
    with watching(site.url) as (_, happening):
        assert next(happening)[1]["state"] == "live"
        site.put(RUN, RunEnd(time=1.0))
        assert next(data["state"] for _, data in happening if data["state"] != "live") == "finished"


def test_a_viewer_learns_what_could_not_be_delivered(site: Site) -> None:
    site.begin(RUN)
    with watching(site.url) as (_, happening):
        assert next(happening)[1]["dropped"] == {}
        site.put(RUN, Heartbeat(1.0, dropped={"not_corrected": 7}))
        assert next(data for _, data in happening)["dropped"] == {"not_corrected": 7}


def test_a_viewer_learns_that_two_trainers_claim_its_run(site: Site) -> None:
    """And who they are; and when it is over."""
    trainers = [RunStart("math", "a", 1.0 + n, {}, {"host": f"host-{n}", "pid": str(n)}) for n in range(2)]
    site.archive(RUN, "s0", trainers[0], StepRecord(5, 9.0, {"kl": 1.0}))
    with watching(site.url) as (_, happening):
        assert next(happening)[1]["rivals"] == []
        site.archive(RUN, "s1", trainers[1], StepRecord(5, 9.0, {"kl": 2.0}))
        told = next(data for _, data in happening if data.get("rivals"))
        assert told["contested"]
        assert told["rivals"] == [{"session": f"s{n}", "host": f"host-{n}", "pid": str(n)} for n in range(2)]
        site.archive(RUN, "s0", RunEnd(10.0), first=3)
        assert next(data for name, data in happening if name == "run")["rivals"] == []


def test_a_viewer_learns_that_a_run_has_gone_back(site: Site) -> None:
    """Wherever it stands after that: also if it has got farther again before anybody looked."""
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, {"kl": 0.5})
    with watching(site.url) as (_, happening):
        before = next(happening)[1]["generation"]
        site.begin(RUN)
        for step in range(2, 9):
            site.step(RUN, step, {"kl": 0.1})
        after = next(data for name, data in happening if name == "rewind")
        assert after["generation"] != before
        assert after["generation"] == httpx.get(f"{site.url}/api/v1/runs/{RUN}").json()["generation"]


def test_a_viewer_that_comes_too_late_is_told_that_its_history_is_past(site: Site) -> None:
    """A page is made, the run goes back, and only then the page connects: there is no moment to hit."""
    site.begin(RUN)
    for step in range(5):
        site.step(RUN, step, {"kl": 0.5})
    generation = httpx.get(f"{site.url}/api/v1/runs/{RUN}").json()["generation"]
    site.begin(RUN)
    site.step(RUN, 2, {"kl": 0.1})
    with watching(site.url, f"{RUN}", generation=generation) as (_, happening):
        assert [next(happening)[0] for _ in range(2)] == ["run", "rewind"]
    with watching(site.url, RUN, generation="of another archive") as (_, happening):
        assert [next(happening)[0] for _ in range(2)] == ["run", "rewind"]


def test_a_viewer_of_the_present_is_not_told_to_go_back(site: Site) -> None:
    """Neither a session that goes on nor one that brings something else takes anything over."""
    site.begin(RUN)
    site.step(RUN, 0, {"kl": 0.5})
    generation = httpx.get(f"{site.url}/api/v1/runs/{RUN}").json()["generation"]
    with watching(site.url, RUN, generation=generation) as (_, happening):
        assert next(happening)[0] == "run"
        site.step(RUN, 1, {"kl": 0.5})
        site.begin(RUN)
        site.step(RUN, 0, {"eval/score": 0.5})
        site.put(RUN, RunEnd(time=1.0))
        site.late_seconds = 2 * SECONDS_UNTIL_STALLED  # the first of them has left without a word
        heard = list(until_ended(happening))
        assert {name for name, _ in heard} == {"run", "step"}
        assert heard[-1][1]["generation"] == generation


def until_ended(happening: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for name, data in happening:
        yield name, data
        if data.get("state") == "finished":
            return


def test_a_viewer_learns_that_a_run_has_fallen_silent(site: Site) -> None:
    """No record says so; the server's clock does."""
    site.begin(RUN)
    with watching(site.url) as (_, happening):
        assert next(happening)[1]["state"] == "live"
        site.late_seconds = 2 * SECONDS_UNTIL_STALLED
        assert next(data["state"] for _, data in happening if data["state"] != "live") == "stalled"


def test_a_server_that_ends_ends_its_streams(site: Site) -> None:
    """The stream comes to its end as a stream does, so that the server need not wait until a browser leaves."""
    site.begin(RUN)
    with watching(site.url) as (_, happening):
        assert next(happening)[0] == "run"
        site.stop()
        assert {name for name, _ in happening} <= {"run"}
    site.start()


def test_a_viewer_is_told_that_its_run_was_deleted(site: Site) -> None:
    """The stream says so and ends, and who asks again is refused: a page does not wait for ever."""
    site.begin(RUN)
    site.step(RUN, 1, {"kl": 0.5})
    site.late_seconds += SECONDS_UNTIL_STALLED + 1
    with watching(site.url) as (_, happening):
        next(happening)
        assert httpx.delete(f"{site.url}/api/v1/runs/{RUN}").status_code == 204
        assert [name for name, _ in happening][-1] == "gone"
    assert httpx.get(f"{site.url}/api/v1/runs/{RUN}/live").status_code == 404
