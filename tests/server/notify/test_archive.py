"""Alerts of a real archive, told by a real notifier; and what the API says of that."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.detection.cases import BEGINS
from benchmarks.detection.recording import read
from rolloutwatch_contract.default_rules import DEFAULT_DOCUMENT
from rolloutwatch_server.notify.children import surroundings
from rolloutwatch_server.notify.events import Links, decode
from rolloutwatch_server.notify.messages import MOST_LETTERS, compose
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.source import DashboardSource
from rolloutwatch_server.store import NewDelivery
from tests.processes import wait_for
from tests.server.alerting import BEGIN, Judged
from tests.server.asking import Asking
from tests.server.notify.events import SECRET, apprise, webhook
from tests.server.receiver import Mode, Receiver, always, in_turn
from tests.server.records import RUN

PLAIN = "allow_internal = true\npicture = false"


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    one = Judged(tmp_path)
    one.start()
    yield one
    one.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def notifier(judged: Judged, *targets: Target) -> Notifier:
    world = World(
        Links("https://watch.example"),
        surroundings(judged.path.parent, os.environ),
        clock=lambda: judged.now,
    )
    return Notifier(judged.store, targets, world)


def fire(judged: Judged) -> None:
    for number in range(1, 30):
        judged.now += 1.0
        judged.step(number, mismatch_k3_kl=0.01 * number)
    judged.now += 1.0
    judged.step(30, mismatch_k3_kl=0.75)
    judged.now += 1.0  # the instant in which others could fire too


def test_an_alert_of_the_archive_is_told_with_all_its_rule_says(judged: Judged, receiver: Receiver) -> None:
    with notifier(judged, webhook(receiver.url)):
        fire(judged)
        (request,) = receiver.wait(1)
        wait_for("the delivery", lambda: judged.store.deliveries("done") or None)
    (event,) = request.content["events"]
    assert event["id"] == event["alert"] == judged.alert()
    assert (event["rule"], event["change"], event["severity"]) == ("kl", "firing", "critical")
    assert (event["step"], event["time"], event["values"]) == (30, BEGIN + 30, {"mismatch_k3_kl": 0.75})
    assert event["condition"] == "mismatch_k3_kl > 0.5"
    assert (event["summary"], event["cure"]) == ("The policies are far apart.", "Sync the weights.")
    assert event["guide_url"] == "https://watch.example/guides/kl_very_high"
    assert event["run_url"] == f"https://watch.example/runs/{RUN}?step=30"
    assert base64.b64decode(request.content["picture"]).startswith(b"\x89PNG")
    assert judged.outbox() == []


def test_the_end_of_an_alert_is_told_ten_seconds_after_its_beginning_at_the_earliest(
    judged: Judged, receiver: Receiver
) -> None:
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        fire(judged)
        receiver.wait(1)
        judged.step(31, mismatch_k3_kl=0.1)
        judged.now += 8.0
        assert one.round() == 1
        judged.now += 3.0
        first, second = receiver.wait(2)
    assert [one["change"] for one in second.content["events"]] == ["resolved"]
    assert second.content["events"][0]["alert"] == first.content["events"][0]["id"]


def test_what_is_silenced_is_not_told_and_is_recorded_all_the_same(
    judged: Judged, receiver: Receiver
) -> None:
    asking = Asking.of(judged.store, rulebook=judged.book)
    said = json.dumps({"run": "*", "rule": "kl", "minutes": 60})
    assert asking.ask("/api/v1/silences", "POST", content=said).status_code == 201
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        fire(judged)
        wait_for("the outbox to be empty", lambda: one.round() == 0)
    assert receiver.requests == []
    assert judged.happened() == [("kl", "firing")]


def test_the_api_tells_who_is_told_and_nothing_that_is_secret(judged: Judged, receiver: Receiver) -> None:
    chat = apprise(
        "slack://TokenAAAAA/TokenBBBBB/TokenCCCCC/", more='severity = "critical"\nruns = ["math~*"]'
    )
    with notifier(judged, webhook(receiver.url, more=PLAIN), chat) as one:
        answer = Asking.of(judged.store, notifier=one).ask("/api/v1/notifications")
    assert answer.json() == {
        "targets": [
            {
                "name": "ops",
                "kind": "webhook",
                "host": "127.0.0.1",
                "severity": "warning",
                "runs": ["*"],
                "last_success": None,
                "failing_since": None,
                "waiting": 0,
                "dead": 0,
                "error": "",
            },
            {
                "name": "chat",
                "kind": "slack",
                "host": None,
                "severity": "critical",
                "runs": ["math~*"],
                "last_success": None,
                "failing_since": None,
                "waiting": 0,
                "dead": 0,
                "error": "",
            },
        ],
        "departed": [],
    }


def test_the_api_tells_of_messages_for_somebody_who_is_not_in_the_file(
    judged: Judged, receiver: Receiver
) -> None:
    judged.store.make_deliveries([NewDelivery("key", "gone", RUN, "[]", judged.now)], [])
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        answer = Asking.of(judged.store, notifier=one).ask("/api/v1/notifications").json()
        assert answer["departed"] == [{"name": "gone", "waiting": 1, "dead": 0}]
        judged.now += 24 * 3600.0
        wait_for("it to be given up", lambda: judged.store.deliveries("dead") or None)


def test_beginning_and_end_arrive_in_order_from_an_archive_whose_receiver_was_away(
    judged: Judged, receiver: Receiver
) -> None:
    receiver.plan = always(Mode.ERROR)
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        fire(judged)
        for count in range(1, 9):  # each attempt waits for as long as the clock is not turned on
            receiver.wait(count)
            wait_for("the note of it", lambda n=count: judged.store.deliveries("waiting")[-1].attempts == n)
            judged.now += 30.0 if count < 8 else 0.0
        judged.now += 13.0
        receiver.plan = always(Mode.OK)
        judged.step(31, mismatch_k3_kl=0.1)
        judged.now += 1.0
        wait_for("the end to be made", lambda: one.round() == 0)
        wait_for("both to arrive", lambda: len(judged.store.deliveries("done")) == 2)
    told = [
        [event["change"] for event in request.content["events"]]
        for request in receiver.requests
        if request.mode is Mode.OK
    ]
    assert told == [["firing"], ["resolved"]]


def test_a_test_can_be_asked_for_and_says_why_it_did_not_arrive(judged: Judged, receiver: Receiver) -> None:
    receiver.plan = in_turn(Mode.OK, Mode.GONE)
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        asking = Asking.of(judged.store, notifier=one)
        assert asking.ask("/api/v1/notifications/ops/test", "POST").json() == {"target": "ops"}
        refused = asking.ask("/api/v1/notifications/ops/test", "POST")
        assert refused.status_code == 502
        assert "target ops: 127.0.0.1 answered 410" in refused.json()["detail"]
        assert asking.ask("/api/v1/notifications/none/test", "POST").status_code == 404
    assert receiver.requests[0].content["test"] is True


def test_messages_that_were_given_up_are_listed_and_sent_anew(judged: Judged, receiver: Receiver) -> None:
    receiver.plan = in_turn(Mode.GONE, Mode.GONE, Mode.OK)
    with notifier(judged, webhook(receiver.url, more=PLAIN)) as one:
        asking = Asking.of(judged.store, notifier=one)
        fire(judged)
        wait_for("the message to be given up", lambda: judged.store.deliveries("dead") or None)
        (dead,) = asking.ask("/api/v1/notifications/dead").json()["dead"]
        assert (dead["target"], dead["run"], dead["attempts"]) == ("ops", RUN, 1)
        assert [event["rule"] for event in dead["events"]] == ["kl"]
        assert "answered 410" in dead["error"]
        assert [view.error for view in one.failing()] == [dead["error"]]
        (shown,) = DashboardSource(judged.store, judged.book).given_up()
        assert (shown.id, shown.target, shown.run, shown.rules) == (dead["id"], "ops", RUN, ("kl",))
        assert (shown.time, shown.attempts, shown.error) == (dead["given_up_at"], 1, dead["error"])
        again = asking.ask(f"/api/v1/notifications/dead/{dead['id']}/retry", "POST")
        assert again.json() == {"retried": 1}
        wait_for("it to be given up again", lambda: len(receiver.requests) == 2 or None)
        wait_for("it to be given up again", lambda: judged.store.deliveries("dead") or None)
        assert asking.ask("/api/v1/notifications/dead/retry", "POST").json() == {"retried": 1}
        wait_for("it to arrive", lambda: judged.store.deliveries("done") or None)
        assert asking.ask("/api/v1/notifications/dead").json() == {"dead": []}
        assert asking.ask(f"/api/v1/notifications/dead/{dead['id']}/retry", "POST").status_code == 404
        assert one.failing() == []
    assert len({request.key for request in receiver.requests}) == 1


def test_no_answer_of_the_api_and_no_page_has_a_secret_while_a_target_fails(
    judged: Judged, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.plan = always(Mode.GONE)
    hook = webhook(receiver.url.replace("/hook", "/a-private-path?token=hidden-token"), more=PLAIN)
    chat = apprise(f"json://user:hidden-password@127.0.0.1:{receiver.port}/hidden-path", more=PLAIN)
    with notifier(judged, hook, chat) as one, caplog.at_level("DEBUG"):
        asking = Asking.of(judged.store, notifier=one)
        fire(judged)
        wait_for("both to fail", lambda: len(receiver.requests) >= 2 or None)
        wait_for(
            "both to be settled", lambda: sum(bool(each.error) for each in judged.store.deliveries()) == 2
        )
        told = [
            asking.ask(path).text
            for path in ("/api/v1/notifications", "/api/v1/notifications/dead", "/metrics")
        ]
        told += [asking.ask(f"/api/v1/notifications/{name}/test", "POST").text for name in ("ops", "chat")]
        told += [caplog.text, *(repr(each) for each in judged.store.deliveries())]
    for text in told:
        for secret in (SECRET, "private-path", "hidden-token", "hidden-password", "hidden-path"):
            assert secret not in text


def test_a_server_that_tells_nobody_says_so(judged: Judged) -> None:
    asking = Asking.of(judged.store)
    assert asking.ask("/api/v1/notifications").json() == {"targets": [], "departed": []}
    assert asking.ask("/api/v1/notifications/dead").json() == {"dead": []}
    assert asking.ask("/api/v1/notifications/dead/retry", "POST").json() == {"retried": 0}
    assert asking.ask("/api/v1/notifications/dead/1/retry", "POST").status_code == 404


def test_what_is_probably_wrong_goes_with_what_fires(tmp_path: Path, receiver: Receiver) -> None:
    """In words that lead on: what it is, what speaks for it, what to look at next; and in the webhook by name."""
    judged = Judged(tmp_path, DEFAULT_DOCUMENT)
    judged.start()
    with notifier(judged, webhook(receiver.url, more=PLAIN)):
        for record in read("zeros_0.2_bf16_0")[: BEGINS + 1]:
            judged.now += 1.0
            judged.step(record.step, **record.metrics)
        judged.now += 1.0
        (request,) = receiver.wait(1)
        wait_for("the delivery", lambda: judged.store.deliveries("done") or None)
        (done,) = judged.store.deliveries("done")
    judged.close()
    diagnosis = request.content["diagnosis"]
    assert (diagnosis["step"], diagnosis["onset"], diagnosis["sure"]) == (BEGINS, BEGINS, True)
    cause = diagnosis["causes"][0]
    assert cause["name"] == "missing_logprobs"
    assert cause["guide"] == "https://watch.example/guides/diagnosis/missing_logprobs"
    message = compose(decode(done.events), Links("https://watch.example"), judged.now)
    assert "\nProbably rollout log-probs are missing and padded with 0. (" in message.body
    assert "of the rollout log-probs are exactly 0 where the trainer is not certain" in message.body
    assert f"Look at next: {cause['check']}" in message.body
    assert len(message.body) <= MOST_LETTERS
