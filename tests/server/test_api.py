"""The HTTP API: its shapes are promised, its numbers are the archive's, and its refusals help."""

import asyncio
import base64
import contextlib
import json
import logging
import math
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from rolloutwatch_contract import (
    METRICS,
    Heartbeat,
    Mark,
    Outcome,
    RunEnd,
    RunStart,
    StepRecord,
    run_id,
    stream_key,
)
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_server.api.answers import Problem
from rolloutwatch_server.api.catalogue import Catalogue
from rolloutwatch_server.api.dead_letters import DeadLetters
from rolloutwatch_server.api.health import Health, Readiness
from rolloutwatch_server.api.runs import (
    DEFAULT_MARKS,
    DEFAULT_POINTS,
    Marks,
    Runs,
    RunWithDetails,
    SeriesByMetric,
)
from rolloutwatch_server.exports.export import MEDIA_TYPES
from rolloutwatch_server.store import MEMORY, DeadLetter, Entry, Position, Store
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

SERIES = f"/api/v1/runs/{RUN}/series"
WHATIF = f"/api/v1/runs/{RUN}/whatif"


@pytest.fixture
def api(store: Store) -> Asking:
    return Asking.of(store)


def has_shape(model: type[BaseModel], answer: Any) -> bool:
    """Tell whether an answer is what the documentation says: every field of it, of its type, and no other one."""
    return bool(model.model_validate(answer).model_dump(mode="json") == answer)


def test_all_runs() -> None:
    """One line for each run, the most recently updated first; a run without steps says so by null."""
    now = 49.0
    store = Store(MEMORY, clock=lambda: now)
    api = Asking.of(store)
    store.archive(STREAM, batch(start(time=5.0), step(6, kl=0.5), step(7, kl=0.25)))
    now = 50.0
    store.archive(stream_key("code~b", "s"), batch(start("code", "b", time=40.0)))
    first = {
        "id": "code~b",
        "project": "code",
        "name": "b",
        "state": "live",
        "first_step": None,
        "last_step": None,
    }
    second = {"id": RUN, "project": "math", "name": "a", "state": "live", "first_step": 6, "last_step": 7}
    unsaid = {"contested": False, "tags": [], "archived": False}
    answer = api.get("/runs")
    assert answer == {
        "runs": [
            first | {"started_at": 40.0, "updated_at": 50.0} | unsaid,
            second | {"started_at": 5.0, "updated_at": 49.0} | unsaid,
        ]
    }
    assert has_shape(Runs, answer)


def test_an_archive_without_runs(api: Asking) -> None:
    assert api.get("/runs") == {"runs": []}


def test_one_run(api: Asking, store: Store) -> None:
    """What is in the list, and metrics, configuration, environment, losses, and the sessions that brought them."""
    begin = RunStart(
        "math", "a", 5.0, {"rollout_is": "token", "threshold": math.nan, "x": None}, {"host": "h"}
    )
    store.archive(STREAM, batch(begin, step(3, kl=0.5, ess=1.0), Heartbeat(6.0, {"queue_full": 2})))
    answer = api.get(f"/runs/{RUN}")
    said = {"config": {"rollout_is": "token", "threshold": None, "x": None}, "environment": {"host": "h"}}
    assert answer == api.get("/runs")["runs"][0] | said | {
        "metrics": ["kl", "ess"],
        "dropped": {"queue_full": 2},
        "generation": answer["generation"],
        "sessions": [{"id": "s1", "state": "live", "started_at": 5.0, "contested": False} | said],
        "tables_from": None,
        "reference": "",
    }
    assert has_shape(RunWithDetails, answer)


def test_a_run_that_two_trainers_claim_says_so(api: Asking, store: Store) -> None:
    """In the list, of the run, and of each of the two; the one that is shown stands last."""
    store.archive(STREAM, batch(start(time=1.0), StepRecord(4, 9.0, {"kl": 1.0})))
    store.archive(OTHER_SESSION, batch(start(time=2.0), StepRecord(3, 9.0, {"kl": 2.0})))
    answer = api.get(f"/runs/{RUN}")
    assert (api.get("/runs")["runs"][0]["contested"], answer["contested"]) == (True, True)
    assert [(one["id"], one["contested"]) for one in answer["sessions"]] == [("s1", True), ("s2", True)]
    assert has_shape(RunWithDetails, answer)


