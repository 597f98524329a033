"""What a trainer is told of the alerts of its run: in its own thread, once each, and never in its way."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from rolloutwatch import AlertEvent, FiringAlert, FiringAlerts, MemorySink, Monitor
from rolloutwatch.drops import Ledger
from rolloutwatch.hearing import Listener
from rolloutwatch.sink import Frame
from rolloutwatch_contract.alerts import MAX_FIRING_BYTES, decode_firing, encode_firing
from tests.client.batches import batch, monitor
from tests.processes import wait_for


def alert(rule: str, *, epoch: int = 1, step: int = 7, since: float | None = None) -> FiringAlert:
    """An alert that begins after whatever is built now."""
    return FiringAlert(
        id=f"{rule}-{epoch}",
        rule=rule,
        severity="critical",
        since_step=step,
        since_time=time.time() + 60 if since is None else since,
    )


def said(*alerts: FiringAlert, step: int = 9) -> FiringAlerts:
    return FiringAlerts(step=step, time=1000.0 + step, alerts=alerts)


def hear(listener: Listener, *alerts: FiringAlert) -> None:
    """What the courier does when it is time."""
    listener.listen(lambda: encode_firing(said(*alerts)))


def notes() -> tuple[list[tuple[str, str]], Callable[[AlertEvent], None]]:
    """A list, and the function that writes there what it is told."""
    written: list[tuple[str, str]] = []
    return written, lambda event: written.append((event.change, event.alert.id))


def test_each_alert_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    """What has ended comes first, then what has begun, the oldest first; the same word again says nothing."""
    written, note = notes()
    listener = Listener(Ledger(), note)
    kl, veto = alert("kl_high", step=5), alert("too_many_vetoed", step=3)
    for firing in [(), (kl, veto), (kl, veto), (kl,), (alert("kl_high", epoch=2),), (), ()]:
        hear(listener, *firing)
        listener.tell()
        listener.tell()
    assert written == [
        ("firing", "too_many_vetoed-1"),
        ("firing", "kl_high-1"),
        ("resolved", "too_many_vetoed-1"),
        ("resolved", "kl_high-1"),
        ("firing", "kl_high-2"),
        ("resolved", "kl_high-2"),
    ]


def test_what_begins_and_ends_between_two_looks_is_not_told() -> None:
    """A trainer acts on what stands, not on what has passed."""
    written, note = notes()
    listener = Listener(Ledger(), note)
    hear(listener, alert("kl_high"))
    hear(listener)
    listener.tell()
    assert written == []


def test_what_an_earlier_session_has_left_is_shown_and_not_told() -> None:
    """Else a trainer that stops on an alert would, started anew, stop at once and for ever."""
    written, note = notes()
    listener = Listener(Ledger(), note)
    old = alert("kl_high", since=time.time() - 60)
    hear(listener, old)
    listener.tell()
    assert listener.firing() == (old,)
    hear(listener)
    listener.tell()
    assert written == []


def test_an_acknowledgement_is_no_news() -> None:
    written, note = notes()
    listener = Listener(Ledger(), note)
    one = alert("kl_high")
    hear(listener, one)
    listener.tell()
    seen = FiringAlert(
        id=one.id, rule=one.rule, severity=one.severity, since_step=7, since_time=one.since_time,
        acknowledged=True,
    )  # fmt: skip
    hear(listener, seen)
    listener.tell()
    assert written == [("firing", "kl_high-1")]
    assert listener.firing() == (seen,)


def test_a_callback_that_raises_is_logged_once_with_its_traceback_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It costs no other event, and is not told of the same again."""
    told: list[str] = []

    def broken(event: AlertEvent) -> None:
        told.append(event.alert.id)
        raise ArithmeticError("no checkpoint today")

    listener = Listener(Ledger(), broken)
    hear(listener, alert("kl_high", step=1), alert("too_many_vetoed", step=2))
    listener.tell()
    listener.tell()
    assert told == ["kl_high-1", "too_many_vetoed-1"]
    assert listener.health().failed_callbacks == 2
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "no checkpoint today" in str(record.exc_info[1])
    assert "on_alert raised when it was told that 'kl_high' is firing" in record.message


