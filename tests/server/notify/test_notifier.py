"""Events out of the outbox, to everybody who wants them: real threads, processes and receivers."""

import base64
import os
import time
from pathlib import Path

import numpy as np
import pytest

from rolloutwatch_contract.alerts import AlertView, Change
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.notify.children import surroundings
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.memory import MemoryOutbox
from rolloutwatch_server.notify.notifier import NOT_IN_THE_FILE, Departed, Notifier, UnderWay
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.store import Event, NewDelivery
from tests.processes import wait_for
from tests.server.notify.events import apprise, event, webhook
from tests.server.receiver import Mode, Receiver, always, in_turn, seeded

PLAIN = "allow_internal = true\npicture = false"


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox(time.time)


def notifier(outbox: MemoryOutbox, folder: Path, *targets: Target) -> Notifier:
    links = Links("https://watch.example")
    return Notifier(outbox, targets, World(links, surroundings(folder, os.environ)))


def now(rule: str, **about: object) -> Event:
    return event(rule, created_at=time.time(), **about)


def told(receiver: Receiver) -> list[list[tuple[str, str]]]:
    return [
        [(one["rule"], one["change"]) for one in request.content["events"]] for request in receiver.requests
    ]


def test_alerts_that_fire_together_arrive_within_a_second_as_one_message(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    with Receiver() as receiver, notifier(outbox, tmp_path, webhook(receiver.url, more=PLAIN)):
        begin = time.time()
        outbox.put(now("a"), now("b"))
        (request,) = receiver.wait(1)
        assert request.time - begin < 1.0
        assert told(receiver) == [[("a", "firing"), ("b", "firing")]]
        wait_for("the message to be settled", lambda: outbox.deliveries("done") or None)
    assert outbox.outbox_events() == []


def test_a_message_has_the_picture_of_its_worst_alert(outbox: MemoryOutbox, tmp_path: Path) -> None:
    steps = np.arange(213, 413)
    outbox.figures["ratio_std"] = Series(steps, np.linspace(0.4, 1.4, 200))
    with Receiver() as receiver, notifier(outbox, tmp_path, webhook(receiver.url)):
        outbox.put(now("a"))
        (request,) = receiver.wait(1)
    assert base64.b64decode(request.content["picture"]).startswith(b"\x89PNG")


def test_a_run_of_which_no_figure_is_left_has_a_message_without_a_picture(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    with Receiver() as receiver, notifier(outbox, tmp_path, webhook(receiver.url)):
        outbox.put(now("a"))
        (request,) = receiver.wait(1)
    assert request.content["picture"] is None


def test_apprise_is_told_in_words(outbox: MemoryOutbox, tmp_path: Path) -> None:
    with Receiver() as receiver:
        chat = apprise(f"json://127.0.0.1:{receiver.port}/", more=PLAIN)
        with notifier(outbox, tmp_path, chat):
            outbox.put(now("high_variance"))
            (request,) = receiver.wait(1)
    assert request.content["title"] == "[critical] math/grpo-7b: high_variance at step 412"
    assert "What to do: Switch from sequence to geometric level." in request.content["message"]


def test_each_target_gets_what_it_wants_and_nothing_else(outbox: MemoryOutbox, tmp_path: Path) -> None:
    with Receiver() as everything, Receiver() as severe, Receiver() as code, Receiver() as no_ends:
        targets = [
            webhook(everything.url, "everything", PLAIN),
            webhook(severe.url, "severe", f'{PLAIN}\nseverity = "critical"'),
            webhook(code.url, "code", f'{PLAIN}\nruns = ["code~*"]'),
            webhook(no_ends.url, "no-ends", f"{PLAIN}\nresolved = false"),
        ]
        with notifier(outbox, tmp_path, *targets):
            outbox.put(
                now("bad"),
                now("mild", severity=Severity.WARNING),
                now("over", change=Change.RESOLVED),
                now("mine", run="code~a"),
            )
            wait_for("all messages", lambda: len(outbox.deliveries("done")) == 7)
        fired = [("bad", "firing"), ("mild", "firing")]
        assert sorted(told(everything)) == [[*fired, ("over", "resolved")], [("mine", "firing")]]
        assert sorted(told(severe)) == [[("bad", "firing"), ("over", "resolved")], [("mine", "firing")]]
        assert told(code) == [[("mine", "firing")]]
        assert sorted(told(no_ends)) == [fired, [("mine", "firing")]]


def test_who_is_not_told_of_ends_is_not_told_that_it_fires_what_is_over(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    no_ends = f"{PLAIN}\nresolved = false"
    with Receiver() as hook, Receiver() as service:
        chat = apprise(f"json://127.0.0.1:{service.port}/", more=no_ends)
        with notifier(outbox, tmp_path, webhook(hook.url, more=no_ends), chat):
            outbox.put(now("a"), now("b", severity=Severity.WARNING), now("a", change=Change.RESOLVED))
            (request,), (text,) = hook.wait(1), service.wait(1)
    assert [(one["rule"], one["over"]) for one in request.content["events"]] == [("a", True), ("b", False)]
    assert text.content["title"].startswith("[warning] math/grpo-7b: 2 events at step 412: b, a")


def test_what_waits_for_somebody_who_is_not_in_the_file_is_told_and_given_up_after_a_day(
    tmp_path: Path,
) -> None:
    clock = [1000.0]
    outbox = MemoryOutbox(lambda: clock[0])
    world = World(Links(""), surroundings(tmp_path, os.environ), clock=lambda: clock[0])
    outbox.make_deliveries([NewDelivery(key, "gone", "p~r", "[]", 1000.0) for key in "ab"], [])
    outbox.make_deliveries([NewDelivery("a", "ops", "p~r", "[]", 1000.0)], [])
    one = Notifier(outbox, [webhook("http://127.0.0.1:1/", more=PLAIN)], world)
    one.look_after()
    assert one.departed() == one.standing.departed == [Departed("gone", waiting=2, dead=0)]
    clock[0] += 24 * 3600.0
    one.look_after()
    assert one.departed() == [Departed("gone", waiting=0, dead=2)]
    assert {dead.error for dead in outbox.deliveries("dead")} == {NOT_IN_THE_FILE}
    assert [waiting.target for waiting in outbox.deliveries("waiting")] == ["ops"]
    assert not one.retry(outbox.deliveries("dead")[0].id)


def test_nobody_is_told_of_what_is_silenced_and_it_leaves_the_outbox(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    with Receiver() as receiver, notifier(outbox, tmp_path, webhook(receiver.url, more=PLAIN)):
        outbox.put(now("a", is_silenced=True), now("b"))
        receiver.wait(1)
        assert told(receiver) == [[("b", "firing")]]
    assert outbox.outbox_events() == []


def test_without_targets_events_leave_the_outbox(outbox: MemoryOutbox, tmp_path: Path) -> None:
    outbox.put(event("a"))
    assert notifier(outbox, tmp_path).round() == 0
    assert (outbox.outbox_events(), outbox.deliveries()) == ([], [])


def test_the_others_that_fire_are_counted(outbox: MemoryOutbox, tmp_path: Path) -> None:
    mine = event("a")
    fires = {"run": mine.run, "rule": "x", "epoch": 1, "severity": Severity.WARNING, "condition": ""}
    outbox.firing = [
        AlertView(id=one, firing_step=1, firing_time=0.0, **fires) for one in (mine.alert, "other", "another")
    ]
    with Receiver() as receiver, notifier(outbox, tmp_path, webhook(receiver.url, more=PLAIN)):
        outbox.put(mine)
        (request,) = receiver.wait(1)
    assert request.content["other_alerts_firing"] == 2


def test_a_target_that_hangs_holds_up_no_other_and_not_the_end(outbox: MemoryOutbox, tmp_path: Path) -> None:
    with Receiver(always(Mode.HANG)) as bad, Receiver() as good:
        targets = [webhook(bad.url, "bad", PLAIN), webhook(good.url, "good", PLAIN)]
        with notifier(outbox, tmp_path, *targets):
            for number in range(5):
                outbox.put(now("a", run=f"p~{number}"))
            begin = time.time()
            assert good.wait(5)[-1].time - begin < 3
            bad.wait(1)
            begin = time.time()
        assert time.time() - begin < 4
    assert len(outbox.deliveries("waiting", target="bad")) == 5


def test_what_was_not_sent_is_sent_by_the_next_server_with_the_same_key(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    with Receiver(always(Mode.DROP)) as receiver:
        target = webhook(receiver.url, more=PLAIN)
        with notifier(outbox, tmp_path, target):
            outbox.put(now("a"))
            receiver.wait(1)
        before = {one.key for one in receiver.requests}
        receiver.plan = always(Mode.OK)
        with notifier(outbox, tmp_path, target):
            wait_for("the message", lambda: outbox.deliveries("done") or None)
        assert {one.key for one in receiver.requests} == before
        assert len(before) == 1


def test_a_target_fails_once_several_attempts_have_and_no_longer_once_one_arrives(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    failing_at_first = in_turn(*[Mode.ERROR] * 7, Mode.OK)
    with (
        Receiver(failing_at_first) as receiver,
        notifier(outbox, tmp_path, webhook(receiver.url, more=PLAIN)) as one,
    ):
        (view,) = one.views()
        assert (view.name, view.kind, view.host, view.severity) == (
            "ops",
            "webhook",
            "127.0.0.1",
            "warning",
        )
        assert (view.last_success, view.failing_since, view.waiting) == (None, None, 0)
        begin = time.time()
        outbox.put(now("a"))
        (failing,) = wait_for("the target to fail", lambda: one.failing() or None)
        assert failing.error == "127.0.0.1 answered 500."
        assert failing.waiting == 1
        assert failing.failing_since is not None
        assert begin <= failing.failing_since <= time.time()
        wait_for("the message", lambda: outbox.deliveries("done") or None)
        (view,) = one.views()
        assert (view.failing_since, view.waiting, view.error) == (None, 0, "")
        assert view.last_success is not None


def test_every_event_arrives_through_a_receiver_of_the_worst_kind(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    """Errors, lost answers and redirections by chance: none lost, and none with two keys."""
    modes = {
        Mode.OK: 3.0,
        Mode.ERROR: 2.0,
        Mode.DROP: 2.0,
        Mode.REDIRECT: 1.0,
        Mode.NOISE: 1.0,
        Mode.SLOW: 0.3,
    }
    events = [event("a", run=f"p~{number}", created_at=time.time()) for number in range(60)]
    with Receiver(seeded(7, modes)) as receiver:
        with notifier(outbox, tmp_path, webhook(receiver.url, more=PLAIN)):
            outbox.put(*events)
            wait_for("all messages", lambda: len(outbox.deliveries("done")) == 60)
        assert set(receiver.events()) == {one.id for one in events}
        assert {len(keys) for keys in receiver.keys_of_events().values()} == {1}


def test_a_test_says_how_it_went_and_one_is_sent_at_a_time(outbox: MemoryOutbox, tmp_path: Path) -> None:
    with Receiver(in_turn(Mode.OK, Mode.ERROR)) as receiver:
        with notifier(outbox, tmp_path, webhook(receiver.url)) as one:
            target = one.target("ops")
            assert target is not None
            assert one.test(target) == ""
            assert one.test(target) == "127.0.0.1 answered 500."
            with one._testing, pytest.raises(UnderWay):
                one.test(target)
        first, second = receiver.requests
    assert first.content["test"] is True
    assert first.key != second.key
    assert base64.b64decode(first.content["picture"]).startswith(b"\x89PNG")


def test_an_address_that_apprise_cannot_use_is_told_without_it_and_given_up_at_once(
    outbox: MemoryOutbox, tmp_path: Path
) -> None:
    expected = "Apprise cannot use the URL: expected one such as slack://{token_a}/{token_b}/{token_c}"
    with notifier(outbox, tmp_path, apprise("slack://TokenAAAAA/TokenBBBBB", more=PLAIN)) as one:
        target = one.target("chat")
        assert target is not None
        assert one.test(target).startswith(expected)
        outbox.put(now("a"))
        (dead,) = wait_for("it to be given up", lambda: outbox.deliveries("dead") or None)
    assert dead.error.startswith(expected)
    assert dead.attempts == 1