def test_marks(api: Asking, store: Store) -> None:
    """What a trainer marked and what was found, by step; numbers as a browser reads them exactly."""
    fields = {"version": 2**62, "path": "</script>\0", "kept": True, "loss": math.nan, "size": 7}
    store.archive(STREAM, batch(start(time=1.0), step(0, kl=1.0), Mark(5, 2.0, "checkpoint", fields)))
    store.archive(OTHER_SESSION, batch(start(time=3.0), step(6, kl=1.0)))
    answer = api.get(f"/runs/{RUN}/marks")
    exact = {"version": str(2**62), "path": "</script>\0", "kept": True, "loss": None, "size": 7}
    checkpoint = {
        "step": 5,
        "time": 2.0,
        "kind": "checkpoint",
        "fields": exact,
        "session": "s1",
        "found": False,
    }
    restart = {
        "step": 6,
        "time": 3.0,
        "kind": "restart",
        "fields": {"session": "s2"},
        "session": "s2",
        "found": True,
    }
    assert answer == {"run": RUN, "marks": [checkpoint, restart]}
    assert has_shape(Marks, answer)
    assert api.get(f"/runs/{RUN}/marks", from_step=6)["marks"] == [restart]
    assert api.get(f"/runs/{RUN}/marks", to_step=5)["marks"] == [checkpoint]


def test_many_marks_are_thinned(api: Asking, store: Store) -> None:
    store.archive(STREAM, batch(start(), *(Mark(n, 0.0, "weight_sync") for n in range(2000))))
    assert len(api.get(f"/runs/{RUN}/marks")["marks"]) == DEFAULT_MARKS
    assert [mark["step"] for mark in api.get(f"/runs/{RUN}/marks", most=4)["marks"]] == [0, 500, 1000, 1500]


def test_series_have_every_value_exactly_and_null_where_it_is_not_finite(api: Asking, store: Store) -> None:
    """Null is a step whose value is broken; a step that is absent brought no value; an unknown metric is empty."""
    values = [0.1 + 0.2, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]
    store.archive(STREAM, batch(*(StepRecord(2 * n, 0.0, {"kl": value}) for n, value in enumerate(values))))
    answer = api.get(f"/runs/{RUN}/series", metric=["kl", "entropy"])
    expected = [0.1 + 0.2, None, None, None, -0.0, 5e-324, 1.7976931348623157e308]
    infinite = {"4": "Infinity", "6": "-Infinity"}
    assert answer == {
        "run": RUN,
        "generation": api.get(f"/runs/{RUN}")["generation"],
        "changes": store.changes(RUN),
        "from_step": None,
        "series": {
            "kl": {"step": [0, 2, 4, 6, 8, 10, 12], "value": expected, "time": None, "infinite": infinite},
            "entropy": {"step": [], "value": [], "time": None, "infinite": {}},
        },
    }
    assert math.copysign(1.0, answer["series"]["kl"]["value"][4]) == -1.0
    assert has_shape(SeriesByMetric, answer)


def test_a_range_of_steps_may_be_asked_for(api: Asking, store: Store) -> None:
    """Both ends belong to it, either may be missing, and one that is empty is not an error."""
    store.archive(STREAM, batch(*(step(n, kl=n / 7) for n in range(10))))
    for limits, steps in (
        ({"from_step": 3, "to_step": 5}, [3, 4, 5]),
        ({"from_step": 8}, [8, 9]),
        ({"to_step": 1}, [0, 1]),
        ({"from_step": 5, "to_step": 4}, []),
        ({"from_step": 2**53 - 1}, []),
    ):
        series = api.get(f"/runs/{RUN}/series", metric="kl", **limits)["series"]["kl"]
        assert series == {"step": steps, "value": [n / 7 for n in steps], "time": None, "infinite": {}}