def test_a_callback_may_end_the_process() -> None:
    """What it had not yet been told comes with the next call, if there is one."""
    told: list[str] = []

    def leave(event: AlertEvent) -> None:
        told.append(event.alert.id)
        if len(told) == 1:
            raise SystemExit(3)

    listener = Listener(Ledger(), leave)
    hear(listener, alert("kl_high", step=1), alert("too_many_vetoed", step=2))
    with pytest.raises(SystemExit):
        listener.tell()
    listener.tell()
    assert told == ["kl_high-1", "too_many_vetoed-1"]


def test_a_callback_runs_in_the_thread_that_calls_before_anything_is_done() -> None:
    """Each of the calls of a training loop is an occasion, and no background thread is one."""
    sink = MemorySink()
    with monitor(sink) as silent:
        correction = silent.correct(step=0, **batch())
    calls: dict[str, Callable[[Monitor], object]] = {
        "correct": lambda one: one.correct(step=1, **batch()),
        "observe": lambda one: one.observe(step=1, **batch()),
        "record": lambda one: one.record(1, correction),
        "log": lambda one: one.log(1, {"loss": 1.0}),
        "alerts": lambda one: one.alerts(),
    }
    for name, call in calls.items():
        threads: list[int] = []
        sink = MemorySink(firing=said(alert("kl_high")))
        with monitor(sink, on_alert=lambda event, t=threads: t.append(threading.get_ident())) as one:
            wait_for("the alert", lambda o=one: hearing(o).step, 20)
            assert threads == [], name
            call(one)
            assert threads == [threading.get_ident()], name


def hearing(one: Monitor):  # type: ignore[no-untyped-def]
    state = one.health().alerts
    assert state is not None
    return state


def test_a_callback_may_use_its_monitor() -> None:
    """Its calls do not call it again, and what is new by then comes with the next call."""
    sink = MemorySink()
    told: list[str] = []

    def note(event: AlertEvent) -> None:
        one.mark("alert", rule=event.alert.rule)
        one.log(2, {"alerts": float(len(one.alerts()))})
        told.append(event.alert.id)

    sink.firing = said(alert("kl_high", step=1), alert("too_many_vetoed", step=2))
    with monitor(sink, on_alert=note) as one:
        wait_for("the alerts", lambda: hearing(one).step, 20)
        one.log(1, {"loss": 1.0})
        assert told == ["kl_high-1", "too_many_vetoed-1"]
    assert [getattr(record, "kind", None) for record in sink.records].count("alert") == 2


def test_a_callback_may_close_its_monitor_and_is_told_no_more() -> None:
    sink = MemorySink()
    told: list[str] = []

    def stop(event: AlertEvent) -> None:
        told.append(event.alert.id)
        one.close()

    sink.firing = said(alert("kl_high", step=1), alert("too_many_vetoed", step=2))
    one = monitor(sink, on_alert=stop)
    wait_for("the alerts", lambda: hearing(one).step, 20)
    one.log(1, {"loss": 1.0})
    one.log(2, {"loss": 1.0})
    assert told == ["kl_high-1"]
    assert hearing(one).state == "closed"
    assert len(one.alerts()) == 2, "what was heard stays"


def test_several_monitors_hear_each_its_own() -> None:
    sinks = MemorySink(firing=said(alert("kl_high"))), MemorySink(firing=said(alert("stalled")))
    written = [notes() for _ in sinks]
    monitors = [monitor(sink, on_alert=note) for sink, (_, note) in zip(sinks, written, strict=True)]
    for one in monitors:
        wait_for("an alert", lambda o=one: o.alerts() or None, 20)
        one.close()
    assert [names for names, _ in written] == [[("firing", "kl_high-1")], [("firing", "stalled-1")]]


def test_off_is_off_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Asked(MemorySink):
        asked = 0

        def hear(self) -> bytes | None:
            self.asked += 1
            return super().hear()

    sink = Asked()
    with monitor(sink) as one:
        one.log(0, {"loss": 1.0})
        assert one.flush()
        assert one.alerts() == one.alerts() == ()
        assert one.health().alerts is None
        time.sleep(0.05)
    assert sink.asked == 0
    assert [
        message for message in caplog.messages if "build it with alerts=True" in message
    ] == caplog.messages
    assert len(caplog.messages) == 1


