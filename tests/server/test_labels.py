"""What people say of a run as a whole: its tags, and that it is put away."""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from rolloutwatch_contract import Heartbeat, RunEnd
from rolloutwatch_contract.tags import LETTERS_OF_A_TAG, MOST_TAGS, check_tags
from rolloutwatch_server.api.runs import RunWithDetails
from rolloutwatch_server.store import MEMORY, Store
from tests.server.asking import Asking
from tests.server.exports.test_archive_file import exported, imported
from tests.server.records import RUN, STREAM, batch, start, step

PATH = f"/api/v1/runs/{RUN}"


@pytest.fixture
def api(store: Store) -> Asking:
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    return Asking.of(store)


def say(api: Asking, body: dict[str, object], path: str = PATH) -> httpx.Response:
    return api.ask(path, "PATCH", content=json.dumps(body))


def said(store: Store) -> tuple[tuple[str, ...], bool]:
    """Tags, and whether the run is put away."""
    (run,) = store.runs()
    return run.tags, run.archived


def test_a_run_has_no_tags_and_is_in_every_list_until_somebody_says_otherwise(
    api: Asking, store: Store
) -> None:
    assert said(store) == ((), False)
    assert (api.get("/runs")["runs"][0]["tags"], api.get("/runs")["runs"][0]["archived"]) == ([], False)


def test_what_is_left_out_stays(api: Asking, store: Store) -> None:
    """Tags and archive are said one without the other; the answer is the run as it is then."""
    answer = say(api, {"tags": ["baseline", " 8×H100 ", "baseline"]})
    assert (answer.status_code, answer.json()) == (200, api.get(f"/runs/{RUN}"))
    assert RunWithDetails.model_validate(answer.json()).tags == ["baseline", "8×H100"]
    assert said(store) == (("baseline", "8×H100"), False)
    say(api, {"archived": True})
    assert said(store) == (("baseline", "8×H100"), True)
    say(api, {"tags": None})
    assert said(store) == (("baseline", "8×H100"), True)
    say(api, {"tags": [], "archived": False})
    assert said(store) == ((), False)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"tag": ["a"]}, "unknown key 'tag'. Did you mean 'tags'? There are tags, archived."),
        ({"tags": ["a,b"]}, "tag 'a,b' is none: expected text of 1 to 60 letters in one line, without a comma."),
        ({"tags": ["two\nlines"]}, "tag 'two\\nlines' is none: expected text"),
        ({"tags": ["left\u202eright"]}, "tag 'left\\u202eright' is none: expected text"),
        ({"tags": ["  "]}, "tag '  ' is none: expected text"),
        ({"tags": ["\ud800"]}, "tags.0 is '\\ud800'"),
        ({"tags": ["x" * (LETTERS_OF_A_TAG + 1)]}, "tags.0 is"),
        ({"tags": [str(n) for n in range(MOST_TAGS + 1)]}, "tags is"),
        ({"archived": "yes"}, "archived is 'yes'"),
        ({"archived": 1}, "archived is '1'"),
    ],
)  # fmt: skip
def test_what_is_no_tag_is_refused_in_words(
    body: dict[str, object], complaint: str, api: Asking, store: Store
) -> None:
    answer = say(api, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith(complaint)
    assert said(store) == ((), False)


def test_a_run_that_is_not_there_cannot_be_tagged(api: Asking) -> None:
    answer = say(api, {"tags": ["a"]}, "/api/v1/runs/no~such")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("there is no run 'no~such'")


def test_too_many_tags_are_counted() -> None:
    with pytest.raises(ValueError, match=r"tags are 21: expected at most 20\. Take some away\."):
        check_tags(str(n) for n in range(21))


def test_tags_stay_while_the_run_goes_on_and_go_with_it(api: Asking, store: Store) -> None:
    """A session that resumes it changes nothing of them; a run of that name that begins after a deletion has none."""
    say(api, {"tags": ["a"], "archived": True})
    store.archive(STREAM, batch(step(1, kl=1.0), RunEnd(3.0), first=3))
    assert said(store) == (("a",), True)
    assert store.delete(RUN, "for a test")
    store.archive(STREAM, batch(start(), step(0, kl=1.0), first=9))
    assert said(store) == ((), False)


def test_an_archive_file_has_the_tags(store: Store) -> None:
    """Out and in elsewhere; what is in a file is checked as what people send is."""
    store.archive(STREAM, batch(start(), step(0, kl=1.0), RunEnd(3.0)))
    store.label(RUN, tags=["baseline", "ключ"], archived=True)
    other = Store(MEMORY)
    imported(other, exported(store))
    assert said(other) == (("baseline", "ключ"), True)
    other.label(RUN, tags=["mine"])
    assert not imported(other, exported(store)).new
    assert said(other) == (("mine",), True)


def test_a_version_stays_as_long_as_what_came_does(store: Store) -> None:
    """Tags change nothing of it; a step, an end, and a loss that only a heartbeat tells of do."""
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    seen = [store.versions()]

    def then(act: Callable[[], object]) -> bool:
        act()
        seen.append(store.versions())
        return seen[-1] != seen[-2]

    assert not then(lambda: store.label(RUN, tags=["a"], archived=True))
    assert not then(lambda: store.archive(STREAM, batch(Heartbeat(3.0), first=3)))
    assert then(lambda: store.archive(STREAM, batch(Heartbeat(3.0, {"queue_full": 1}), first=4)))
    assert then(lambda: store.archive(STREAM, batch(step(1, kl=2.0), first=5)))
    assert then(lambda: store.archive(STREAM, batch(RunEnd(4.0), first=6)))
    assert [set(one) for one in seen] == [{RUN}] * len(seen)


def test_an_archive_of_the_seventh_schema_is_taken_over(tmp_path: Path) -> None:
    """Its runs, with their alerts, are what they were; they have no tags and are not put away, and can be both."""
    path = tmp_path / "archive.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "archive_of_schema_7.sql").read_text())
    for tags in ((), ("old",)):  # also when it is opened again
        with contextlib.closing(Store(path)) as store:
            assert [(run.id, run.last_step, run.archived) for run in store.runs()] == [
                ("math~a", 3, False),
                ("math~b", 0, False),
            ]
            assert store.series(RUN, ["kl"])["kl"].value.tolist() == [0.0, 0.5, 1.0, 1.5]
            assert [one.rule for one in store.alerts(state="all")] == ["kl_very_high", "kl_high"]
            assert [run.tags for run in store.runs()] == [tags, ()]
            store.label(RUN, tags=["old"])