def test_series_may_be_read_by_time(api: Asking, store: Store) -> None:
    """In the order in which figures were made, each with its time."""
    made = {0: 30.0, 1: 10.0, 2: 20.5}
    store.archive(STREAM, batch(*(StepRecord(n, time, {"kl": n / 7}) for n, time in made.items())))
    answer = api.get(f"/runs/{RUN}/series", metric="kl", x="time")
    assert answer["series"]["kl"] == {
        "step": [1, 2, 0],
        "value": [1 / 7, 2 / 7, 0.0],
        "time": [10.0, 20.5, 30.0],
        "infinite": {},
    }
    assert has_shape(SeriesByMetric, answer)


def test_who_has_the_series_already_is_told_so(api: Asking, store: Store) -> None:
    """By the ETag of the answer, until something is archived for the run; another question has another one."""
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    first = api.ask(SERIES, metric="kl")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = api.ask(SERIES, metric="kl", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for known in ('"other"', tag[:-2] + '"', ""):
        assert api.ask(SERIES, metric="kl", headers={"If-None-Match": known}).content == first.content
    assert api.ask(SERIES, metric="kl", points=10).headers["etag"] != tag
    store.archive(STREAM, batch(step(1, kl=2.0), first=3))
    later = api.ask(SERIES, metric="kl", headers={"If-None-Match": tag})
    assert later.json()["series"]["kl"]["value"] == [1.0, 2.0]
    assert later.headers["etag"] != tag


def test_who_asks_for_what_is_new_has_the_whole_run_in_the_end(api: Asking, store: Store) -> None:
    """Late figures, corrected ones and metrics that begin late are new; and what has not changed is not sent again."""
    metrics = ["a", "b"]
    known: dict[str, dict[int, float]] = {metric: {} for metric in metrics}

    def poll(after: int | None) -> tuple[int, int]:
        answer = api.get(f"/runs/{RUN}/series", metric=metrics, **({} if after is None else {"after": after}))
        for metric, came in answer["series"].items():
            kept = {n: value for n, value in known[metric].items() if n < (answer["from_step"] or 0)}
            known[metric] = kept | dict(zip(came["step"], came["value"], strict=True))
        return answer["changes"], sum(len(came["step"]) for came in answer["series"].values())

    store.archive(STREAM, batch(*(step(n, a=n / 7) for n in range(50))))
    after, _ = poll(None)
    assert poll(after) == (after, 0)
    batches = [
        [step(50, a=0.5)],
        [step(n, b=1.0) for n in range(45, 51)],
        [Mark(51, 0.0, "x")],
        [step(51, a=9.0, b=9.0)],
    ]
    number, sent = 51, []
    for records in batches:
        store.archive(STREAM, batch(*records, first=number))
        number += len(records)
        after, count = poll(after)
        sent.append(count)
    assert sent == [1, 12, 0, 2]
    store.archive(stream_key(RUN, "other"), batch(start(), step(3, b=3.0)))
    poll(after)
    whole = api.get(f"/runs/{RUN}/series", metric=metrics)["series"]
    assert known == {m: dict(zip(one["step"], one["value"], strict=True)) for m, one in whole.items()}


def test_what_is_new_since_before_the_server_started_is_everything(tmp_path: Path) -> None:
    """It remembers no more than some batches; who asks for more gets the whole run, and is told so."""
    for number in (1, 2):
        store = Store(tmp_path / "archive.db")
        store.archive(STREAM, batch(step(number, kl=1.0), first=number))
        answer = Asking.of(store).get(f"/runs/{RUN}/series", metric="kl", after=1)
        assert (answer["from_step"], answer["series"]["kl"]["step"]) == (0, list(range(1, number + 1)))
        store.close()


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("", "the body is missing: send an object in JSON."),
        ("{", "the body is no JSON: Expecting property name enclosed in double quotes, at character 1."),
        ("[]", "the body is '[]': Input should be a valid dictionary"),
    ],
)
def test_a_body_that_is_none_is_told_from_a_parameter(
    content: str, detail: str, api: Asking, store: Store
) -> None:
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    answer = api.ask(WHATIF, "POST", content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith(detail)


def test_the_generation_tells_that_a_run_went_back(api: Asking, store: Store) -> None:
    """A page that asks for what is new sees by it that what it has is not shown any more."""
    store.archive(STREAM, batch(start(time=0.0), step(0, kl=0.0), step(1, kl=1.0)))
    before = api.get(f"/runs/{RUN}/series", metric="kl")["generation"]
    store.archive(STREAM, batch(step(2, kl=2.0), first=4))
    assert api.get(f"/runs/{RUN}/series", metric="kl")["generation"] == before
    store.archive(stream_key(RUN, "s2"), batch(start(time=50.0), step(1, kl=-1.0)))
    later = api.get(f"/runs/{RUN}/series", metric="kl")["generation"]
    assert later != before
    for session in ("s1", "s2"):
        store.archive(stream_key(RUN, session), batch(RunEnd(60.0, Outcome.FINISHED), first=9))
    assert store.delete(RUN, "a test")
    store.archive(stream_key(RUN, "s3"), batch(start(time=0.0), step(0, kl=0.0)))
    assert api.get(f"/runs/{RUN}/series", metric="kl")["generation"] not in (before, later)


def test_long_series_are_thinned_without_losing_a_spike(api: Asking, store: Store) -> None:
    """To a default that fits a screen, to less if asked, to nothing less than all if that is asked for."""
    values = np.sin(np.arange(5000) / 100)
    values[2345] = 1000.0
    store.archive(STREAM, batch(*(StepRecord(n, 0.0, {"kl": float(v)}) for n, v in enumerate(values))))
    for points, at_most in ((None, DEFAULT_POINTS), (100, 100), (4, 6), (100_000, 5000)):
        asked = {} if points is None else {"points": points}
        series = api.get(f"/runs/{RUN}/series", metric="kl", **asked)["series"]["kl"]
        assert len(series["step"]) == len(series["value"]) <= at_most
        assert series["value"] == [values[n] for n in series["step"]]
        assert (series["step"][0], series["step"][-1]) == (0, 4999)
        assert max(series["value"]) == 1000.0
    assert series["step"] == list(range(5000))


@pytest.mark.parametrize(
    ("project", "name"),
    [("0", "0"), ("A_1.-", "x..-_"), ("p" * 128, "n" * 128), ("runs", "live"), ("1e5", "NaN")],
)
def test_every_name_that_is_allowed_works_in_a_url(
    project: str, name: str, api: Asking, store: Store
) -> None:
    """Dots, words that are routes, the longest one; with the tilde as such or quoted."""
    run = run_id(project, name)
    store.archive(stream_key(run, "s"), batch(start(project, name), StepRecord(1, 0.0, {"a/b@c.d-e_": 1.0})))
    assert [one["id"] for one in api.get("/runs")["runs"]] == [run]
    for path in (run, run.replace("~", "%7E")):
        assert api.get(f"/runs/{path}")["name"] == name
        series = api.get(f"/runs/{path}/series", metric="a/b@c.d-e_")["series"]
        assert series == {"a/b@c.d-e_": {"step": [1], "value": [1.0], "time": None, "infinite": {}}}


def test_the_catalogue_explains_every_metric_and_rule(api: Asking) -> None:
    """As the contract has them; a limit that a rule does not have is null, for JSON has no infinity."""
    answer = api.get("/catalogue")
    assert has_shape(Catalogue, answer)
    assert [metric["name"] for metric in answer["metrics"]] == list(METRICS)
    for metric in answer["metrics"]:
        known = METRICS[metric["name"]]
        told = (metric["unit"], metric["level"], metric["ideal"], metric["better"], metric["meaning"])
        assert told == (known.unit, known.level.value, known.ideal, known.better.value, known.meaning)
    for rule, known in zip(answer["rules"], DEFAULT_LIMITS, strict=True):
        assert rule["name"] == known.name
        assert rule["severity"] == known.severity.name.lower()
        assert rule["above"] == (known.above if math.isfinite(known.above) else None)
        assert rule["below"] == (known.below if math.isfinite(known.below) else None)


def test_dead_letters_are_shown(api: Asking, store: Store) -> None:
    """The newest first, so many as asked for, with the bytes they began with."""
    letters = [DeadLetter(STREAM, f"{n}-0", f"reason {n}", bytes([255, 0, n]), float(n)) for n in (1, 2, 3)]
    store.archive(STREAM, [Entry(Position(n), letter) for n, letter in enumerate(letters, 1)])
    answer = api.get("/dead-letters", limit=2)
    assert has_shape(DeadLetters, answer)
    assert [letter["entry"] for letter in answer["dead_letters"]] == ["3-0", "2-0"]
    assert answer["dead_letters"][0] == {
        "stream": STREAM,
        "entry": "3-0",
        "reason": "reason 3",
        "head": base64.b64encode(b"\xff\x00\x03").decode(),
        "time": 3.0,
    }


def test_health_is_what_is_documented(api: Asking) -> None:
    """Ready or not, the answer is of one shape."""
    assert has_shape(Health, api.ask("/healthz").json())
    answer = api.ask("/readyz")
    assert (answer.status_code, has_shape(Readiness, answer.json())) == (503, True)


def test_every_answer_is_documented_by_its_shape(api: Asking) -> None:
    """In the OpenAPI document, and on the page for people, by every field there is."""
    document, page = api.ask("/openapi.json").json(), unescape(api.ask("/docs").text)
    documented = {
        (path, status, kind): body.get("schema", {}).get("$ref", "").rpartition("/")[2]
        for path, verbs in document["paths"].items()
        for route in verbs.values()
        for status, told in route["responses"].items()
        for kind, body in told.get("content", {}).items()
        if status != "default"
    }
    assert documented == {
        ("/api/v1/runs", "200", "application/json"): "Runs",
        ("/api/v1/runs/{run}", "200", "application/json"): "RunWithDetails",
        ("/api/v1/runs/{run}/series", "200", "application/json"): "SeriesByMetric",
        ("/api/v1/runs/{run}/marks", "200", "application/json"): "Marks",
        ("/api/v1/runs/{run}/histograms", "200", "application/json"): "HistogramsOfRun",
        ("/api/v1/runs/{run}/summary", "200", "application/json"): "SummaryByMetric",
        **{("/api/v1/runs/{run}/export", "200", kind): "" for kind in MEDIA_TYPES.values()},
        ("/api/v1/imports", "200", "application/json"): "Import",
        ("/api/v1/imports", "201", "application/json"): "Import",
        ("/api/v1/runs/{run}/live", "200", "text/event-stream"): "",
        ("/api/v1/runs/{run}/replay", "200", "text/event-stream"): "",
        ("/api/v1/runs/{run}/steps", "200", "application/json"): "RecordedSteps",
        ("/api/v1/runs/{run}/steps/{step}", "200", "application/json"): "Step",
        ("/api/v1/runs/{run}/diagnosis", "200", "application/json"): "WhatIsWrong",
        ("/api/v1/runs/{run}/whatif", "200", "application/json"): "Answer",
        ("/api/v1/alerts", "200", "application/json"): "Alerts",
        ("/api/v1/me", "200", "application/json"): "Me",
        ("/api/v1/alerts/{alert}", "200", "application/json"): "WholeAlert",
        ("/api/v1/alerts/{alert}/acknowledge", "200", "application/json"): "Alert",
        ("/api/v1/alerts/{alert}/silence", "200", "application/json"): "Alert",
        ("/api/v1/runs/{run}/alerts", "200", "application/json"): "Alerts",
        ("/api/v1/silences", "200", "application/json"): "Silences",
        ("/api/v1/silences", "201", "application/json"): "OneSilence",
        ("/api/v1/rules", "200", "application/json"): "Rules",
        ("/api/v1/rules", "422", "application/problem+json"): "",
        ("/api/v1/rules/check", "200", "application/json"): "Checked",
        ("/api/v1/rules/check", "422", "application/problem+json"): "",
        ("/api/v1/runs/{run}/rules", "200", "application/json"): "OnRun",
        ("/api/v1/notifications", "200", "application/json"): "Targets",
        ("/api/v1/notifications/{target}/test", "200", "application/json"): "Tested",
        ("/api/v1/notifications/dead", "200", "application/json"): "DeadMessages",
        ("/api/v1/notifications/dead/retry", "200", "application/json"): "Retried",
        ("/api/v1/notifications/dead/{message}/retry", "200", "application/json"): "Retried",
        ("/api/v1/catalogue", "200", "application/json"): "Catalogue",
        ("/api/v1/archive", "200", "application/json"): "ArchiveFile",
        ("/api/v1/dead-letters", "200", "application/json"): "DeadLetters",
        ("/metrics", "200", "text/plain; version=0.0.4; charset=utf-8"): "",
        ("/metrics", "200", "application/openmetrics-text; version=1.0.0; charset=utf-8"): "",
        ("/healthz", "200", "application/json"): "Health",
        ("/readyz", "200", "application/json"): "Readiness",
        ("/readyz", "503", "application/json"): "Readiness",
    }
    for schema in (Problem.model_json_schema(), *document["components"]["schemas"].values()):
        for field in schema.get("properties", {}):
            assert f'"{field}": ' in page
    routes = [(path, route) for path, verbs in document["paths"].items() for route in verbs.values()]
    for path, route in routes:  # as install_problems answers, not as FastAPI would
        refusals = {status: told for status, told in route["responses"].items() if status[0] not in "25"}
        # what is wrong with rules has a place too
        assert set(refusals) - ({"422"} if "/rules" in path else set()) == {"default"}, path
        (body,) = refusals["default"]["content"].items()
        assert body == ("application/problem+json", {"schema": Problem.model_json_schema()})


def test_the_page_shows_shapes_as_one_would_write_them_down(api: Asking) -> None:
    page = unescape(api.ask("/docs").text)
    series = """
  "run": string,
  "generation": string,
  "changes": integer,
  "from_step": integer or null,
  "series": {string: {  # Values by step, or else by time (seconds since 1970), ascending; null is NaN unless it is infinite.
    "step": [integer, ...],
    "value": [number or null, ...],
    "time": [number, ...] or null,
    "infinite": {string: "Infinity" or "-Infinity", ...}
  }, ...}
}"""
    assert series in page
    assert '"state": ' + " or ".join(json.dumps(state.value) for state in RunState) in page
    assert "above <code>above</code> or below <code>below</code>; null where" in page
    assert "`" not in page


@pytest.mark.parametrize(
    ("method", "url", "status", "detail"),
    [
        ("GET", "/api/nothing", 404, "there is no GET /api/nothing: see /docs."),
        ("GET", "/api/", 404, "there is no GET /api/: see /docs."),
        ("GET", "/api", 404, "there is no GET /api: see /docs."),
        ("OPTIONS", "/api/none", 404, "there is no OPTIONS /api/none: see /docs."),
        ("GET", "/api/v1", 404, "there is no GET /api/v1: see /docs."),
        ("GET", "/api/v2/runs", 404, "there is no GET /api/v2/runs: see /docs."),
        ("POST", "/api/none", 404, "there is no POST /api/none: see /docs."),
        ("BREW", "/api/v1/none", 404, "there is no BREW /api/v1/none: see /docs."),
        ("GET", "/api/v1/runs/math~x", 404, "there is no run 'math~x': GET /api/v1/runs lists those there are."),
        ("GET", "/api/v1/runs/%00%FF", 404, "there is no run"),
        ("GET", "/api/v1/runs/..%2F..%2Fetc", 404, "there is no"),
        ("GET", "/api/v1/runs/math~x/series?metric=kl", 404, "there is no run 'math~x'"),
        ("GET", "/api/v1/runs/math~x/live", 404, "there is no run 'math~x'"),
        ("GET", SERIES, 422, "metric is missing"),
        ("GET", SERIES + "?metric=kl&from_step=-1", 422, "from_step is '-1': "),
        ("GET", SERIES + "?metric=kl&to_step=last", 422, "to_step is 'last': "),
        ("GET", SERIES + "?metric=kl&to_step=9007199254740992", 422, "to_step is '9007199254740992': "),
        ("GET", SERIES + "?metric=kl&points=3", 422, "points is '3': "),
        ("GET", SERIES + "?metric=kl&points=100001", 422, "points is '100001': "),
        ("GET", SERIES + "?" + "metric=kl&" * 513, 422, "metric is "),
        ("GET", SERIES + "?" + "metric=kl&" * 11 + "points=100000", 422, "points is 100000 for each of 11 metrics: expected"),
        ("GET", "/api/v1/runs/math~x/marks", 404, "there is no run 'math~x'"),
        ("GET", f"/api/v1/runs/{RUN}/marks?from_step=-1", 422, "from_step is '-1': "),
        ("GET", f"/api/v1/runs/{RUN}/marks?most=0", 422, "most is '0': "),
        ("GET", "/api/v1/dead-letters?limit=0", 422, "limit is '0': "),
    ],
)  # fmt: skip
def test_a_refusal_is_json_that_names_the_thing(
    method: str, url: str, status: int, detail: str, api: Asking, store: Store
) -> None:
    """A problem as RFC 9457 has it, never a page, also for what is not there at all."""
    store.archive(STREAM, batch(step(1, kl=1.0)))
    answer = api.ask(url, method)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["detail"].startswith(detail)
    assert has_shape(Problem, problem)


PATHS = ("/api/v1/runs", SERIES, f"/api/v1/runs/{RUN}/live", "/api/v1/catalogue")
PATHS += (
    "/api/v1/archive",
    f"/api/v1/runs/{RUN}/marks",
    "/api/v1/dead-letters",
    "/healthz",
    "/readyz",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/",
    "/assets/feed.js",
)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_path_that_is_there_names_the_methods_it_has(method: str, api: Asking) -> None:
    """405 is not 404: the address is right. The cure stands in Allow, and in words."""
    for url in PATHS:
        answer = api.ask(url, method)
        assert answer.status_code == 405, url
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["allow"] == "GET, HEAD"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Method not allowed",
            "status": 405,
            "detail": f"{method} is not allowed on {url}: use GET or HEAD.",
        }