class Plain:
    """A sink of somebody who has never heard of alerts."""

    def send(self, frames: Sequence[Frame]) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_alert": "stop"}, "on_alert is 'stop': expected a function of one AlertEvent"),
        ({"alerts": 1}, "alerts is 1: expected True or False"),
        ({"alerts": True, "sink": Plain()}, "sink is a Plain, which cannot be asked for alerts"),
    ],
)
def test_what_cannot_be_is_refused_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Monitor(project="math", run="grpo", **{"sink": MemorySink(), **options})  # type: ignore[arg-type]


def test_a_rank_that_does_not_push_hears_nothing_and_has_the_same_surface() -> None:
    with Monitor(project="math", run="grpo", push=False, alerts=True, on_alert=lambda event: None) as one:
        assert one.alerts() == ()
        assert hearing(one).state == "silent"
    assert hearing(one).state == "closed"


def test_a_forked_child_leaves_alerts_to_its_parent() -> None:
    """Also one that is forked from within a callback."""
    exits: list[int] = []

    def fork(event: AlertEvent) -> None:
        child = os.fork()
        if child == 0:
            one.log(1, {"loss": 1.0})
            os._exit(len(told) if hearing(one).state == "closed" else 99)
        exits.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    told: list[str] = []
    sink = MemorySink()

    def note(event: AlertEvent) -> None:
        if event.alert.rule == "kl_high":
            fork(event)
        else:
            told.append(event.alert.id)

    sink.firing = said(alert("kl_high", step=1), alert("stalled", step=2))
    with monitor(sink, on_alert=note) as one:
        wait_for("the alerts", lambda: hearing(one).step, 20)
        one.log(1, {"loss": 1.0})
    assert exits == [0]
    assert told == ["stalled-1"]


def test_a_signal_in_the_midst_of_a_callback_ends_what_is_told() -> None:
    """The handler closes; nothing waits for a lock that the interrupted call holds."""
    sink = MemorySink()
    told: list[str] = []

    def interrupted(event: AlertEvent) -> None:
        told.append(event.alert.id)
        os.kill(os.getpid(), signal.SIGUSR1)

    former = signal.signal(signal.SIGUSR1, lambda number, frame: one.log(9, {"closed": float(one.close())}))
    try:
        sink.firing = said(alert("kl_high", step=1), alert("stalled", step=2))
        one = monitor(sink, on_alert=interrupted)
        wait_for("the alerts", lambda: hearing(one).step, 20)
        one.log(1, {"loss": 1.0})
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert told == ["kl_high-1"]
    assert one.health().state == "closed"


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"step": 1, "time": NaN}', b'{"step": "1", "time": 2}',
        b'{"step": 1, "time": 2, "alerts": [{}]}', b'{"step": 1, "time": 2, "x": ' + b"[" * 100_000,
        b'{"step": 1, "time": 2, "alerts": "\xed\xa0\x80"}', b" " * (MAX_FIRING_BYTES + 1),
    ],
    ids=range(11),
)  # fmt: skip
def test_what_no_server_has_said_is_told_once_and_changes_nothing(
    text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(Ledger())
    hear(listener, alert("kl_high"))
    before = listener.firing()
    for _ in range(3):
        listener.listen(lambda: text)
    assert listener.firing() == before
    assert listener.health().state == "troubled"
    assert "what stands for alerts in Redis" in listener.health().trouble
    assert len(caplog.messages) == 1
    hear(listener)
    assert listener.firing() == ()
    assert listener.health().trouble == ""
    assert caplog.messages[-1] == "Alerts of this run are heard again."


def test_so_many_alerts_that_a_trainer_would_not_read_them_lose_their_texts() -> None:
    """Which ones they are stays."""
    many = said(
        *(
            FiringAlert(
                id=f"{number:032}", rule=f"rule_{number}", severity="warning", since_step=1, since_time=1.0,
                values={"m": float("inf")}, summary="s" * 1000, cure="c" * 3000,
            )
            for number in range(500)
        )
    )  # fmt: skip
    text = encode_firing(many)
    assert len(text) < MAX_FIRING_BYTES
    assert [one.id for one in decode_firing(text).alerts] == [one.id for one in many.alerts]
    assert {one.cure for one in decode_firing(text).alerts} == {""}
    few = said(*many.alerts[:2])
    assert [one.values for one in decode_firing(encode_firing(few)).alerts] == [{"m": None}] * 2