def test_a_path_that_is_only_posted_to_says_so(api: Asking) -> None:
    answer = api.ask("/_dash-update-component")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "use POST." in answer.json()["detail"]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api/v1/runs", 200), (f"/api/v1/runs/{RUN}", 200), (SERIES + "?metric=kl", 200), (SERIES, 422),
        ("/api/v1/catalogue", 200), ("/api/v1/dead-letters", 200), ("/api/v1/runs/math~x", 404), ("/api/none", 404),
        ("/healthz", 200), ("/readyz", 503), ("/docs", 200), ("/openapi.json", 200), ("/assets/feed.js", 200),
    ],
)  # fmt: skip
def test_head_is_answered_as_get_without_the_body(url: str, status: int, api: Asking, store: Store) -> None:
    """The same status and headers, the length too; a monitor that asks by HEAD learns what GET would say."""
    store.archive(STREAM, batch(step(1, kl=1.0)))
    got, headed = api.ask(url), api.ask(url, "HEAD")
    assert (headed.status_code, headed.content) == (status, b"")
    assert got.status_code == status
    assert got.content
    assert headed.headers == got.headers


def test_head_of_a_live_feed_ends_at_once_and_leaves_no_viewer(api: Asking, store: Store) -> None:
    """A stream has no end, but its head has."""
    store.archive(STREAM, batch(step(1, kl=1.0)))
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        api.feed.open(loop)  # the stream of a closed feed would end by itself
        answer = api.ask(f"/api/v1/runs/{RUN}/live", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert api.feed.watched() == []


def test_an_archive_that_cannot_be_read_is_a_problem_too(api: Asking, store: Store) -> None:
    store.close()
    answer = api.ask("/api/v1/runs")
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"archive {store.path} is closed."


def test_a_mistake_of_the_server_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    """It says no more than that; what happened stands in the log."""
    asking = Asking.of(Store(MEMORY))

    async def stumble() -> None:
        raise KeyError("a secret of ours")

    asking.app.router.routes.insert(0, APIRoute("/api/v1/stumble", stumble))
    answer = asking.ask("/api/v1/stumble")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Internal server error",
        "status": 500,
        "detail": "an error of the server's own; see its log.",
    }
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.message == "GET /api/v1/stumble could not be answered."
